"""`make bench`: Trueline beside its peers on the same work, in one run; appends rows to benchmarks/results.json.

    python benchmarks/run.py [sampler] [steps] [reward] [quickstart]     all of them without a name

A row: {"name", "ours", "peer", "ratio", "floor_ratio", "machine", "commit"}. Units are in the name; ratio is how many
times better ours is, floor_ratio how many times worse than the matrix products alone (floor.py); null where there is no
peer or floor. The peers are told of in peers/README.md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator

import sampler
import steps
import time_to_reward
import whole_run
from rows import Row, keep, show

PARTS: dict[str, Callable[[], Iterator[Row]]] = {
    "sampler": sampler.measure,
    "steps": steps.measure,
    "reward": time_to_reward.measure,
    "quickstart": whole_run.measure,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"what to measure: {', '.join(PARTS)}")
    parts = parser.parse_args().parts or list(PARTS)
    if unknown := set(parts) - set(PARTS):
        parser.error(f"{', '.join(sorted(unknown))}: not one of {', '.join(PARTS)}")
    rows = []
    for part in parts:
        for found in PARTS[part]():
            print(json.dumps(found), flush=True)
            keep([found])
            rows.append(found)
    show(rows)


if __name__ == "__main__":
    main()
