"""Import many rows: seconds, rows a second and the peak of memory.

    python benchmarks/import_scale.py [ROWS] [--kind prompts pairs] [--near flag] [--url postgresql://...] [--seed N]

About 1,000 characters a row, words of English and Chinese by Zipf's law; one prompt in 50 is a near copy of another,
one text in 100 holds an address, a phone or a card number. Each kind is a process of its own, as the peak of memory is
the process's; the file is written by another.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

from trueline.feedback.importing import import_file
from trueline.feedback.store import FeedbackStore

WORDS, PROMPT, ANSWER, COPIES, PERSONAL = 20_000, 60, 55, 50, 100
SYLLABLES = [a + b for a in "bdfgklmnprstvz" for b in ("a", "e", "i", "o", "u", "an", "er", "il")]
DATA = ("bob{}@mail.example.com", "+49 30 90{:07d}", "4111 1111 1111 1111", "8.8.4.4")


def write(path: Path, rows: int, kind: str, seed: int) -> None:
    rng = random.Random(seed)
    english = ["".join(rng.choices(SYLLABLES, k=rng.randint(1, 4))) for _ in range(WORDS)]
    chinese = ["".join(chr(rng.randint(0x4E00, 0x8FFF)) for _ in range(rng.randint(1, 3))) for _ in range(WORDS)]
    weights = [1 / (i + 3) for i in range(WORDS)]
    drawn = {"en": rng.choices(english, weights, k=1_000_000), "zh": rng.choices(chinese, weights, k=1_000_000)}

    def text(words: int) -> str:
        language, at = rng.choice(("en", "en", "zh")), rng.randrange(1_000_000 - 4 * words)
        found = drawn[language][at : at + words]
        rng.shuffle(found)
        if rng.random() < 1 / PERSONAL:
            found[words // 2] = rng.choice(DATA).format(rng.randrange(10_000_000))
        return (" " if language == "en" else "").join(found)

    earlier = text(PROMPT)
    with path.open("w", encoding="utf-8") as file:
        for i in range(rows):
            prompt = text(3 * PROMPT if kind == "prompts" else PROMPT)
            if i % COPIES == 0 and i:
                prompt = earlier + " ?"
            elif i % COPIES == 1:
                earlier = prompt
            row: dict[str, Any] = {"prompt": prompt}
            if kind == "pairs":
                row |= {"a": text(ANSWER), "b": text(ANSWER), "preference": rng.choice((-3, -2, -1, 1, 2, 3))}
                row |= {"dimension": "quality", "annotator": f"person {i % 40}"}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def measure(path: Path, kind: str, near: Any, place: Any, again: Any) -> None:
    started = time.perf_counter()
    last = [started, 0.0]

    def told(progress: Any) -> None:
        if (now := time.perf_counter()) - last[0] > 20:
            pace = (progress.rows - last[1]) / (now - last[0])
            print(f"  {progress.rows:,} rows, {progress.place / progress.size:.0%}, {pace:,.0f} rows/s now", flush=True)
            last[:] = [now, progress.rows]

    with FeedbackStore.open(place) as store:
        report = import_file(store, "jsonl", path, ("quality",), told, near)
    seconds = time.perf_counter() - started
    found = {
        "kind": kind,
        "near": near,
        "again": again,
        "rows": report.rows_read,
        "file_mb": round(path.stat().st_size / 1e6),
        "seconds": round(seconds, 1),
        "cpu_seconds": round(time.process_time(), 1),
        "rows_per_second": round(report.rows_read / seconds),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "added": vars(report.added),
        "repeated": report.repeated,
        "near_copies": report.near,
        "personal": report.personal,
        "languages": dict(list(report.languages.items())[:4]),
    }
    print(json.dumps(found), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="?", type=int, default=1_000_000)
    parser.add_argument("--kind", nargs="+", default=["prompts", "pairs"], choices=["prompts", "pairs"])
    parser.add_argument("--near", default="flag", choices=["flag", "skip", "off"])
    parser.add_argument("--url", help="a fresh PostgreSQL database; without it SQLite in a temporary folder")
    parser.add_argument("--again", action="store_true", help="import the file a second time, which must add nothing")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    for kind in given.kind:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "rows.jsonl"
            jobs: list[Any] = [(write, (path, given.rows, kind, given.seed))]
            place = given.url or Path(folder) / "feedback.sqlite"
            jobs += [(measure, (path, kind, given.near, place, again)) for again in (False, True)[: 1 + given.again]]
            for target, arguments in jobs:
                process = context.Process(target=target, args=arguments)
                process.start()
                process.join()
                if process.exitcode:
                    raise SystemExit(f"failed with {process.exitcode}")


if __name__ == "__main__":
    main()
