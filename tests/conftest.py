"""What several tests need: a tiny random policy, the data folder, a project."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from postgres import Server, why_not
from threadpoolctl import threadpool_limits

from trueline.feedback.store import FeedbackStore
from trueline.records import Exchange, Prompt

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")
# Two test processes share two cores: threads that wait for each other would only be in the way.
torch.set_num_threads(1)
threadpool_limits(1)
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

DATA = Path(os.environ.get("TRUELINE_DATA") or Path(__file__).resolve().parents[1].parent / "shared" / "data")
CHROMIUM = shutil.which("chromium")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
WORDS = "order kettle lamp broken late refund hello thanks we will send a new one today 12 34 56 78 anna ben".split()


def pytest_runtest_setup(item):
    if item.get_closest_marker("long") and os.environ.get("TRUELINE_LOAD") != "full":
        pytest.skip("long; set TRUELINE_LOAD=full")


@pytest.fixture(scope="module")
def browser():
    """Debian's Chromium, one at a time in a process, and none while other files use asyncio: Playwright allows neither.
    Skips where there is none.
    """
    if CHROMIUM is None:
        pytest.skip("needs Debian's chromium (apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as p:
        opened = p.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """shared_data("pku_saferlhf/saferlhf_5k.json"): a real data file; skips the test where it is absent."""

    def find(name: str) -> Path:
        if not (DATA / name).exists():
            pytest.skip(f"needs the real data {name} in {DATA}; set TRUELINE_DATA to the folder that has it")
        return DATA / name

    return find


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server of the session's own; skips where there is none."""
    if reason := why_not():
        pytest.skip(reason)
    server = Server.make()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random Llama of 2 layers and d 32, and a tokenizer of its own."""
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

    from trueline.policy.load import Policy, save_policy
    from trueline.policy.tokenizer import train_tokenizer

    tokenizer = train_tokenizer([" ".join(WORDS)] * 20, 320)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=256, tie_word_embeddings=True, bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, initializer_range=0.3,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    model.generation_config = GenerationConfig(eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id)
    folder = tmp_path_factory.mktemp("tiny")
    save_policy(Policy(model, tokenizer, "tiny"), folder)
    return folder


@pytest.fixture
def tiny(tiny_folder: Path):
    from trueline.policy.load import load_policy

    return load_policy(tiny_folder, device="cpu")


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request, tmp_path):
    """Where a fresh store goes: a file, or a database's URL."""
    if request.param == "sqlite":
        return tmp_path / "feedback.db"
    return request.getfixturevalue("postgres").address()


@pytest.fixture
def store(place):
    with FeedbackStore.open(place) as opened:
        yield opened


@pytest.fixture
def exchanges():
    """Three prompts with two answers each."""
    return [Exchange.of(Prompt.from_user(f"question {i}"), f"answer {j}") for i in range(3) for j in range(2)]


@pytest.fixture
def file_store(tmp_path):
    """For what only SQLite has."""
    with FeedbackStore.open(tmp_path / "feedback.db") as opened:
        yield opened
