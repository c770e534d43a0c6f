"""What a loop may use, and that one loop at a time has a project."""

import multiprocessing
import os
import signal
from types import SimpleNamespace

import pytest

from trueline.config import Config
from trueline.errors import InputError
from trueline.loop.budget import Budget, read_budget
from trueline.loop.lock import only_loop
from trueline.loop.rounds import _prompts


def test_a_budget_is_read_and_says_when_it_is_used():
    assert read_budget("labels=500, hours=2") == Budget(500, 2.0)
    assert read_budget("hours=0.5") == Budget(0, 0.5)
    budget = Budget(500, 2.0)
    assert budget.used(499, 7199) == ""
    assert "500 labels" in budget.used(500, 0) and "2 hours" in budget.used(0, 7200)


@pytest.mark.parametrize("text", ["labels", "labels=many", "weeks=2", "labels=0", "hours=-1", "hours=inf"])
def test_a_budget_that_cannot_be_read_is_named(text):
    with pytest.raises(InputError, match=text):
        read_budget(text)


def test_the_prompts_of_a_round_fit_what_is_left():
    assert Budget(labels=500).prompts(200, labels=300, asked=100) == 66  # 3 labels a prompt
    assert Budget(labels=500).prompts(20, labels=300, asked=100) == 20
    assert Budget().prompts(200, labels=300, asked=100) == 200


def test_the_label_budget_reckons_each_round_with_what_it_asked_then():
    config = Config(collect={"prompts": 100, "prompts_later": 60})  # 60 only now: the rounds before asked 20 each

    def before(labels):
        facts = SimpleNamespace(labels=labels, settings={"collect.prompts_later": 20})
        return SimpleNamespace(decided=SimpleNamespace(facts=facts))

    rounds = [before(300), before(360), before(420)]  # 140 prompts brought 420 labels, 3 each
    assert _prompts(config, rounds, Budget(labels=480)) == 20
    assert _prompts(config, rounds, Budget(labels=9000)) == 60 and _prompts(config, [], Budget(labels=480)) == 100


def _hold(project, ready, wait):
    with only_loop(project, "first"):
        ready.set()
        wait.wait(30)


def test_a_second_loop_is_refused_and_told_who_holds_the_project_until_that_one_is_gone(tmp_path):
    context = multiprocessing.get_context("fork")
    ready, wait = context.Event(), context.Event()
    holder = context.Process(target=_hold, args=(tmp_path, ready, wait))
    holder.start()
    assert ready.wait(30)
    with pytest.raises(InputError, match=rf"run 'first' holds it \(process {holder.pid} on"), only_loop(tmp_path, "b"):
        pass
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    with only_loop(tmp_path, "second"):
        pass
