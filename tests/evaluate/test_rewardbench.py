"""RewardBench's rules: strictly higher or it does not count, and sections weigh by their size."""

import json

import numpy as np
import pytest

from trueline.errors import InputError
from trueline.evaluate.rewardbench import bench, read_pairs
from trueline.records import Scores


class Model:
    dimensions = ("quality",)

    def __init__(self, score):
        self.of = score

    def score(self, exchanges):
        return Scores(self.dimensions, np.array([[float(self.of(e.completion.text))] for e in exchanges]))


def write(path, rows):
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows))
    return path


@pytest.fixture
def pairs(tmp_path):
    rows = [{"prompt": f"q{i}", "chosen": "good", "rejected": "bad", "subset": "mt-bench-easy"} for i in range(3)]
    rows += [{"prompt": [{"role": "user", "content": f"r{i}"}], "chosen": "bad", "rejected": "good", "section": "own"}
             for i in range(9)]  # fmt: skip
    return read_pairs(write(tmp_path / "b.jsonl", rows))


def test_sections_and_their_weights(pairs):
    found = bench(Model(lambda t: t == "good"), pairs)["quality"]
    assert {s: (x.value, x.n) for s, x in found.items()} == {"Chat": (1.0, 3), "own": (0.0, 9), "all": (0.25, 12)}


def test_a_constant_model_scores_nothing(pairs):
    assert bench(Model(lambda t: 1), pairs)["quality"]["all"].value == 0


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"prompt": "q", "chosen": "a"}, "line 2"),
        ({"prompt": [{"role": "robot", "content": "x"}], "chosen": "a", "rejected": "b"}, "role"),
        ({"prompt": [{"role": "assistant", "content": "x"}], "chosen": "a", "rejected": "b"}, "end with a user"),
        ({"prompt": "q", "chosen": "a", "rejected": "b", "section": 3}, "section must be text"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(tmp_path, row, why):
    good = {"prompt": "q", "chosen": "a", "rejected": "b"}
    with pytest.raises(InputError, match=why) as caught:
        read_pairs(write(tmp_path / "b.jsonl", [good, row]))
    assert "\n" not in str(caught.value)
