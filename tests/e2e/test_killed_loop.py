"""A whole loop killed with SIGKILL at random moments, in whatever stage it is, ends like one that was left alone."""

import json
import random
import shutil
import signal
import time

import pytest
from command import start, trueline


def result(project):
    run = project / "runs" / "l"
    report = json.loads((run / "report" / "report.json").read_text())
    policies = [(run / f"round-0{n}" / "align" / "policy" / "model.safetensors").read_bytes() for n in (1, 2)]
    snapshots = [(run / f"round-0{n}" / "snapshot.jsonl").read_bytes() for n in (1, 2)]
    decisions = [json.loads((run / f"round-0{n}" / "decision.json").read_text()) for n in (1, 2)]
    decided = [{**d, "seconds": 0} for d in decisions]
    promoted = json.loads((run / "promoted.json").read_text())
    return policies, snapshots, decided, promoted, report["metrics"], report["samples"]


@pytest.mark.slow
def test_killed_at_random_moments_a_loop_ends_the_same(project, tmp_path):
    whole, killed = project, tmp_path / "killed"
    shutil.copytree(project, killed)
    started = time.monotonic()
    done = trueline("loop", "-p", whole, "--name", "l")
    seconds = time.monotonic() - started
    assert done.code == 0, done.err
    rng, kills = random.Random(11), 0
    run = killed / "runs" / "l"

    def again():
        return ("resume", run) if (run / "run.json").exists() else ("loop", "-p", killed, "--name", "l")

    while kills < 5:
        process = start(*again())
        time.sleep(rng.uniform(0.2, 0.5) * seconds)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.communicate()
        if (run / "report" / "report.html").exists():
            break
    done = trueline(*again())
    assert done.code == 0, done.err
    assert kills >= 3, "the run ended before it was killed often enough; choose other moments"
    assert result(killed) == result(whole)
    checked = [trueline("verify", "-p", folder, "--json") for folder in (whole, killed)]
    assert [c.code for c in checked] == [0, 0], checked
    assert len({(json.loads(c.out)["artefacts"], json.loads(c.out)["entries"]) for c in checked}) == 1
    assert not list(killed.rglob(".pending-*"))
