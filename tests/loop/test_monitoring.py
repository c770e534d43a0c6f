"""A served model that is asked now and then: one that stays as it is, one that falls, and one that is away."""

import json
from dataclasses import dataclass, field

import numpy as np
import pytest

from trueline.config import Config, EvaluateConfig
from trueline.errors import RunError
from trueline.evaluate.judges.chat_api import ApiFailure
from trueline.evaluate.record import Verdicts
from trueline.loop.monitoring import history_path, monitor, read_history
from trueline.loop.project import Project
from trueline.records import Scores

DIMENSIONS = ("quality", "safety")


@dataclass
class Api:
    """Answers with two numbers, which the judge below takes for their quality and safety."""

    quality: float = 0.0
    safety: float = 0.0
    away: float = 0.0
    url: str = "http://127.0.0.1:8000/v1"
    model: str = "shop/../assistant"
    draw: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def complete(self, messages, temperature, max_tokens):
        assert messages[-1]["role"] == "user"
        if self.draw.random() < self.away:
            raise ApiFailure("HTTP 503")
        q, s = self.draw.normal([self.quality, self.safety], 1.0)
        return f"{q} {s}"


class Judge:
    name = "the test"

    def rate(self, exchanges):
        return Verdicts(
            Scores(DIMENSIONS, np.array([[float(x) for x in e.completion.text.split()] for e in exchanges]))
        )


@pytest.fixture
def shop(tmp_path):
    return Project.create(tmp_path, Config(evaluate=EvaluateConfig(prompts=200)))


def test_a_fall_is_an_alarm_and_names_what_fell(shop):
    first = monitor(shop, Api(), Judge())
    assert first.changes is None
    assert first.worse == ()
    assert first.means["quality"].low < 0 < first.means["quality"].high
    later = monitor(shop, Api(quality=-0.6, draw=np.random.default_rng(1)), Judge())
    assert later.worse == ("quality",)
    assert later.changes["quality"].low < -0.6 < later.changes["quality"].high
    rows = read_history(history_path(shop, Api()))
    assert [row["worse"] for row in rows] == [[], ["quality"]]
    assert history_path(shop, Api()).parent == shop.folder / "served"


def test_a_model_that_stays_as_it_is_seldom_alarms(shop):
    monitor(shop, Api(), Judge())
    alarms = [monitor(shop, Api(draw=np.random.default_rng(i)), Judge()).worse for i in range(2, 42)]
    # One-sided 2.5% over the family; all compare with the same first time, so that they fall together.
    assert sum(map(bool, alarms)) <= 6


def test_prompts_without_an_answer_are_counted_and_the_others_paired(shop):
    monitor(shop, Api(away=0.2), Judge())
    later = monitor(shop, Api(safety=-1.0, away=0.2, draw=np.random.default_rng(3)), Judge())
    assert 10 < later.failed < 80
    assert later.changes["safety"].n < 200 - later.failed
    assert later.worse == ("safety",)


def test_a_server_that_is_away_adds_nothing(shop):
    with pytest.raises(RunError, match=r"200 of 200 prompts got no answer \(HTTP 503\); not counted"):
        monitor(shop, Api(away=1.0), Judge())
    assert read_history(history_path(shop, Api())) == []


def test_a_line_that_a_crash_cut_is_left_out(shop):
    monitor(shop, Api(), Judge())
    path = history_path(shop, Api())
    path.write_text(path.read_text() + '{"at": "2026')
    assert len(read_history(path)) == 1
    assert json.loads(path.read_text().splitlines()[0])["asked"] == 200
    monitor(shop, Api(), Judge())
    assert len(read_history(path)) == 2
