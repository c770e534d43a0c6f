"""trueline.toml: every setting, its unit and its default, in one place.

Unknown or wrong settings are refused with the key, the line and the nearest valid name.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import tomllib
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from trueline.errors import InputError
from trueline.harm import is_reason, rewarded_harm
from trueline.records import DIMENSIONS

FILE_NAME = "trueline.toml"
CHECK_NAMES = ("form", "whole_form", "told", "rules", "task")
"""What `objective.checks` may name; `loop/checked.py` says how each is checked."""


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ProjectConfig(Section):
    scenario: str = Field("customer_service", description='Where prompts come from; "" when you import your own.')
    seed: int = Field(0, ge=0, description="Every random choice is keyed by this number.")
    dimensions: tuple[str, ...] = Field(DIMENSIONS, min_length=1, description="What people judge.")
    store: str = Field(
        "", description='Where labels are kept: "" for a file in the project, or the URL of a PostgreSQL database.'
    )

    red_team: str = Field(
        "",
        description="Why this project may reward harm, in a sentence, such as to test a filter; its runs, cards and "
        "reports and its served models all say it. Empty: it may not.",
    )

    @field_validator("red_team")
    @classmethod
    def _a_sentence(cls, reason: str) -> str:
        if reason and not is_reason(reason):
            raise ValueError("say in a whole sentence why this project may reward harm, and for whom it is")
        return " ".join(reason.split())

    @field_validator("dimensions")
    @classmethod
    def _each_once(cls, dimensions: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(dimensions)) < len(dimensions) or not all(d.strip() for d in dimensions):
            raise ValueError("each dimension needs a name of its own")
        return dimensions


class PolicyConfig(Section):
    model: str = Field("scenario", description='A Hugging Face causal LM: a folder, a hub name, or "scenario".')
    max_prompt_tokens: int = Field(256, ge=1, description="Longer prompts lose their oldest tokens. Tokens.")
    max_new_tokens: int = Field(64, ge=1, description="An answer is cut there. Tokens.")
    temperature: float = Field(1.0, gt=0, description="Logits are divided by this, in sampling and in training.")
    trust_remote_code: bool = Field(False, description="Run code that comes with a model. Only for a model you trust.")


class CollectConfig(Section):
    prompts: int = Field(400, ge=1, description="Prompts answered and labelled in the first round.")
    prompts_later: int = Field(200, ge=1, description="The same, in each later round.")
    completions: int = Field(4, ge=2, description="Answers sampled for each prompt.")
    pool: int = Field(
        1, ge=1, description="Simulated annotators label the telling ones out of so many times as many answers."
    )
    annotators: int = Field(6, ge=2, description="Simulated annotators of an embedded scenario; half teach the judge.")
    labelled_by: Literal["simulated", "people", "nobody"] = Field(
        "simulated",
        description="Who labels: a scenario's simulated annotators (without a scenario: people), people on the pages "
        "of `trueline serve`, or nobody: rounds learn from the labels that are there.",
    )


class LabellingConfig(Section):
    judgements: int = Field(2, ge=1, description="People who judge each item.")
    most: int = Field(5, ge=1, description="Where they disagree, one more at a time is asked, up to so many.")
    ratings: bool = Field(True, description="Beside the preference, both answers are rated in every dimension.")
    again: float = Field(0.05, ge=0, le=1, description="Share of tasks that a person gets a second time, flipped.")
    webhook: str = Field(
        "", pattern=r"^(https?://.+)?$", description="Each judgement is told to this URL, signed; empty: to none."
    )
    lease: float = Field(900, ge=10, description="A task is kept for a person who went silent so long. Seconds.")


class TransformerConfig(Section):
    model: str = Field("", description="A Hugging Face encoder or causal LM to start from: a folder or a hub name.")
    epochs: float = Field(3, gt=0, description="Passes over the labels.")
    batch: int = Field(16, ge=1, description="Answers (or pairs of them) in an optimiser step.")
    evaluation_batch: int = Field(64, ge=1, description="Answers scored at once.")
    learning_rate: float = Field(5e-5, gt=0, description="Peak learning rate of AdamW.")
    warmup: int = Field(500, ge=0, description="Steps of linear warm-up; at most a tenth of all steps.")
    weight_decay: float = Field(0.01, ge=0, description="Pull of all weights but biases and norms towards 0.")
    max_tokens: int = Field(256, ge=8, description="Longer conversations lose their oldest tokens. Tokens.")
    margin: float = Field(
        0.0, ge=0, description="A clear preference wants the scores this far apart, a slight one less."
    )
    ratings_share: float = Field(
        0.5, ge=0, le=1, description="Where both are there: weight of the ratings' loss against the comparisons'."
    )
    lora_rank: int = Field(0, ge=0, description="Train matrices of this rank beside frozen weights; 0: all weights.")


FeatureBlock = Literal["words", "characters", "prompt", "style", "relations", "interactions", "embedding"]


class RewardConfig(Section):
    kind: Literal["linear", "svm", "transformer"] = Field("linear", description="The family of the reward model.")
    learn_from: Literal["ratings", "comparisons", "either"] = Field(
        "ratings",
        description="Which labels the reward learns from; either: a dimension's ratings, or comparisons without them.",
    )
    features: tuple[FeatureBlock, ...] = Field(
        (),
        description="Blocks of features of linear and svm; empty: chosen by cross-validation by prompt.",
    )
    max_features: int = Field(20_000, ge=100, description="Size of each TF-IDF vocabulary. Terms.")
    relations: int = Field(
        20, ge=0, description="Size of the prompt-by-answer features (an SVD on each side); 0: none."
    )
    embedding: str = Field(
        "", description="A Hugging Face encoder (folder or name) whose embedding is added; empty: none."
    )
    kernel: Literal["linear", "rbf"] = Field("linear", description="Kernel of svm; rbf by Nystrom's approximation.")
    members: int = Field(1, ge=1, description="Models of an ensemble, each learned from other labels; 1: no ensemble.")
    combine: Literal["mean", "lower", "worst"] = Field(
        "mean", description="The ensemble's score: the mean, the mean less a deviation, or the least of its members."
    )
    length_control: bool = Field(False, description="Take what length alone predicts out of the score.")
    transformer: TransformerConfig = TransformerConfig()


class ObjectiveConfig(Section):
    weights: dict[str, float] = Field(
        default_factory=lambda: {"quality": 1.0, "safety": 1.0, "consistency": 1.0},
        description="What a dimension counts in the reward.",
    )
    checks: dict[str, float] = Field(
        default_factory=dict,
        description="What is checked by rule and not learned, and what it counts: form (of verse), whole_form (all of "
        "it or nothing), told (the prompt's facts), rules (of evaluate.rules), task (an episode's success), each 0 to "
        "1. Such as { form = 1.0 }.",
    )
    unfinished_penalty: float = Field(1.0, ge=0, description="Subtracted where an answer was cut by the limit.")
    clip: float = Field(10.0, gt=0, description="Rewards are held within plus and minus this.")

    @field_validator("checks")
    @classmethod
    def _known_checks(cls, checks: dict[str, float]) -> dict[str, float]:
        for name in checks:
            if name not in CHECK_NAMES:
                near = difflib.get_close_matches(name, CHECK_NAMES, n=1, cutoff=0.0)[0]
                raise ValueError(
                    f"there is no check {name!r}; did you mean {near!r}? There is {', '.join(CHECK_NAMES)}"
                )
        return checks


class KLConfig(Section):
    coefficient: float = Field(0.05, ge=0, description="Weight of the KL to the reference. Reward per nat.")
    target: float = Field(
        0.0, ge=0, description="Adapt the coefficient towards this KL; 0: keep it fixed. Nats per answer."
    )
    horizon: int = Field(10_000, ge=1, description="How slowly it adapts. Answers.")


class PPOConfig(Section):
    clip: float = Field(0.2, gt=0, description="The probability ratio is held within 1 plus and minus this.")
    value_clip: float = Field(0.2, gt=0, description="A new value stays within this of the old one.")
    value_coefficient: float = Field(0.1, ge=0, description="Weight of the value loss.")
    gamma: float = Field(1.0, gt=0, le=1, description="Discount of later rewards.")
    lam: float = Field(0.95, ge=0, le=1, description="Lambda of the generalised advantage estimate.")
    epochs: int = Field(4, ge=1, description="Passes over each batch of rollouts.")
    minibatches: int = Field(1, ge=1, description="Optimiser steps in each pass.")
    critic_warmup: int = Field(10, ge=0, description="First steps that train only the value head. Steps.")


class GRPOConfig(Section):
    clip: float = Field(0.2, gt=0, description="The probability ratio is held within 1 plus and minus this.")
    epochs: int = Field(1, ge=1, description="Passes over each batch of rollouts.")
    unbiased: bool = Field(False, description="Dr. GRPO: divide neither by the group's deviation nor by the length.")


class QLearningConfig(Section):
    lam: float = Field(0.95, ge=0, le=1, description="Lambda of the multi-step soft return; 0: one step.")
    value_coefficient: float = Field(0.1, gt=0, description="Weight of the value head's share of the error.")
    epochs: int = Field(1, ge=1, description="Passes over each batch of rollouts.")
    target_rate: float = Field(0.1, gt=0, le=1, description="The slow value head goes this share of the way.")
    target_every: int = Field(1, ge=1, description="It does so after so many steps. Steps.")
    warmup: int = Field(5, ge=0, description="First steps that train only the value head. Steps.")


class ILQLConfig(Section):
    tau: float = Field(0.7, gt=0, lt=1, description="The value is this expectile of Q; 0.5: the mean.")
    gamma: float = Field(0.99, gt=0, le=1, description="Discount of later rewards.")
    cql: float = Field(0.1, ge=0, description="Weight of the penalty on Q of tokens that were not taken.")
    awac: float = Field(1.0, ge=0, description="Weight of the log-likelihood of the given answers.")
    beta: float = Field(1.0, ge=0, description="Weight of Q when answers are drawn.")
    target_rate: float = Field(0.1, gt=0, le=1, description="The slow Q heads go this share of the way.")
    target_every: int = Field(5, ge=1, description="They do so after so many steps. Steps.")


class DPOConfig(Section):
    label_smoothing: float = Field(0.0, ge=0, lt=0.5, description="The share of comparisons taken to be wrong.")


class ConstraintConfig(Section):
    dimension: str = Field("", description="The share of bad answers in it is held under the limit; empty: in none.")
    limit: float = Field(0.05, ge=0, lt=1, description="The most answers that may be bad. A share.")
    bad: float = Field(2.0, description="People's mean rating of a bad answer is so or lower. 1 to 5.")
    multiplier: float = Field(1.0, gt=0, description="What a bad answer costs at first. Reward.")
    most: float = Field(20.0, gt=0, description="What it costs at most. Reward.")
    rate: float = Field(0.1, gt=0, description="How fast the logarithm of the cost moves, for each step.")
    window: int = Field(128, ge=1, description="The share is that of so many last answers. Answers.")


class RayConfig(Section):
    address: str = Field(
        "", description='The cluster: host:port, or "auto" on one of its nodes; empty: Ray is started on this machine.'
    )
    judges: int = Field(1, ge=1, description="Actors that score answers with the reward model.")
    gpus: float = Field(0, ge=0, description="GPUs for each of align.workers. A share may be less than one.")
    ahead: bool = Field(
        False, description="A step's answers are sampled while the step before is learned, by a policy one step older."
    )
    most_weight: float = Field(
        2.0, gt=0, description="With ahead: the importance weight of a token is at most this, for the older policy."
    )
    storage: str = Field(
        "",
        description="Where nodes share no folder: an address of fsspec through which models and the run's folder "
        "travel, such as s3://bucket/project; empty: all nodes see the project. Credentials are the nodes' own.",
    )
    shard: bool = Field(
        False, description="The model's layers are spread over the learners: less memory in each, more to send."
    )


class RLlibConfig(Section):
    algorithm: Literal["ppo", "dqn", "appo", "impala"] = Field("ppo", description="RLlib's algorithm.")
    iterations: int = Field(100, ge=1, description="Calls of RLlib's train().")
    num_env_runners: int = Field(0, ge=0, description="Processes that play episodes; 0: the driver does.")
    network: Literal["policy", "small"] = Field(
        "policy", description="What is trained: the project's policy, or a small network on the tokens so far."
    )
    fcnet_hiddens: tuple[int, ...] = Field((128, 128), min_length=1, description="Layers of the small network.")
    learning_rate: float = Field(1e-3, gt=0, description="Learning rate of RLlib's optimiser.")
    batch: int = Field(1024, ge=1, description="Tokens learned from in an iteration.")
    minibatch: int = Field(256, ge=1, description="Tokens in an optimiser step.")
    epochs: int = Field(4, ge=1, description="PPO's passes over each batch.")


Engine = Literal["local", "ray", "rllib"]
Algorithm = Literal["rloo", "reinforce", "grpo", "ppo", "q_learning", "ilql", "dpo"]


class AlignConfig(Section):
    algorithm: Algorithm = Field(
        "rloo", description="The first five sample answers; ilql and dpo learn from labelled ones."
    )
    engine: Engine = Field(
        "local", description="Where it runs: this machine, a Ray cluster with the same result, or Ray RLlib."
    )
    steps: int = Field(30, ge=1, description="Rollout-and-update steps in a round.")
    prompts_per_step: int = Field(32, ge=1, description="Prompts in a step.")
    samples_per_prompt: int = Field(4, ge=1, description="Answers for each prompt; rloo and grpo: at least 2.")
    lora_rank: int = Field(0, ge=0, description="Train matrices of this rank beside frozen weights; 0: all weights.")
    micro_batch: int = Field(128, ge=1, description="Answers in one forward and backward pass; changes memory only.")
    recompute: bool = Field(
        False, description="Compute layers again in the backward pass: less memory, a third slower."
    )
    learning_rate: float = Field(4e-4, gt=0, description="Peak learning rate of AdamW.")
    warmup: int = Field(0, ge=0, description="Steps of linear warm-up.")
    schedule: Literal["constant", "linear", "cosine"] = Field(
        "constant", description="The learning rate after warm-up."
    )
    max_grad_norm: float = Field(1.0, gt=0, description="Gradients are scaled down to this norm.")
    workers: int = Field(2, ge=1, description="Processes on a CPU, a thread each; a run repeats for the same number.")
    watch_every: int = Field(10, ge=1, description="ilql and dpo sample answers to be watched so often. Steps.")
    check_every: int = Field(5, ge=0, description="A held-out judge scores held-out prompts so often; 0: never. Steps.")
    check_prompts: int = Field(64, ge=2, description="Held-out prompts of such a check.")
    patience: int = Field(
        3, ge=0, description="Checks in a row below the best one before training stops there; 0: it never does."
    )
    kl: KLConfig = KLConfig()
    constraint: ConstraintConfig = ConstraintConfig()
    ppo: PPOConfig = PPOConfig()
    grpo: GRPOConfig = GRPOConfig()
    q_learning: QLearningConfig = QLearningConfig()
    ilql: ILQLConfig = ILQLConfig()
    dpo: DPOConfig = DPOConfig()
    ray: RayConfig = RayConfig()
    rllib: RLlibConfig = RLlibConfig()

    @model_validator(mode="after")
    def _what_an_algorithm_needs(self) -> Self:
        if self.algorithm in ("rloo", "grpo") and self.samples_per_prompt < 2:
            raise ValueError(f"{self.algorithm} compares answers to one prompt: set samples_per_prompt to 2 or more")
        if self.algorithm in ("q_learning", "dpo") and self.kl.coefficient == 0:
            raise ValueError(f"{self.algorithm} learns in units of the KL's weight: set kl.coefficient above 0")
        return self


class EvaluateConfig(Section):
    prompts: int = Field(200, ge=1, description="Held-out prompts that are answered before and after.")
    bootstrap: int = Field(2000, ge=100, description="Resamples behind each 95% interval.")
    rules: str = Field("", description="A TOML file in the project with rules that answers must keep; empty: none.")
    model: str = Field("", description="A model that compares answers over an OpenAI-compatible API; empty: none.")
    model_url: str = Field(
        "http://127.0.0.1:8000/v1",
        pattern=r"^https?://.+$",
        description="Where that API is; its key is read from $TRUELINE_JUDGE_KEY.",
    )


class PrivacyConfig(Section):
    mask: Literal["off", "flag", "mask"] = Field(
        "flag",
        description="Personal data that has a known form (email, phone, card, identity number and the like) in texts "
        "that come in: not looked for, marked, or replaced by its kind before it is stored.",
    )
    keep_days: int = Field(
        0,
        ge=0,
        description="`trueline privacy purge` erases what is older: what users of served models wrote, chats, ended "
        "sign-ins, and who did what in the audit log. Days; 0: nothing.",
    )


class LoopConfig(Section):
    rounds: int = Field(3, ge=1, description="Times round: collect, reward, align, evaluate.")
    steer: bool = Field(
        True, description="After each round the settings are adjusted by what was measured, each change explained."
    )
    pin: tuple[str, ...] = Field((), description='Settings that no rule may change, such as "align.learning_rate".')
    forbid: tuple[str, ...] = Field((), description="Rules of docs/strategy.md that are not applied.")
    labels: int = Field(0, ge=0, description="No round starts that would go beyond so many labels; 0: no limit.")
    hours: float = Field(0, ge=0, description="No round starts after so long; 0: no limit. Hours.")
    most_kl: float = Field(50.0, gt=0, description="A policy further from the base is not promoted. Nats per answer.")


class Config(Section):
    project: ProjectConfig = ProjectConfig()
    policy: PolicyConfig = PolicyConfig()
    collect: CollectConfig = CollectConfig()
    labelling: LabellingConfig = LabellingConfig()
    reward: RewardConfig = RewardConfig()
    objective: ObjectiveConfig = ObjectiveConfig()
    align: AlignConfig = AlignConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    loop: LoopConfig = LoopConfig()
    privacy: PrivacyConfig = PrivacyConfig()

    @model_validator(mode="after")
    def _weights_name_dimensions(self) -> Self:
        unknown = set(self.objective.weights) - set(self.project.dimensions)
        if unknown and self.objective.weights != ObjectiveConfig().weights:
            raise ValueError(f"objective.weights names {sorted(unknown)}, which project.dimensions does not have")
        held = self.align.constraint.dimension
        if held and held not in self.project.dimensions:
            raise ValueError(f"align.constraint.dimension {held!r} is not one of project.dimensions")
        if unweighed := [d for d in self.project.dimensions if d not in self.objective.weights]:
            raise ValueError(f"objective.weights does not say what {unweighed} counts; add it, 0 to leave it out")
        return self

    @model_validator(mode="after")
    def _rewards_no_harm(self) -> Self:
        held = self.align.constraint.dimension
        found = rewarded_harm(self.objective.weights, self.objective.checks, held)
        if found and not self.project.red_team:
            raise ValueError(f"{found[0]}; mend it, or say in project.red_team why, in a sentence")
        return self

    @model_validator(mode="after")
    def _what_checks_need(self) -> Self:
        checks = self.objective.checks
        if "rules" in checks and not self.evaluate.rules:
            raise ValueError("objective.checks names rules, but evaluate.rules names no file with rules")
        if checks and self.align.algorithm == "dpo":
            raise ValueError("dpo learns from compared pairs and hears no reward: it needs an empty objective.checks")
        return self


def changed(config: Config, section: str, **values: Any) -> Config:
    """The same with other values in a section, such as "align.ray"; None keeps what is there."""
    data = config.model_dump()
    place = data
    for part in section.split("."):
        place = place[part]
    place |= {name: value for name, value in values.items() if value is not None}
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        raise InputError("; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())) from error


def store_place(folder: Path, config: Config) -> Path | str:
    """Where a project's feedback is: $TRUELINE_STORE, which keeps a password out of files, the setting, or a file."""
    return os.environ.get("TRUELINE_STORE") or config.project.store or folder / "feedback.sqlite"


