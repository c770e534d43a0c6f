"""trueline.toml: what is written is what is read, and a mistake is named with its key, line and remedy."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from trueline.config import Config, ObjectiveConfig, ProjectConfig, RewardConfig, load, render
from trueline.errors import InputError


def written(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "trueline.toml"
    path.write_text(text, encoding)
    return path


def refused(tmp_path, text):
    """The one line that a bad file gets."""
    with pytest.raises(InputError) as caught:
        load(written(tmp_path, text))
    message = str(caught.value)
    assert "\n" not in message
    assert "trueline.toml" in message
    return message


def settings(section=None, path=()):
    """(key, field) of every setting."""
    for name, info in (section or Config).model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield from settings(info.annotation, (*path, name))
        else:
            yield ".".join((*path, name)), info


def test_the_rendered_file_reads_back_as_the_defaults(tmp_path):
    assert load(written(tmp_path, render())) == Config()
    assert load(written(tmp_path, "")) == Config()


def test_the_rendered_file_shows_every_setting_with_its_description():
    text = render()
    data = tomllib.loads(text)
    for key, info in settings():
        value = data
        for part in key.split("."):
            value = value[part]
        assert info.description, f"{key} has no description"
        assert f"# {info.description}" in text
    assert "One of: ratings, comparisons, either." in text


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8).filter(str.strip)


@given(
    dimensions=st.lists(names, min_size=1, max_size=4, unique=True),
    weight=st.floats(-1e6, 1e6),
    embedding=st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    rate=st.floats(1e-12, 1e3),
)
def test_any_settings_survive_the_round_trip(tmp_path_factory, dimensions, weight, embedding, rate):
    """Names with spaces, dots, quotes, Chinese, control characters; numbers of any size."""
    config = Config(
        project=ProjectConfig(dimensions=tuple(dimensions)),
        objective=ObjectiveConfig(weights=dict.fromkeys(dimensions, weight)),
        reward=RewardConfig(embedding=embedding),
        align={"learning_rate": rate},
    )
    assert load(written(tmp_path_factory.mktemp("c"), render(config))) == config


def test_an_unknown_key_is_named_with_its_line_and_the_nearest_valid_name(tmp_path):
    message = refused(tmp_path, "# mine\n\n[align]\nsteps = 3\nlearning_rat = 0.1\n")
    assert "line 5: align.learning_rat is not a setting; did you mean 'learning_rate'?" in message


def test_an_unknown_section_and_an_unknown_nested_key(tmp_path):
    assert "line 2: aling is not a setting; did you mean 'align'?" in refused(tmp_path, "\n[aling]\nsteps = 3\n")
    message = refused(tmp_path, "[align]\nsteps = 1\n[align.kl]\n\ncoeficient = 1\n")
    assert "line 5: align.kl.coeficient is not a setting; did you mean 'coefficient'?" in message
    assert "line 2: align.kl.coeficient" in refused(tmp_path, "[align]\nkl = { coeficient = 1 }\n")
    assert "line 1: align.kl.coeficient" in refused(tmp_path, "align.kl.coeficient = 1\n")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[align]\nsteps = 0\n", "line 2: align.steps: Input should be greater than or equal to 1 (found 0)"),
        ("[align]\nsteps = 'many'\n", "line 2: align.steps"),
        ("[align]\nalgorithm = 'dqn'\n", "'ilql' or 'dpo' (found 'dqn')"),
        ("[policy]\ntemperature = 0\n", "line 2: policy.temperature"),
        ("[align]\nlearning_rate = inf\n", "line 2: align.learning_rate"),
        ("[align]\nlearning_rate = nan\n", "line 2: align.learning_rate"),
        ("[objective]\nclip = inf\n", "line 2: objective.clip"),
        ("[objective]\nweights = { quality = nan, safety = 1, consistency = 1 }\n", "objective.weights.quality"),
        ("[align.ppo]\nlam = 1.5\n", "line 2: align.ppo.lam"),
        ("[project]\ndimensions = []\n", "line 2: project.dimensions"),
        ("[project]\ndimensions = ['quality', 'quality']\n", "line 2: project.dimensions"),
        ("[collect]\ncompletions = 1\n", "line 2: collect.completions"),
        ("align = 3\n", "line 1: align"),
    ],
)
def test_a_wrong_value_is_named_with_its_key_and_line(tmp_path, text, says):
    assert says in refused(tmp_path, text)


def test_weights_must_name_the_dimensions_of_the_project(tmp_path):
    message = refused(tmp_path, "[objective]\nweights = { quality = 1.0, politeness = 1.0 }\n")
    assert "objective.weights" in message and "politeness" in message


def test_a_dimension_without_a_weight_is_not_quietly_worth_nothing(tmp_path):
    message = refused(tmp_path, '[project]\ndimensions = ["quality", "politeness"]\n')
    assert "objective.weights" in message and "politeness" in message
    assert load(written(tmp_path, '[project]\ndimensions = ["quality"]\n')).project.dimensions == ("quality",)


@pytest.mark.parametrize("name", ["rloo", "grpo"])
def test_methods_of_groups_need_more_than_one_sample(tmp_path, name):
    message = refused(tmp_path, f'[align]\nalgorithm = "{name}"\nsamples_per_prompt = 1\n')
    assert f"{name} compares answers to one prompt: set samples_per_prompt to 2 or more" in message
    assert load(written(tmp_path, '[align]\nalgorithm = "ppo"\nsamples_per_prompt = 1\n')).align.samples_per_prompt == 1


@pytest.mark.parametrize("name", ["q_learning", "dpo"])
def test_methods_that_live_in_the_kl_need_one(tmp_path, name):
    message = refused(tmp_path, f'[align]\nalgorithm = "{name}"\n[align.kl]\ncoefficient = 0.0\n')
    assert f"{name} learns in units of the KL's weight: set kl.coefficient above 0" in message


def test_every_mistake_has_a_line_of_its_own(tmp_path):
    with pytest.raises(InputError) as caught:
        load(written(tmp_path, "[align]\nsteps = 0\n[loop]\nrouns = 3\n"))
    assert ["line 2" in line or "line 4" in line for line in str(caught.value).splitlines()] == [True, True]


def test_a_missing_file_says_how_to_make_one(tmp_path):
    with pytest.raises(InputError, match="no such file; make a project with `trueline init"):
        load(tmp_path / "trueline.toml")


def test_files_that_are_no_toml(tmp_path):
    assert "line 2" in refused(tmp_path, "[align]\nsteps = = 3\n")
    with pytest.raises(InputError, match="cannot be read"):
        load(written(tmp_path, "# ü", "utf-16"))
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="cannot be read"):
        load(tmp_path / "folder")


def test_a_byte_order_mark_is_no_mistake(tmp_path):
    assert load(written(tmp_path, "[align]\nsteps = 7\n", "utf-8-sig")).align.steps == 7
