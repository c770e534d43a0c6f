"""One algorithm, one file. A new one is a file here and a line in ALGORITHMS."""

from trueline.align.algorithms import ppo, rloo
from trueline.align.algorithms.base import Algorithm

ALGORITHMS: dict[str, Algorithm] = {"rloo": rloo.ALGORITHM, "ppo": ppo.ALGORITHM}

__all__ = ["ALGORITHMS", "Algorithm"]
