"""A served model asked by `trueline monitor`: the two commands as somebody would run them."""

import json
import time
import urllib.request

import pytest
from command import start, trueline
from serving import free_port


@pytest.fixture
def served(project, tiny_folder):
    """The URL of the project's policy behind the API, and its name there."""
    port = free_port()
    process = start("serve", "-p", project, "--model", tiny_folder, "--no-gate", "--port", port, "--no-browser")
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            assert process.poll() is None, process.communicate()
            try:
                with urllib.request.urlopen(f"{url}/v1/models", timeout=5) as answer:
                    yield f"{url}/v1", json.load(answer)["data"][0]["id"]
                    break
            except OSError:
                time.sleep(0.1)
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.slow
def test_a_served_model_is_measured_and_compared_with_the_first_time(project, served):
    url, name = served
    first = trueline("monitor", url, "--model", name, "-p", project)
    assert first.code == 0, first.err
    assert "10 of 10 answered" in first.out
    assert all(d in first.out for d in ("quality", "safety", "consistency"))
    again = trueline("monitor", url, "--model", name, "-p", project, "--json")
    assert again.code in (0, 1), again.err
    assert json.loads(again.out)["changes"].keys() == {"quality", "safety", "consistency"}
    wrong = trueline("monitor", url, "--model", "nobody", "-p", project)
    assert wrong.code == 1
    assert "10 of 10 prompts got no answer (HTTP 404)" in wrong.err
