"""Trueline aligns a language model with human feedback: collect, reward, align, evaluate, again."""

__version__ = "0.1.0"
