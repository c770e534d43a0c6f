"""Leaving with a model: other libraries load what is exported and see the same policy; its card tells where it came
from and which weights it speaks of."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from trueline.config import Config
from trueline.errors import InputError, RunError
from trueline.feedback.store import FeedbackStore
from trueline.loop.fitting import fit_reward
from trueline.loop.model_export import export_model
from trueline.loop.project import Project
from trueline.loop.stages import continue_align, start_align
from trueline.policy.chat import encode_prompt
from trueline.policy.load import load_policy
from trueline.policy.scoring import make_batch, score
from trueline.records import Annotator, Exchange, Message, Prompt, Rating
from trueline.whole_model import CARD, card_faults, card_of_model, weight_hashes

ASKED = (Message("user", "order 12"), Message("assistant", "thanks"), Message("user", "refund kettle"))


def settings(model, **align):
    return Config(
        project={"scenario": "", "dimensions": ("quality",)},
        policy={"model": str(model), "max_new_tokens": 8, "max_prompt_tokens": 64, "temperature": 0.7},
        objective={"weights": {"quality": 1.0}},
        reward={"features": ("words",)},
        align={
            "steps": 2,
            "prompts_per_step": 4,
            "samples_per_prompt": 2,
            "workers": 1,
            "learning_rate": 0.02,
            **align,
        },
    )


def trained(folder, model, **align):
    """A project of 40 questions that a person and a program have rated, and a run of two steps."""
    project = Project.create(folder, settings(model, **align))
    exchanges = [Exchange.of(Prompt.from_user(f"order {i}"), f"{w} {i}") for i in range(40) for w in ("thanks", "late")]
    people = (Annotator("Ann"), Annotator("robot", simulated=True))
    marks = [
        Rating(e.completion.id, "quality", 5 if e.completion.text.startswith("thanks") else 1, p)
        for e in exchanges
        for p in people
    ]
    with FeedbackStore.open(project.store_path) as store:
        store.add(exchanges, marks)
    fit_reward(project, project.reward_folder("default"), set())
    run = project.run_folder("one")
    run.mkdir(parents=True)
    start_align(project, run, project.base_policy, project.reward_folder("default"), seed=0)
    continue_align(run)
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny_folder):
    return trained(tmp_path_factory.mktemp("p") / "lora", tiny_folder, lora_rank=4)


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    return export_model("one", run / "policy", tmp_path_factory.mktemp("out") / "model").folder


def logprobs(model, prompt, answer):
    """By the plain forward pass of another library: of each token of the answer."""
    with torch.no_grad():
        found = model(torch.tensor([[*prompt, *answer]])).logits.double().log_softmax(-1)[0]
    return torch.stack([found[len(prompt) - 1 + i, token] for i, token in enumerate(answer)])


def own_logprobs(policy, prompt, answer):
    with torch.no_grad():
        return score(policy.model, make_batch([prompt], [answer], policy.pad_id), 1.0).logprobs[0].double()


def test_plain_transformers_sees_the_same_policy(run, exported, tiny_folder):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    policy = load_policy(run / "policy", device="cpu")
    tokenizer = AutoTokenizer.from_pretrained(exported)
    turns = [{"role": m.role, "content": m.content} for m in ASKED]
    prompt = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=True)["input_ids"]
    assert prompt == encode_prompt(policy, Prompt(ASKED), 256)
    answer = [7, 9, 11, tokenizer.eos_token_id]
    model = AutoModelForCausalLM.from_pretrained(exported, dtype=torch.float32)
    found = logprobs(model, prompt, answer)
    torch.testing.assert_close(found, own_logprobs(policy, prompt, answer), atol=1e-5, rtol=0)
    base = own_logprobs(load_policy(tiny_folder, device="cpu"), prompt, answer)
    assert (found - base).abs().max() > 1e-3, "it was trained"
    drawing = model.generation_config
    assert (drawing.do_sample, drawing.temperature, drawing.top_k, drawing.max_new_tokens) == (True, 0.7, 0, 8)


def test_peft_puts_the_adapter_onto_the_base(run, tiny_folder, tmp_path):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    done = export_model("one", run / "policy", tmp_path / "adapter", "adapter")
    assert {p.name for p in done.folder.iterdir()} == {"adapter_config.json", "adapter_model.safetensors", CARD}
    policy = load_policy(run / "policy", device="cpu")
    base = AutoModelForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32)
    prompt, answer = encode_prompt(policy, Prompt(ASKED), 256), [7, 9, 11]
    before = logprobs(base, prompt, answer)
    found = logprobs(PeftModel.from_pretrained(base, done.folder), prompt, answer)
    torch.testing.assert_close(found, own_logprobs(policy, prompt, answer), atol=1e-5, rtol=0)
    assert (found - before).abs().max() > 1e-3
    assert str(tiny_folder) not in "".join(
        p.read_text("utf-8") for p in done.folder.iterdir() if "model." not in p.name
    )
    assert card_faults(done.folder) == []


def test_the_weights_are_those_of_the_run_and_the_card_names_them(run, exported):
    assert weight_hashes(exported) == weight_hashes(run / "policy") == card_of_model(exported)["weights"]
    assert card_faults(exported) == card_faults(run / "policy") == []


def test_the_card_says_where_the_policy_came_from(run, exported, tiny_folder):
    told = card_of_model(exported)
    snapshot = json.loads((run.parent.parent / "rewards" / "default.json").read_text())["snapshot_sha256"]
    assert told["labels"] == {
        "snapshot_sha256": snapshot, "ratings": 160, "comparisons": 0, "people": 1, "simulated": 1
    }  # fmt: skip
    assert told["base"] == {"name": tiny_folder.name, "hub": "", "weights": weight_hashes(tiny_folder)}
    assert (told["algorithm"], told["lineage"]["steps"], told["lineage"]["run"]) == ("rloo", 2, "one")
    text = (exported / CARD).read_text("utf-8")
    assert "By 1 person and **1 SIMULATED annotator: programs, not people**" in text
    assert "License: not chosen yet" in text and "Refused: to decide about people" in text
    assert "align.learning\\_rate: 0.02" in text and "policy.temperature: 0.7" in text and "dpo" not in text
    assert "None yet: nothing is known of how good it is" in text
    assert str(run.parent) not in text and str(tiny_folder.parent) not in text, "it names no place on this machine"


def test_the_hub_library_reads_the_header(exported):
    from huggingface_hub import ModelCard

    data = ModelCard.load(exported / CARD).data
    assert (data.library_name, data.pipeline_tag, data.license) == ("transformers", "text-generation", None)
    assert set(data.tags) == {"trueline", "rlhf", "rloo"}
    assert data.base_model is None, "a folder is no model of the hub's"


def test_every_finished_run_leaves_a_card_and_the_same_one_again(run):
    path = run / "policy" / CARD
    before = path.read_bytes()
    path.unlink()  # as if it had been killed just before
    continue_align(run)
    assert path.read_bytes() == before


def report(folder):
    sides = {
        "before": {"value": 0.4, "low": 0.3, "high": 0.5, "n": 20},
        "after": {"value": 0.7, "low": 0.6, "high": 0.8, "n": 20},
    }
    kl = {"before": None, "after": {"value": 3.25, "low": 3.0, "high": 3.5, "n": 20}}
    folder.mkdir(parents=True)
    rows = {"metrics": {"finished_share": {**sides, "change": None}, "kl": {**kl, "change": None}}, "judge": "Eve"}
    (folder / "report.json").write_text(json.dumps(rows))


def test_an_evaluation_comes_into_the_card_with_its_intervals(run, tmp_path):
    report(run / "report")
    try:
        done = export_model("one", run / "policy", tmp_path / "model")
    finally:
        (run / "report" / "report.json").unlink()
        (run / "report").rmdir()
    text = (done.folder / CARD).read_text("utf-8")
    assert "judge: Eve" in text and "| 40.0% | 30.0% to 50.0% | 70.0% | 60.0% to 80.0% |" in text
    assert "3.250 nats an answer, 95% interval 3.000 to 3.500" in text


def as_a_round(run, loop):
    """The same run as the second round of a loop, which stands by it; labels are those of the round."""
    import shutil

    here = loop / "round-02"
    shutil.copytree(run, here / "align")
    shutil.move(here / "align" / "policy" / CARD, loop / "old.md")
    project = run.parent.parent
    shutil.copy(project / "rewards" / "default.snapshot.jsonl", here / "snapshot.jsonl")
    noted = json.loads((run / "run.json").read_text())
    noted |= {"reward": "../reward", "policy": "../../round-01/align/policy"}
    (here / "align" / "run.json").write_text(json.dumps(noted))
    shutil.copytree(run / "policy", loop / "round-01" / "align" / "policy")
    (loop / "round-01" / "align" / "run.json").write_text(json.dumps(noted))
    (loop / "run.json").write_text(json.dumps({"kind": "loop", "rounds": 2, "config": noted["config"]}))
    promoted = {"round": 2, "policy": "round-02/align/policy", "came_from": [1, 2]}
    (loop / "promoted.json").write_text(json.dumps(promoted))
    report(here / "report")


def test_of_a_loop_the_promoted_policy_goes_out_with_its_rounds(run, tmp_path):
    from trueline.serving.opening import find_model

    loop = run.parent / "turns"
    as_a_round(run, loop)
    name, place = find_model("turns", run.parent.parent)
    done = export_model(name, Path(place), tmp_path / "model")
    told, text = card_of_model(done.folder), (done.folder / CARD).read_text("utf-8")
    assert done.name == "turns" and told["lineage"]["promoted rounds behind it"] == [1, 2]
    assert told["lineage"]["run"] == "turns, round 02" and told["start"]["name"] == "turns, round 01"
    assert told["base"]["name"] != told["start"]["name"] and "This training began with turns, round 01" in text
    assert told["labels"]["people"] + told["labels"]["simulated"] == 1, "one of the two taught, the other judged"
    assert "judge: Eve" in text


@pytest.mark.parametrize("change", ["other bytes", "one more", "gone", "card cut", "no weights named"])
def test_a_card_beside_other_weights_is_found_out_and_refused(run, tmp_path, change):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    policy = copy / "policy"
    weights = policy / "model.safetensors"
    if change == "other bytes":
        data = bytearray(weights.read_bytes())
        data[-1] ^= 1
        weights.write_bytes(data)
    elif change == "one more":
        (policy / "model-2.safetensors").write_bytes(b"x")
    elif change == "gone":
        weights.unlink()
    else:
        text = (policy / CARD).read_text()
        old, new = {"card cut": ("weights:", "weights: ["), "no weights named": ("  weights:\n", "  weight:\n")}[change]
        (policy / CARD).write_text(text.replace(old, new, 1))
    (fault,) = card_faults(policy)
    assert str(policy) in fault and "\n" not in fault
    with pytest.raises(InputError, match=r"copy the whole model folder again, or delete README\.md"):
        export_model("one", policy, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    from trueline.serving.opening import Wanted, open_models

    with pytest.raises(InputError, match=r"README\.md"):
        open_models(Wanted([str(policy)], guarded=False), tmp_path, Config())


def test_a_folder_without_a_card_of_ours_has_no_faults(tiny_folder, tmp_path):
    assert card_faults(tiny_folder) == []
    (tmp_path / CARD).write_text("---\nlicense: mit\n---\n# Somebody's\n")
    (tmp_path / "model.safetensors").write_bytes(b"x")
    assert card_faults(tmp_path) == []


def test_what_cannot_be_exported_is_said_in_one_line(run, tiny_folder, tmp_path):
    with pytest.raises(InputError, match="not the policy of a run"):
        export_model("tiny", tiny_folder, tmp_path / "out")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(InputError, match="holds something else"):
        export_model("one", run / "policy", tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").exists()
    for _ in range(2):  # an export of ours is replaced
        export_model("one", run / "policy", tmp_path / "out")


def test_without_lora_there_is_no_adapter_and_without_a_template_one_comes(tmp_path, shared_data):
    from transformers import AutoTokenizer

    run = trained(tmp_path / "p", shared_data("models/stories260k"))
    with pytest.raises(InputError, match="trained without LoRA"):
        export_model("one", run / "policy", tmp_path / "out", "adapter")
    out = export_model("one", run / "policy", tmp_path / "out").folder
    policy, tokenizer = load_policy(run / "policy", device="cpu"), AutoTokenizer.from_pretrained(out)
    assert policy.tokenizer.chat_template is None
    for turns in (ASKED, ASKED[:1], (Message("system", "be kind"), Message("user", "a\n{{ b }}"))):
        asked = [{"role": m.role, "content": m.content} for m in turns]
        ids = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_dict=True)["input_ids"]
        assert ids == encode_prompt(policy, Prompt(tuple(turns)), 512)


CONVERTER = """#!{python}
import pathlib, sys
folder, said = pathlib.Path(sys.argv[1]), dict(zip(sys.argv[2::2], sys.argv[3::2]))
assert said["--outtype"] == "f32" and said["--model-name"] == "a; b", said
if (pathlib.Path(__file__).parent / "fail").exists():
    sys.exit("NotImplementedError: this tokenizer is not known")
