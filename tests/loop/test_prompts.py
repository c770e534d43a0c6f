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


def test_what_is_asked_has_held_out_prompts_with_it_where_there_are_some(project):
    with FeedbackStore.open(project.store_path) as store:
        store.add([], prompts=OPEN)
    asked = [split_of(p) for p in project.prompts_to_ask(8, 0, 1)]
    assert asked[:8] == ["train"] * 8 and asked[8:] == ["test"] * 2


def test_where_no_prompt_is_held_out_the_others_are_asked_all_the_same(project):
    with FeedbackStore.open(project.store_path) as store:
        store.add([], prompts=[p for p in OPEN if split_of(p) == "train"][:3])
    assert len(project.prompts_to_ask(8, 0, 1)) == 3
