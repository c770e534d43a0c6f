"""Bad input and faults: one line that names what, where and what to do; the right exit code; nothing lost."""

import hashlib
import json
import resource
import shutil
import signal
import time

import pytest
from command import start, trueline

from trueline.config import render


def refused(done, code, *words):
    assert done.code == code, done.out + done.err
    assert "Traceback" not in done.err
    assert len(done.err.strip().splitlines()) == 1, done.err
    assert done.err.startswith("trueline: ")
    for word in words:
        assert word in done.err
    return True


def with_model(project, small_config, model):
    policy = small_config.policy.model_copy(update={"model": str(model)})
    (project / "trueline.toml").write_text(render(small_config.model_copy(update={"policy": policy})))


def test_a_wrong_setting_is_named_with_its_line_and_the_nearest_name(project):
    text = (project / "trueline.toml").read_text().replace("learning_rate = 0.0004", "learning_rat = 0.0004")
    (project / "trueline.toml").write_text(text)
    line = next(i for i, row in enumerate(text.splitlines(), 1) if row.startswith("learning_rat "))
    refused(trueline("loop", "-p", project), 2, f"line {line}", "align.learning_rat", "'learning_rate'")


def test_a_wrong_word_on_the_command_line(project):
    refused(trueline("loop", "-p", project, "--round", "2"), 2, "--round")
    refused(trueline("loop", "-p", project, "--rounds", "two"), 2, "--rounds", "integer")
    refused(trueline("lop"), 2, "lop")


def test_no_project_here(tmp_path):
    refused(trueline("loop", "-p", tmp_path / "nowhere"), 2, "trueline init")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda folder: shutil.rmtree(folder), ["no such folder"]),
        (lambda folder: (folder / "model.safetensors").unlink(), ["model.safetensors"]),
        (lambda folder: (folder / "config.json").unlink(), ["config.json"]),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"\x10" * 1000), ["cannot be loaded"]),
        (lambda folder: (folder / "config.json").write_text("{"), ["cannot be loaded"]),
    ],
)
def test_a_missing_or_half_written_model_folder(project, small_config, tiny_folder, tmp_path, spoil, words):
    shutil.copytree(tiny_folder, tmp_path / "model")
    spoil(tmp_path / "model")
    with_model(project, small_config, tmp_path / "model")
    refused(trueline("collect", "-p", project), 2, str(tmp_path / "model"), *words)


def test_data_files_that_cannot_be_used(project, tmp_path):
    empty, cut = tmp_path / "empty.jsonl", tmp_path / "cut.json"
    empty.write_text("")
    cut.write_text('[{"prompt": "a"')
    refused(trueline("import", "jsonl", empty, "-p", project), 2, "empty.jsonl", "is empty")
    refused(trueline("import", "pku_saferlhf", cut, "-p", project), 2, "cut.json", "not valid JSON")
    refused(trueline("import", "jsonl", tmp_path / "none", "-p", project), 2, "cannot be read")
    refused(trueline("import", "hh_harmles", empty, "-p", project), 2, "'hh_harmless'")


def test_rows_that_cannot_be_used_are_named_and_the_others_go_in(project, tmp_path):
    rows = [
        {"prompt": "a", "completion": "b", "ratings": {"quality": 4}},
        {"prompt": "a", "completion": "c", "ratings": {"quality": 9}},
        {"completion": "c"},
    ]
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    done = trueline("import", "jsonl", file, "-p", project)
    assert done.code == 0
    assert "line 2: quality is 9, must be 1 to 5" in done.out and "line 3: has no prompt" in done.out
    assert "1 ratings" in done.out


def test_a_reward_without_labels(project):
    refused(trueline("reward", "-p", project), 2, "no ratings to learn quality from")


def test_a_run_that_is_none(tmp_path):
    refused(trueline("resume", tmp_path), 2, "not a run folder")
    refused(trueline("report", tmp_path), 2, "no report here")


def test_a_run_name_stays_inside_the_project(project):
    refused(trueline("align", "-p", project, "--name", "../../outside"), 2, "plain name")
    refused(trueline("reward", "-p", project, "--name", "../outside"), 2, "plain name")


def weights(run):
    return (run / "policy" / "model.safetensors").read_bytes()


@pytest.mark.slow
def test_ctrl_c_in_the_middle_of_training_loses_nothing(ready):
    settings = ready / "trueline.toml"
    settings.write_text(settings.read_text().replace("\nsteps = 3\n", "\nsteps = 60\n"))
    longer = trueline("align", "-p", ready, "--name", "longer")
    assert longer.code == 0, longer.err
    process = start("align", "-p", ready, "--name", "stopped")
    while not (ready / "runs" / "stopped" / "checkpoints" / "step-000001").exists():
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1 and "Traceback" not in err
    assert err.strip().splitlines()[-1].startswith("trueline: stopped")
    assert trueline("resume", ready / "runs" / "stopped").code == 0
    assert weights(ready / "runs" / "stopped") == weights(ready / "runs" / "longer")


@pytest.mark.slow
def test_a_full_disk_is_named_and_the_step_before_is_kept(ready):
    """A limit on file sizes stands for the disk: the write fails in the same place, with the same kind of error.

    It lets through what the workers share, and the weights, but not the optimiser's two moments.
    """
    limit = 180_000

    def no_space():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    done = trueline("align", "-p", ready, "--name", "full", preexec_fn=no_space)
    refused(done, 1, "cannot be saved", "trueline resume")
    run = ready / "runs" / "full"
    assert not list((run / "checkpoints").glob("step-*"))
    assert trueline("resume", run).code == 0
    assert weights(run) == weights(ready / "runs" / "whole")


@pytest.mark.slow
def test_a_reward_that_is_no_number_stops_with_the_text_named(ready):
    from safetensors.numpy import load_file, save_file

    path = ready / "rewards" / "reward" / "weights.safetensors"
    arrays = {k: v.copy() for k, v in load_file(path).items()}
    arrays["coef"][:] = float("nan")
    save_file(arrays, path)
    head = json.loads((path.parent / "model.json").read_text())
    head["parts"][path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    (path.parent / "model.json").write_text(json.dumps(head))
    refused(trueline("align", "-p", ready, "--name", "nan"), 1, "not a number", "the reward of '")
