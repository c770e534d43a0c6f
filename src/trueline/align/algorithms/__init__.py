"""One algorithm, one file. A new one is a file here and a line in ALGORITHMS."""

from trueline.align.algorithms import dpo, grpo, ilql, ppo, q_learning, reinforce, rloo
from trueline.align.algorithms.base import Algorithm

ALGORITHMS: dict[str, Algorithm] = {
    "rloo": rloo.ALGORITHM,
    "reinforce": reinforce.ALGORITHM,
    "grpo": grpo.ALGORITHM,
    "ppo": ppo.ALGORITHM,
    "q_learning": q_learning.ALGORITHM,
    "ilql": ilql.ALGORITHM,
    "dpo": dpo.ALGORITHM,
}

__all__ = ["ALGORITHMS", "Algorithm"]
