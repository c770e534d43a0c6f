"""docs/tutorial.md, command by command, as somebody types it; only the sizes are smaller."""

import re
import signal
from pathlib import Path

import pytest
from command import start, trueline
from documented import commands

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tutorial.md"
SMALLER = {"prompts": 60, "prompts_later": 30, "steps": 4, "workers": 1}


@pytest.mark.slow
def test_the_tutorial_can_be_followed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = {}
    for words in commands(PAGE):
        line = " ".join(words)
        if words[0] == "serve":
            serve(words)
            continue
        done = trueline(*words)
        assert done.code == 0, f"trueline {line}: {done.err}"
        said[line] = done.out
        if line == "init shop":
            shrink(tmp_path / "shop" / "trueline.toml")
    assert (tmp_path / "shop" / "runs" / "first" / "report" / "report.html").exists()
    assert (tmp_path / "shop-model" / "model.safetensors").exists()
    assert "mine" in {p.name for p in tmp_path.iterdir()}
    assert len(said) > 10


def shrink(file):
    text = file.read_text()
    for name, value in SMALLER.items():
        text, n = re.subn(rf"(?m)^{name} = \d+", f"{name} = {value}", text)
        assert n, name
    file.write_text(text)


def serve(words):
    """Open to the first address that it prints, and ended with Ctrl-C as the page says."""
    more = ["--port", "0", *([] if "--model" in words else ["--no-browser", "--no-worker"])]
    process = start(*words, *more)
    try:
        for line in process.stdout:
            if "http://" in line:
                break
        else:
            pytest.fail(f"trueline {' '.join(words)}: {process.stderr.read()}")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) in (0, 1, -signal.SIGINT)
    finally:
        process.kill()
        process.wait()