pathlib.Path(said["--outfile"]).write_bytes(b"GGUF" + (folder / "model.safetensors").read_bytes())
"""


@pytest.mark.parametrize("by", ["path", "variable"])
def test_gguf_comes_from_the_converter_that_is_there(run, tmp_path, monkeypatch, by):
    """By a stand-in for llama.cpp's program, which is called as it is."""
    monkeypatch.setenv("PATH", str(tmp_path / "tools"))
    monkeypatch.delenv("LLAMA_CPP", raising=False)
    with pytest.raises(InputError, match=r"get github.com/ggml-org/llama.cpp.*set LLAMA_CPP"):
        export_model("a; b", run / "policy", tmp_path / "out", "gguf")
    script = tmp_path / "tools" / "convert_hf_to_gguf.py"
    script.parent.mkdir()
    script.write_text(CONVERTER.format(python=sys.executable))
    if by == "path":
        script.chmod(0o755)
    else:
        monkeypatch.setenv("LLAMA_CPP", str(script.parent))
    out = export_model("a; b", run / "policy", tmp_path / "out", "gguf").folder
    assert {p.name for p in out.iterdir()} == {"a; b.gguf", CARD}
    assert (out / "a; b.gguf").read_bytes()[4:] == (run / "policy" / "model.safetensors").read_bytes()
    assert card_of_model(out)["weights"] == weight_hashes(out) and card_faults(out) == []
    (script.parent / "fail").touch()
    with pytest.raises(RunError, match="this tokenizer is not known"):
        export_model("a; b", run / "policy", tmp_path / "other", "gguf")
    assert not list(tmp_path.glob("*other*"))


