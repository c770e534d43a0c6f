"""The language model: load and save it, speak its chat form, sample from it, score with it."""
