"""`trueline align --engine ray` on a Ray of its own, from the command line."""

import re
import signal
import time

import numpy as np
import psutil
import pytest
from command import start, trueline
from safetensors.numpy import load_file

pytest.importorskip("ray", reason="the extra ray is not installed")


@pytest.mark.slow
def test_after_ctrl_c_nothing_of_ray_is_left_and_the_run_ends_as_on_one_machine(ready):
    run = ready / "runs" / "stopped"
    process = start("align", "-p", ready, "--name", "stopped", "--engine", "ray", "--workers", 2)
    seen = {}
    while not (run / "metrics.jsonl").exists() or not (run / "metrics.jsonl").read_text():
        assert process.poll() is None, process.communicate()
        seen |= {p.pid: p for p in psutil.Process(process.pid).children(recursive=True)}
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert "Traceback" not in out + err
    assert len(seen) > 5
    _, alive = psutil.wait_procs(list(seen.values()), timeout=20)
    assert alive == []
    done = trueline("resume", run)
    assert done.code == 0 and done.err == "", done.err
    here, there = (load_file(ready / "runs" / name / "policy" / "model.safetensors") for name in ("whole", "stopped"))
    for name in here:
        np.testing.assert_allclose(here[name], there[name], atol=1e-5, rtol=0)


@pytest.mark.slow
def test_rllib_prints_its_iterations_and_its_policy_can_be_evaluated(ready):
    settings = (ready / "trueline.toml").read_text()
    (ready / "trueline.toml").write_text(
        settings.replace("iterations = 100", "iterations = 3").replace("batch = 1024", "batch = 512")
    )
    done = trueline("align", "-p", ready, "--name", "r", "--engine", "rllib")
    assert done.code == 0, done.err
    printed = re.findall(r"^Iteration: (\d), Episode Reward Mean: -?\d+\.\d\d$", done.out, re.MULTILINE)
    assert printed == ["1", "2", "3"]
    done = trueline("evaluate", ready / "runs" / "r", "-p", ready)
    assert done.code == 0, done.err
