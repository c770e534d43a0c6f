"""Seconds to score 200,000 answers in Parquet: Ray Data with two workers, its start counted in, beside one process.

    python benchmarks/ray_scoring.py

The reward model is linear, the quickest there is: with a slower one, what is not shared (cutting, writing, Ray's start)
weighs less. Both must write the same bytes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
from reward_scale import data_set
from rows import Row, row, show

from trueline.config import RewardConfig
from trueline.engines.ray.ordered import ordered_map
from trueline.loop.score_file import Elsewhere, score_file
from trueline.reward.registry import load_reward, new_reward

ROWS, WORKERS, LEARNED_FROM = 200_000, 2, 3_000


def measure() -> Iterator[Row]:
    with TemporaryDirectory() as place:
        source, reward = Path(place, "in.parquet"), Path(place, "reward")
        model = new_reward(RewardConfig(learn_from="comparisons"), ("quality",))
        model.fit(data_set(LEARNED_FROM, 0, "train"))
        model.save(reward)
        answered = data_set(ROWS // 2, 0, "test")
        answers = list(answered.completions.values())
        prompts = [answered.prompts[a.prompt_id].messages[-1].content for a in answers]
        pq.write_table(pa.table({"prompt": prompts, "completion": [a.text for a in answers]}), source)
        load = partial(load_reward, reward)
        ray = Elsewhere(partial(ordered_map, workers=WORKERS), load)
        targets = {name: Path(place, f"{name}.parquet") for name in ("local", "ray")}
        seconds = {}
        for name, elsewhere in (("local", None), ("ray", ray)):
            started = time.perf_counter()
            score_file(load(), source, targets[name], elsewhere=elsewhere)
            seconds[name] = time.perf_counter() - started
        assert targets["ray"].read_bytes() == targets["local"].read_bytes()
        yield row(f"scoring {ROWS:,} rows, Ray x {WORKERS}, s", seconds["ray"], seconds["local"])


if __name__ == "__main__":
    show(list(measure()))
