"""From names to what is served: models, gates and keys; and the command itself."""

import re
import signal
import subprocess
import sys

import httpx
import numpy as np
import pytest

from trueline import durable
from trueline.config import Config, RewardConfig
from trueline.errors import InputError
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.policy.load import save_policy
from trueline.records import Annotator, Exchange, Prompt, Rating
from trueline.reward.registry import new_reward
from trueline.serving.opening import Wanted, describe, find_model, open_models

RULES = '[[rule]]\nname = "no zebra"\nmust_not_have = ["zebra"]\nunsafe = true\n'


@pytest.fixture
def project(tmp_path, tiny):
    """A run with a policy, one that is not finished, and a loop that stands by the first."""
    for name in ("one", "half", "loop"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        durable.write_json(tmp_path / "runs" / name / "run.json", {"kind": "align"})
    (tmp_path / "runs" / "one" / "policy").mkdir()
    save_policy(tiny, tmp_path / "runs" / "one" / "policy")
    durable.write_json(tmp_path / "runs" / "loop" / "promoted.json", {"policy": "../one/policy"})
    return tmp_path


def labels():
    """Kind answers are rated 5 in safety, cruel ones 1."""
    rng = np.random.default_rng(0)
    said = [("kind", 5) if i % 2 else ("cruel", 1) for i in range(160)]
    rows = [
        (
            Exchange.of(
                Prompt.from_user(f"question {i // 4}"), " ".join([word, *rng.choice(list("abcdefgh"), 4), str(i)])
            ),
            v,
        )
        for i, (word, v) in enumerate(said)
    ]
    return FeedbackSnapshot(
        {e.prompt.id: e.prompt for e, _ in rows},
        {e.completion.id: e.completion for e, _ in rows},
        tuple(Rating(e.completion.id, "safety", v, Annotator("Ann")) for e, v in rows),
        (),
    )


@pytest.fixture
def reward(project):
    model = new_reward(RewardConfig(members=1), ("safety",))
    model.fit(labels())
    model.save(project / "rewards" / "safe")
    labels().save(project / "rewards" / "safe.snapshot.jsonl")
    return "safe"


def test_models_are_found_as_runs_loops_folders_and_hub_names(project, tiny_folder):
    run = project / "runs" / "one"
    for named, name in (("one", "one"), ("loop", "loop"), (str(run), "one"), (str(run / "policy"), "one")):
        found, place = find_model(named, project)
        assert found == name and (run / "policy").samefile(place)
    assert find_model(str(tiny_folder), project)[0] == tiny_folder.name
    assert find_model("org/some-model", project) == ("org/some-model", "org/some-model")
    with pytest.raises(InputError, match="not finished"):
        find_model("half", project)
    with pytest.raises(InputError, match="two models"):
        open_models(Wanted(["one", str(run)], guarded=False), project, Config())


def test_there_is_a_gate_or_it_is_said_that_there_is_none(project):
    with pytest.raises(InputError, match="--no-gate"):
        open_models(Wanted(["one"]), project, Config())
    with pytest.raises(InputError, match="either"):
        Wanted(["one"], guarded=False, gate="safe")
    open_ = open_models(Wanted(["one"], guarded=False), project, Config())["one"]
    assert open_.gate is None and "NO GATE" in describe(open_)
    (project / "rules.toml").write_text(RULES)
    by_rules = open_models(Wanted(["one"], rules=project / "rules.toml"), project, Config())["one"]
    assert [r.name for r in by_rules.gate.rules] == ["no zebra"] and "NO GATE" not in describe(by_rules)


def test_a_runs_own_limit_on_bad_answers_is_its_gate(project, reward):
    note = {"kind": "align", "reward": f"../../rewards/{reward}", "border": {"safety": [-2.0, 0.5]}}
    durable.write_json(project / "runs" / "one" / "run.json", note)
    bad = open_models(Wanted(["one"], most_bad=0.3), project, Config())["one"].gate.bad
    assert (bad.border.slope, bad.border.intercept, bad.limit) == (-2.0, 0.5, 0.3)


def test_where_bad_begins_is_learned_from_the_rewards_labels(project, reward):
    config = Config(reward=RewardConfig(members=1))
    config = config.model_copy(update={"project": config.project.model_copy(update={"dimensions": ("safety",)})})
    gate = open_models(Wanted(["one"], gate=reward, reward=reward, best_of=3), project, config)["one"].gate
    prompt = Prompt.from_user("how are you")
    judged = gate.answers([Exchange.of(prompt, "kind a b c"), Exchange.of(prompt, "cruel a b c")])
    assert judged.reasons[0] == () and "P(bad) in safety" in judged.reasons[1][0]
    assert judged.bad[0] < 0.5 < judged.bad[1]


def test_the_best_of_several_needs_to_be_told_by_what(project):
    with pytest.raises(InputError, match="--reward"):
        Wanted(["one"], best_of=4)


def command(*options):
    return [sys.executable, "-m", "trueline", "serve", *map(str, options)]


@pytest.mark.slow
def test_the_command_serves_and_asks_for_a_key_beyond_the_machine(project):
    refused = subprocess.run(
        command("-p", project, "--model", "one", "--no-gate", "--host", "0.0.0.0"), capture_output=True, text=True
    )
    assert refused.returncode == 2 and "--new-key" in refused.stderr
    made = subprocess.run(command("-p", project, "--new-key", "an app"), capture_output=True, text=True, check=True)
    key = made.stdout.split()[0]
    served = subprocess.Popen(
        command("-p", project, "--model", "one", "--no-gate", "--port", 0), stdout=subprocess.PIPE, text=True
    )
    said = ""
    while not (found := re.search(r"http://\S+", said)):
        line = served.stdout.readline()
        assert line, said
        said += line
    assert "NO GATE" in said
    body = {"model": "one", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 4}
    asked = httpx.Client(base_url=found[0], timeout=30, transport=httpx.HTTPTransport(retries=20))
    assert asked.post("/chat/completions", json=body).status_code == 401
    answer = asked.post("/chat/completions", json=body, headers={"authorization": f"Bearer {key}"})
    assert answer.status_code == 200 and answer.headers["x-trueline-gate"] == "off"
    served.send_signal(signal.SIGINT)
    assert served.wait(20) in (0, 1, 130, -signal.SIGINT)
    served.stdout.close()
