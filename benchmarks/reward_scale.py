"""Linear reward models on many comparisons: seconds and memory to learn, texts a second, and how far to believe them.

    python benchmarks/reward_scale.py [PAIRS] [--seed N] [--kind svm] [--features words style ...]

10 pairs of answers to a prompt, answers of 20 to 60 words out of 5,000 by Zipf's law. A pair's label is drawn from
sigmoid(q_b - q_a): q has a weight for each word and one for the length, and a deviation of 2 over the answers. The
figures of accuracy and calibration are of 10,000 more pairs, on prompts of their own. Each run is a process of its own,
as the peak of memory is the process's, the data included.
"""

from __future__ import annotations

import argparse
import json
import resource
import time

import numpy as np

from trueline.config import RewardConfig
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.records import Annotator, Comparison, Completion, Prompt
from trueline.reward.checking import check
from trueline.reward.linear import LinearReward

WORDS, PAIRS_A_PROMPT, SHORTEST, LONGEST = 5_000, 10, 20, 60
HELD_OUT = 10_000
DEVIATION, LENGTH_SHARE = 2.0, 0.3
SYLLABLES = [a + b for a in "bdfgklmnprstvz" for b in ("a", "e", "i", "o", "u", "an", "er", "il")]
VOCABULARY = np.array([f"{SYLLABLES[i // 400]}{SYLLABLES[i // 20 % 20]}{SYLLABLES[20 + i % 20]}" for i in range(WORDS)])


def data_set(pairs: int, seed: int, split: str) -> FeedbackSnapshot:
    """The words' weights are the seed's, whatever the split."""
    weights = np.random.default_rng([83, seed]).normal(0, 1, WORDS)
    rng = np.random.default_rng([89, seed, split == "test"])
    share = 1 / (np.arange(WORDS) + 3.0)
    share /= share.sum()
    lengths = rng.integers(SHORTEST, LONGEST + 1, 2 * pairs)
    drawn = rng.choice(WORDS, int(lengths.sum()), p=share)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    said = np.add.reduceat(weights[drawn], starts[:-1])
    quality = (1 - LENGTH_SHARE) ** 0.5 * _standard(said) + LENGTH_SHARE**0.5 * _standard(np.log(lengths))
    b_wins = rng.random(pairs) < 1 / (1 + np.exp(DEVIATION * (quality[0::2] - quality[1::2])))
    asked = rng.choice(WORDS, (-(-pairs // PAIRS_A_PROMPT), 12), p=share)
    texts = [f"{' '.join(VOCABULARY[row])} {split} {i}" for i, row in enumerate(asked)]
    prompts = [Prompt.from_user(text, {"split": split}) for text in texts]
    prompt_ids = [p.id for p in prompts]
    answers = [
        Completion(prompt_ids[i // (2 * PAIRS_A_PROMPT)], " ".join(VOCABULARY[drawn[starts[i] : starts[i + 1]]]))
        for i in range(2 * pairs)
    ]
    ids, person = [a.id for a in answers], Annotator("person", simulated=True)
    comparisons = [
        Comparison(a, b, "quality", 1 if wins else -1, person)
        for a, b, wins in zip(ids[0::2], ids[1::2], b_wins.tolist(), strict=True)
    ]
    return FeedbackSnapshot(
        dict(zip(prompt_ids, prompts, strict=True)), dict(zip(ids, answers, strict=True)), (), tuple(comparisons)
    )


def _standard(values: np.ndarray) -> np.ndarray:
    return np.asarray((values - values.mean()) / values.std())


def measure(pairs: int, seed: int, config: RewardConfig) -> dict[str, object]:
    snapshot, held_out = (data_set(n, seed, split) for n, split in ((pairs, "train"), (HELD_OUT, "test")))
    exchanges = [held_out.exchange(i) for i in held_out.completions]
    model = LinearReward(config, ("quality",))
    before, started = time.process_time(), time.perf_counter()
    model.fit(snapshot)
    seconds, processor = time.perf_counter() - started, time.process_time() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    began, started = time.process_time(), time.perf_counter()
    model.score(exchanges)
    scoring, scoring_processor = time.perf_counter() - started, time.process_time() - began
    found = check(model, held_out, "quality", pairs, float(model.temperature[0]))
    assert model.report_ is not None
    return {
        "pairs": pairs,
        "seed": seed,
        "fit_seconds": round(seconds, 1),
        "fit_processor_seconds": round(processor, 1),
        "peak_gb": round(peak, 2),
        "texts_per_second": round(len(exchanges) / scoring),
        "texts_per_processor_second": round(len(exchanges) / scoring_processor),
        "accuracy": found.accuracy,
        "calibration_error": found.calibration_error,
        "temperature": float(model.temperature[0]),
        "errors_of_features": model.report_["errors_of_features"],
        "features": model.report_["features"],
        "penalty": model.report_["penalties"]["quality"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", nargs="?", type=int, default=100_000, metavar="PAIRS")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=("linear", "svm"), default="linear")
    parser.add_argument("--features", nargs="*", default=(), help="blocks; chosen by cross-validation without any")
    options = parser.parse_args()
    config = RewardConfig(kind=options.kind, learn_from="comparisons", features=options.features)
    print(json.dumps(measure(options.pairs, options.seed, config), indent=1))


if __name__ == "__main__":
    main()
