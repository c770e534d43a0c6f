"""4. Evaluation: before and after on held-out prompts, with intervals, in a report people can read."""
