"""Keyed randomness: a draw depends on what it is for, never on what was drawn before."""

from __future__ import annotations

import hashlib

import numpy as np


def generator(*key: int | str) -> np.random.Generator:
    """A Philox generator for one purpose, such as ("rollout", seed, step, prompt id, sample)."""
    digest = hashlib.blake2b(repr(key).encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=np.frombuffer(digest, dtype=np.uint64)))


def uniforms(n: int, *key: int | str) -> np.ndarray:
    """n float64 in [0, 1); position t of a sample always gets the t-th, whatever else is sampled beside it."""
    return generator(*key).random(n)
