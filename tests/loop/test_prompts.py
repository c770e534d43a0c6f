"""Which prompts a project without a scenario answers."""

import pytest

from trueline.config import Config
from trueline.errors import InputError
from trueline.feedback.store import FeedbackStore
from trueline.loop.project import Project
from trueline.records import Exchange, Prompt, split_of

LABELLED = [Exchange.of(Prompt.from_user(f"labelled {i}"), "answer", "import:diasafety") for i in range(40)]
OPEN = [Prompt.from_user(f"open {i}") for i in range(40)]


@pytest.fixture
def project(tmp_path):
    return Project.create(tmp_path, Config(project={"scenario": ""}, policy={"model": str(tmp_path)}))


def test_prompts_without_an_imported_answer_are_the_ones_to_answer(project):
    with FeedbackStore.open(project.store_path) as store:
        store.add(LABELLED, prompts=OPEN)
        store.add([Exchange.of(OPEN[0], "said by ours", "policy:base")])
    found = project.prompts(100, "train", 0)
    assert {p.id for p in found} == {p.id for p in OPEN if split_of(p) == "train"}


def test_where_all_prompts_came_with_answers_they_are_used(project):
    with FeedbackStore.open(project.store_path) as store:
        store.add(LABELLED)
    expected = {e.prompt.id for e in LABELLED if split_of(e.prompt) == "test"}
    assert {p.id for p in project.prompts(100, "test", 0)} == expected


def test_an_empty_store_says_what_to_do(project):
    with pytest.raises(InputError, match="import some"):
        project.prompts(5, "train", 0)
