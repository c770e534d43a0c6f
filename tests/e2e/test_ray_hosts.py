"""A run over two hosts that share no project folder: namespaces of this machine, joined by a cable of their own."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from command import ENVIRONMENT
from safetensors.numpy import load_file

pytest.importorskip("ray", reason="the extra ray is not installed")

RAY = Path(sys.executable).with_name("ray")
HEAD, OTHER = "10.77.0.1", "10.77.0.2"


def inside(namespace, *words, **options):
    return subprocess.run(["ip", "netns", "exec", namespace, *map(str, words)], check=True, timeout=240, **options)


@pytest.fixture
def two_hosts(ready):
    """The names of two namespaces with a Ray node in each; the first is the head, and alone sees the project."""
    if os.getuid() != 0 or shutil.which("ip") is None:
        pytest.skip("making network namespaces needs root and iproute2")
    names = [f"trueline-{os.getpid()}-{i}" for i in (0, 1)]
    quiet = {
        "env": {**ENVIRONMENT, "RAY_AUTH_MODE": "token"},
        "stdout": subprocess.DEVNULL,
        "stderr": subprocess.DEVNULL,
    }
    try:
        for name in names:
            subprocess.run(["ip", "netns", "add", name], check=True)
    except subprocess.CalledProcessError:
        pytest.skip("this machine makes no network namespaces")
    try:
        cable = [
            "ip",
            "link",
            "add",
            "to-1",
            "netns",
            names[0],
            "type",
            "veth",
            "peer",
            "name",
            "to-0",
            "netns",
            names[1],
        ]
        subprocess.run(cable, check=True)
        for name, device, address in zip(names, ("to-1", "to-0"), (HEAD, OTHER), strict=True):
            subprocess.run(["ip", "-n", name, "addr", "add", f"{address}/24", "dev", device], check=True)
            for each in ("lo", device):
                subprocess.run(["ip", "-n", name, "link", "set", each, "up"], check=True)
        common = ["--num-cpus", "2", "--object-store-memory", str(100 * 2**20)]
        inside(
            names[0],
            RAY,
            "start",
            "--head",
            "--node-ip-address",
            HEAD,
            "--include-dashboard",
            "false",
            *common,
            **quiet,
        )
        join = [RAY, "start", "--address", f"{HEAD}:6379", "--node-ip-address", OTHER, *common]
        hide = 'mount -t tmpfs none "$0" && exec "$@"'
        inside(names[1], "unshare", "--mount", "sh", "-c", hide, ready, *join, **quiet)
        yield names
    finally:
        for name in names:
            held = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True).stdout.split()
            for pid in held:
                subprocess.run(["kill", "-9", pid], stderr=subprocess.DEVNULL)
            time.sleep(0.5)
            subprocess.run(["ip", "netns", "del", name], check=False)


@pytest.mark.slow
def test_a_run_over_two_hosts_that_share_no_folder_is_that_of_one(two_hosts, ready, tmp_path_factory):
    # Each host has two CPUs, and the run takes three: a worker's part and the judge do not fit on one.
    file = ready / "trueline.toml"
    storage = tmp_path_factory.mktemp("storage").as_uri()
    file.write_text(file.read_text().replace('storage = ""', f'storage = "{storage}"'))
    words = [
        "-m",
        "trueline",
        "align",
        "-p",
        ready,
        "--name",
        "there",
        "--engine",
        "ray",
        "--address",
        f"{HEAD}:6379",
    ]
    inside(two_hosts[0], sys.executable, *words, env={**ENVIRONMENT, "RAY_AUTH_MODE": "token"})
    here, there = (load_file(ready / "runs" / name / "policy" / "model.safetensors") for name in ("whole", "there"))
    for name in here:
        np.testing.assert_allclose(here[name], there[name], atol=1e-5, rtol=0)