def test_a_hub_gets_what_was_written_and_private(exported, monkeypatch):
    from stand_in_hub import Hub

    from trueline.loop.hub import push

    monkeypatch.setenv("HF_TOKEN", "hf_stand_in")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    with Hub(public=["me/open"]) as hub:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        assert push(exported, "me/one") == f"{hub.url}/me/one"
        assert hub.repos["me/one"] is True and hub.tokens == {"Bearer hf_stand_in"}
        assert hub.files == {p.name: p.read_bytes() for p in exported.iterdir()}
        hub.files.clear()
        with pytest.raises(InputError, match="everybody can read that repository"):
            push(exported, "me/open")
        assert hub.files == {}
        push(exported, "me/open", public=True)
        assert hub.files
        with pytest.raises(InputError, match="--push a b: Repo id"):
            push(exported, "a b")


@pytest.mark.slow
def test_the_command_pushes_to_the_endpoint_that_is_named(run, tmp_path):
    import os

    from stand_in_hub import Hub

    with Hub() as hub:
        said = {"HF_ENDPOINT": hub.url, "HF_TOKEN": "hf_stand_in", "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0"}
        command = [sys.executable, "-m", "trueline", "export", "model", str(run), str(tmp_path / "out"), "--json"]
        done = subprocess.run(
            [*command, "--push", "me/one"], env={**os.environ, **said}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["hub"] == f"{hub.url}/me/one" and hub.repos == {"me/one": True}
        quiet = subprocess.run(command, env={**os.environ, **said}, capture_output=True, text=True)
        asked = len(hub.asked)
        assert json.loads(quiet.stdout)["hub"] is None and len(hub.asked) == asked, "unasked it asks no network"


def test_the_command_says_what_goes_with_what(run, tmp_path):
    from trueline.cli.main import app

    def refused(*words):
        return str(CliRunner().invoke(app, ["export", *map(str, words)]).exception)

    assert "name the run or loop" in refused("model", run)
    assert "go with `trueline export model RUN OUT`" in refused("ratings", tmp_path / "x.jsonl", "--gguf")
    assert "two forms" in refused("model", run, tmp_path / "x", "--gguf", "--adapter")
    assert "name the file to write" in refused("ratings", run, tmp_path / "x.jsonl")
    assert "--public goes with --push" in refused("model", run, tmp_path / "x", "--public")
