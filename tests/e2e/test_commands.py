"""Every command through its real door, with its JSON object, on a tiny policy."""

import json

import pytest
from command import trueline

from trueline.config import load, render


def test_init_writes_a_project_that_loads(tmp_path):
    done = trueline("init", tmp_path / "p", "--json")
    assert done.code == 0
    assert load(tmp_path / "p" / "trueline.toml")
    assert done.json["config"].endswith("trueline.toml")
    again = trueline("init", tmp_path / "p")
    assert again.code == 2 and "exists already" in again.err and len(again.err.splitlines()) == 1


@pytest.mark.slow
def test_the_stages_one_by_one_on_the_scenario(project):
    collected = trueline("collect", "-p", project, "--json")
    assert collected.code == 0, collected.err
    assert collected.json["simulated"] is True and collected.json["ratings"] > 0
    assert (collected.json["prompts"], collected.json["held_out"]) == (30, 6)
    assert trueline("collect", "-p", project, "--json").json["store"] == collected.json["store"]
    fitted = trueline("reward", "-p", project, "--json")
    assert fitted.code == 0, fitted.err
    assert set(fitted.json["dimensions"]) == {"quality", "safety", "consistency"}
    measured = trueline("reward", "evaluate", "-p", project, "--json")
    assert measured.code == 0, measured.err
    assert measured.json["held_out"] > 0 and all(f["n_rated"] for f in measured.json["figures"].values())
    trained = trueline("align", "-p", project, "--name", "a", "--json")
    assert trained.code == 0, trained.err
    again = trueline("align", "-p", project, "--name", "a")
    assert again.code == 2 and "exists already" in again.err
    unfinished = trueline("report", project / "runs" / "a")
    assert unfinished.code == 2 and "no report here" in unfinished.err
    evaluated = trueline("evaluate", project / "runs" / "a", "-p", project, "--json")
    assert evaluated.code == 0, evaluated.err
    for name in ("unsafe_share", "consistent_share", "quality", "win_rate", "kl", "length", "distinct_2"):
        assert set(evaluated.json["metrics"][name]["after"]) == {"value", "low", "high", "n"}
    shown = trueline("report", project / "runs" / "a")
    assert shown.code == 0 and "unsafe_share" in shown.out
    assert shown.out.rstrip().splitlines()[-1].startswith("report: ")


@pytest.mark.slow
def test_a_loop_on_the_scenario(project):
    done = trueline("loop", "-p", project, "--name", "l")
    assert done.code == 0, done.err
    assert "simulated annotators" in done.out
    run = project / "runs" / "l"
    report = json.loads((run / "report" / "report.json").read_text())
    assert report["simulated"] is True
    assert [row["round"] for row in report["curves"]] == [1, 1, 1, 2, 2, 2]
    for number in (1, 2):
        assert (run / f"round-0{number}" / "align" / "policy" / "model.safetensors").exists()
        for name in ("reward", "judge"):
            assert "(simulated)" in (run / f"round-0{number}" / f"{name}.card.md").read_text("utf-8")
    assert done.out.rstrip().splitlines()[-1] == f"report: {run / 'report' / 'report.html'}"
    decisions = [json.loads((run / f"round-0{n}" / "decision.json").read_text()) for n in (1, 2)]
    assert [d["round"] for d in decisions] == [1, 2] and report["story"]["decisions"] == decisions
    assert [r["version"] for r in report["story"]["ranking"]] == ["base policy", "round 1", "round 2"]
    promoted = [d["round"] for d in decisions if d["promoted"]]
    if promoted:
        stands = json.loads((run / "promoted.json").read_text())
        assert stands["came_from"] == promoted and stands["reward"]["simulated"] is True
    resumed = trueline("resume", run)
    assert resumed.code == 0 and resumed.out.rstrip().endswith("report.html")


def own_rows():
    words = ["good clear helpful", "bad rude useless"]
    return [
        {
            "prompt": f"question {i} about thing {i % 5}",
            "completion": f"{words[j]} answer {i} {k}",
            "ratings": {"quality": 5 - 4 * j, "safety": 4 - 2 * j},
            "annotator": f"person {k}",
        }
        for i in range(40)
        for j in (0, 1)
        for k in range(2)
    ]


