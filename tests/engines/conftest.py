"""A Ray cluster on this machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

ALIGN = Path(__file__).parents[1] / "align"
sys.path.insert(0, str(ALIGN))


@pytest.fixture(scope="module")
def two_nodes():
    """A head with room for every run of these tests, and a node that may be lost; this process is connected to it."""
    ray = pytest.importorskip("ray", reason="the extra ray is not installed")
    from ray.cluster_utils import Cluster

    # Functions of test modules are found by their names in the actors' processes too.
    os.environ["PYTHONPATH"] = os.pathsep.join(
        [str(ALIGN), str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    )
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    made = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 8, "object_store_memory": 200 * 2**20, "include_dashboard": False},
    )
    ray.init(address=made.address, log_to_driver=False, namespace="trueline")
    yield made
    ray.shutdown()
    made.shutdown()
