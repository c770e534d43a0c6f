"""MLflow and W&B get every step once, in one run however often ours is interrupted, and cannot harm it.

Stand-ins follow what is documented: MLflow keeps all that is logged, under a run's id; W&B drops steps that go back.
"""

import sys
from types import ModuleType, SimpleNamespace

import pytest

from trueline.align.journal import Journal, read_metrics

VARIABLES = ("MLFLOW_TRACKING_URI", "WANDB_MODE", "WANDB_API_KEY", "WANDB_PROJECT")


class MLflow(ModuleType):
    """Runs by their id: what was logged as (step, metrics), and how the run ended."""

    def __init__(self):
        super().__init__("mlflow")
        self.runs, self.active = {}, None

    def start_run(self, run_id=None, run_name=None):
        assert self.active is None, "a run is active already"
        if run_id is None:
            run_id = f"id-{len(self.runs)}"
            self.runs[run_id] = SimpleNamespace(name=run_name, logged=[], status=None)
        self.active = self.runs[run_id]
        latest = {k: v for _, metrics in sorted(self.active.logged, key=lambda x: x[0]) for k, v in metrics.items()}
        return SimpleNamespace(info=SimpleNamespace(run_id=run_id), data=SimpleNamespace(metrics=latest))

    def log_metrics(self, metrics, step=None):
        self.active.logged.append((step, metrics))

    def end_run(self, status="FINISHED"):
        self.active.status, self.active = status, None


class Wandb(ModuleType):
    def __init__(self):
        super().__init__("wandb")
        self.runs = {}

    def init(self, id, resume, name, dir):
        assert resume == "allow" and not set(id) & set("/\\#?%:")
        return self.runs.setdefault(id, WandbRun(dir))


class WandbRun:
    def __init__(self, place):
        self.dir, self.logged, self.code = place, [], None

    def log(self, data, step):
        if not self.logged or step > self.logged[-1][0]:
            self.logged.append((step, data))

    def finish(self, exit_code=None):
        self.code = exit_code


@pytest.fixture(autouse=True)
def nobody_asks(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def mlflow(monkeypatch):
    return add(monkeypatch, MLflow(), "MLFLOW_TRACKING_URI")


@pytest.fixture
def wandb(monkeypatch):
    return add(monkeypatch, Wandb(), "WANDB_PROJECT")


def add(monkeypatch, module, variable):
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setenv(variable, "somewhere")
    return module


def steps(folder, first, last):
    with Journal.open(folder, first - 1) as journal:
        for step in range(first, last + 1):
            journal.add({"step": step, "kl": step / 10, "warnings": ["a word"]})


def test_each_step_is_told_once_in_one_run_whatever_interrupts_it(tmp_path, mlflow, wandb):
    with pytest.raises(RuntimeError), Journal.open(tmp_path, 0) as journal:
        for step in (1, 2, 3):
            journal.add({"step": step, "kl": step / 10, "warnings": ["a word"]})
        raise RuntimeError
    (told,), (theirs,) = mlflow.runs.values(), wandb.runs.values()
    assert told.status == "FAILED" and theirs.code == 1
    steps(tmp_path, 2, 2)  # the checkpoint was that of step 1; a second interruption comes before what was told
    steps(tmp_path, 3, 5)
    expected = [(step, {"step": step, "kl": step / 10}) for step in range(1, 6)]
    assert told.logged == theirs.logged == expected
    assert len(mlflow.runs) == len(wandb.runs) == 1 and told.status == "FINISHED" and theirs.code == 0
    steps(tmp_path / "another", 1, 1)
    assert len(mlflow.runs) == len(wandb.runs) == 2


@pytest.mark.parametrize("where", ["start_run", "log_metrics", "end_run"])
def test_a_tracker_that_fails_is_off_after_one_warning_and_stops_nothing(
    tmp_path, mlflow, wandb, monkeypatch, capsys, where
):
    def fail(*args, **kwargs):
        raise ConnectionError("nobody\nanswers")

    monkeypatch.setattr(mlflow, where, fail, raising=True)
    steps(tmp_path, 1, 3)
    assert [row["step"] for row in read_metrics(tmp_path)] == [1, 2, 3]
    assert [step for run in wandb.runs.values() for step, _ in run.logged] == [1, 2, 3]
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("mlflow is off for this run (ConnectionError: nobody answers)")


def test_one_that_nobody_asks_for_is_left_alone(tmp_path, mlflow, wandb, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.setenv("WANDB_PROJECT", "")
    steps(tmp_path, 1, 2)
    assert not mlflow.runs and not wandb.runs and not (tmp_path / "trackers.json").exists()


def test_one_that_is_asked_for_and_not_installed_is_left_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("trueline.align.trackers.find_spec", lambda name: None)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "somewhere")
    steps(tmp_path, 1, 2)
    assert not capsys.readouterr().err and not (tmp_path / "trackers.json").exists()