@pytest.mark.slow
def test_a_project_of_ones_own_from_labels_to_report(tmp_path, small_config):
    project = tmp_path / "own"
    project.mkdir()
    settings = {"scenario": "", "dimensions": ("quality", "safety")}
    config = small_config.model_copy(update={"project": small_config.project.model_copy(update=settings)})
    (project / "trueline.toml").write_text(render(config))
    rows = own_rows()
    lines = [json.dumps(r) for r in rows]
    lines.insert(3, json.dumps({"completion": "no prompt"}))
    (tmp_path / "labels.jsonl").write_text("\n".join(lines))
    imported = trueline("import", "jsonl", tmp_path / "labels.jsonl", "-p", project, "--json")
    assert imported.code == 0, imported.err
    assert imported.json["added"]["ratings"] == 2 * len(rows)
    assert len(imported.json["errors"]) == 1 and "line 4: has no prompt" in imported.json["errors"][0]
    for name, people in (("reward", "person 0"), ("judge", "person 1")):
        fitted = trueline("reward", "-p", project, "--name", name, "--annotators", people, "--json")
        assert fitted.code == 0, fitted.err
        assert fitted.json["dimensions"]["quality"]["accuracy"] == 1.0
    assert trueline("reward", "-p", project, "--annotators", "nobody").code == 2
    assert trueline("align", "-p", project, "--name", "a").code == 0
    evaluated = trueline("evaluate", project / "runs" / "a", "-p", project, "--judge", "judge", "--json")
    assert evaluated.code == 0, evaluated.err
    asked = trueline("evaluate", project / "runs" / "a", "-p", project, "--judge", "judge", "--people", "--json")
    people = asked.json["judges"][-1]
    assert people["name"] == "people" and people["people"] is None
    assert "wait for people" in people["note"] or people["wins"]["value"] == 0.5  # all answers are the same texts
    report = json.loads((project / "runs" / "a" / "report" / "report.json").read_text())
    assert report["simulated"] is False and "judge" in report["judge"]
    assert set(report["metrics"]) >= {"quality", "safety", "win_rate", "kl", "length", "distinct_2"}
    pairs = config.model_copy(update={"align": config.align.model_copy(update={"algorithm": "dpo"})})
    (project / "trueline.toml").write_text(render(pairs))
    assert trueline("align", "-p", project, "--name", "b").code == 0
    assert trueline("evaluate", project / "runs" / "b", "-p", project, "--judge", "judge").code == 0


@pytest.mark.slow
def test_a_loop_over_the_labels_that_are_there_waits_for_nobody(tmp_path, small_config):
    project = tmp_path / "own"
    project.mkdir()
    settings = {"scenario": "", "dimensions": ("quality", "safety")}
    config = small_config.model_copy(update={"project": small_config.project.model_copy(update=settings)})
    (project / "trueline.toml").write_text(render(config))
    (tmp_path / "labels.jsonl").write_text("\n".join(map(json.dumps, own_rows())))
    assert trueline("import", "jsonl", tmp_path / "labels.jsonl", "-p", project).code == 0
    (project / "rules.toml").write_text('[[rule]]\nname = "short"\nmost_words = 3\n')
    text = (project / "trueline.toml").read_text().replace('rules = ""', 'rules = "rules.toml"')
    (project / "trueline.toml").write_text(text)
    done = trueline("loop", "-p", project, "--name", "l", "--annotators", "nobody", "--budget", "hours=1")
    assert done.code == 0, done.err
    assert "no new labels since round 1" in done.out and "waiting for people" not in done.out
    report = json.loads((project / "runs" / "l" / "report" / "report.json").read_text())
    assert report["simulated"] is False
    assert [row["name"] for row in report["story"]["judges"]["rows"]][-1] == "the rules of rules.toml"
    assert trueline("loop", "-p", project, "--budget", "weeks=1").code == 2
