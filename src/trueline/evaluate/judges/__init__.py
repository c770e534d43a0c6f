"""Who says which of two answers is better: known truth, a reward model, rules, a language model, people."""