def load(path: Path) -> Config:
    """Read a configuration file; InputError names the file, line, key and remedy."""
    try:
        text = path.read_text("utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; make a project with `trueline init {path.parent}`") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: not valid TOML: {error}") from error
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        raise InputError("\n".join(_explain(path, text, e) for e in error.errors())) from error


def _explain(path: Path, text: str, error: Any) -> str:
    keys = tuple(k for k in error["loc"] if isinstance(k, str))
    where = f"{path}, line {_line_of(text, keys)}: {'.'.join(keys)}" if keys else f"{path}"
    if error["type"] == "extra_forbidden":
        valid = _valid_names(keys[:-1])
        near = difflib.get_close_matches(keys[-1], valid, n=1, cutoff=0.0)
        return f"{where} is not a setting; did you mean {near[0]!r}?" if near else f"{where} is not a setting"
    return (
        f"{where}: {error['msg'].removeprefix('Value error, ')} (found {error['input']!r})"
        if keys
        else (f"{where}: {error['msg'].removeprefix('Value error, ')}")
    )


def _valid_names(section: tuple[str, ...]) -> list[str]:
    model: type[BaseModel] = Config
    for key in section:
        model = model.model_fields[key].annotation  # type: ignore[assignment]
    return list(model.model_fields)


def _line_of(text: str, keys: tuple[str, ...]) -> int:
    """The line where a key, or else its section, stands; 1 where neither is found."""
    section: tuple[str, ...] = ()
    best = 1
    for number, line in enumerate(text.split("\n"), 1):
        if header := re.match(r"\s*\[([^\[\]]+)\]", line):
            section = tuple(part.strip().strip("\"'") for part in header[1].split("."))
            if section == keys[: len(section)]:
                best = number
        elif (assignment := re.match(r"\s*([\w.\"'-]+)\s*=", line)) and not line.lstrip().startswith("#"):
            found = (*section, *(part.strip("\"'") for part in assignment[1].split(".")))
            if found == keys[: len(found)]:
                return number
    return best


def render(config: Config | None = None) -> str:
    """A commented trueline.toml with every setting at the given values."""
    lines = ["# Settings of a Trueline project. Every line shows its value; change what you need.", ""]
    _render_section(config or Config(), (), lines)
    return "\n".join(lines).rstrip() + "\n"


def _render_section(section: BaseModel, path: tuple[str, ...], lines: list[str]) -> None:
    if path:
        lines.append(f"[{'.'.join(path)}]")
    nested = []
    for name, info in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            nested.append((name, value))
            continue
        lines.append(f"# {info.description}{_range_note(info.annotation)}")
        lines.append(f"{name} = {_toml(value)}")
    if path:
        lines.append("")
    for name, value in nested:
        _render_section(value, (*path, name), lines)


def _range_note(annotation: Any) -> str:
    choices = getattr(annotation, "__args__", ())
    return f" One of: {', '.join(choices)}." if choices and all(isinstance(c, str) for c in choices) else ""


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, dict):
        if not value:
            return "{}"
        return "{ " + ", ".join(f"{_toml_key(k)} = {_toml(v)}" for k, v in value.items()) + " }"
    return repr(value)


def _toml_key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _toml(key)
