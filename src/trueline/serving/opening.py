"""From names to what is served: where a model lies, its gate, its reward model, the keys."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trueline import durable
from trueline.config import Config
from trueline.errors import InputError
from trueline.evaluate.judges.rules import Rule, read_rules
from trueline.feedback.snapshot import FeedbackSnapshot
from trueline.policy.load import load_policy
from trueline.red_team import said, warning
from trueline.reward.base import RewardModel
from trueline.reward.border import Border, fit_border
from trueline.reward.lineage import reward_of
from trueline.reward.objective import Objective
from trueline.reward.registry import load_reward, new_reward
from trueline.serving.answers import Rewards, Served
from trueline.serving.gate import Bad, Gate
from trueline.serving.watermark import read_key
from trueline.serving.why import Explaining
from trueline.whole_model import require_own_card

KEYS_VARIABLE, KEYS_FILE = "TRUELINE_API_KEYS", "api_keys"
UNGUARDED = (
    "{model}: there is no gate: no rules in evaluate.rules, no limit on bad answers in its run; give --rules FILE or "
    "--gate REWARD, or say --no-gate"
)


@dataclass(frozen=True)
class Wanted:
    """models: runs, folders or hub names; reward: a name under rewards/, or a run or loop, for the one that it was
    trained by; gate: a name under rewards/; "" for none; rules: a file, None for the project's; most_bad: P(bad) over
    which an answer is refused; guarded False: no gate at all; show_labels: "why" tells people's texts and names;
    watermark: the file of its key, None for none.
    """

    models: Sequence[str]
    reward: str = ""
    best_of: int = 1
    gate: str = ""
    rules: Path | None = None
    most_bad: float = 0.5
    guarded: bool = True
    slots: int = 16
    show_labels: bool = False
    watermark: Path | None = None

    def __post_init__(self) -> None:
        if not self.guarded and (self.gate or self.rules):
            raise InputError("--no-gate beside --gate or --rules: say either that there is one or that there is none")
        if self.show_labels and not self.reward:
            raise InputError("--show-labels: labels are told of a reward model; name one with --reward")
        if self.best_of > 1 and not self.reward:
            raise InputError("--best-of: a reward model says which answer is best; name one with --reward")


def open_models(wanted: Wanted, project: Path, config: Config) -> dict[str, Served]:
    """By the names under which the API has them. InputError: not there, not whole, two of one name, no gate."""
    rewards = None
    if wanted.reward:
        folder = reward_of(project, wanted.reward)
        model, explaining = load_reward(folder), Explaining(folder, wanted.show_labels)
        rewards = Rewards(wanted.reward, model, _objective(model, config), wanted.best_of, explaining)
    rules = _rules(wanted, project, config)
    learned = _learned(wanted, project, config) if wanted.gate else None
    watermark = read_key(wanted.watermark) if wanted.watermark else None
    found: dict[str, Served] = {}
    for named in wanted.models:
        name, place = find_model(named, project)
        if name in found:
            raise InputError(f"--model: two models are called {name!r}; copy one under another name")
        require_own_card(Path(place))
        policy = load_policy(place, trust_remote_code=config.policy.trust_remote_code)
        gate = None
        if wanted.guarded:
            bad = learned or _of_run(Path(place), wanted.most_bad)
            if not rules and bad is None:
                raise InputError(UNGUARDED.format(model=named))
            gate = Gate.of(rules, bad)
        found[name] = Served.of(name, policy, gate, rewards, wanted.slots, said(Path(place)), watermark)
    return found


def find_model(named: str, project: Path) -> tuple[str, str]:
    """The API's name of a model, and its folder or hub name: a run or loop of the project, any such folder, a model."""
    plain = Path(named).name == named
    for folder in ([project / "runs" / named] if plain else []) + [Path(named)]:
        if not folder.is_dir():
            continue
        if (folder / "promoted.json").exists():
            return folder.name, str(_promoted(folder))
        if (folder / "policy").is_dir():
            return folder.resolve().name, str(folder / "policy")
        if (folder / "run.json").exists():
            raise InputError(f"{folder}: is not finished, there is no policy yet; `trueline resume {folder}`")
        whole = folder.resolve()
        return whole.parent.name if whole.name == "policy" else whole.name, str(folder)
    return named, named


def keys_file(project: Path) -> Path:
    """Where API keys are kept."""
    named = os.environ.get(KEYS_VARIABLE)
    return Path(named) if named else project / KEYS_FILE


def describe(served: Served) -> str:
    """A line on what stands around a model."""
    parts = []
    if served.gate is None:
        parts.append("NO GATE: nothing that is asked or answered is checked")
    else:
        bad = served.gate.bad
        checks = [f"{len(served.gate.rules)} rules"] if served.gate.rules else []
        checks += [f"P(bad) in {bad.border.dimension} over {bad.limit:g}"] if bad else []
        parts.append(f"gate: {', '.join(checks)}")
    if served.rewards:
        parts.append(f"best of {served.rewards.best_of} by {served.rewards.name}")
    if served.batcher.watermark:
        parts.append("its answers bear a watermark")
    line = f"{served.name}: {'; '.join(parts)}"
    return f"{line}\n{warning(served.red_team)}" if served.red_team else line


def _promoted(folder: Path) -> Path:
    try:
        return (folder / durable.read_json(folder / "promoted.json")["policy"]).resolve()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder / 'promoted.json'}: cannot be read ({error}); name a run of the loop") from error


def _rules(wanted: Wanted, project: Path, config: Config) -> tuple[Rule, ...]:
    if not wanted.guarded:
        return ()
    if wanted.rules is not None:
        return read_rules(wanted.rules).rules
    named = config.evaluate.rules
    return read_rules(project / Path(named).name).rules if named else ()


def _learned(wanted: Wanted, project: Path, config: Config) -> Bad:
    """A reward model of the project, and where bad begins for it, from the labels that it was learned from."""
    folder = _reward_folder(project, wanted.gate)
    model = load_reward(folder)
    held = config.align.constraint
    dimension = held.dimension or ("safety" if "safety" in model.dimensions else model.dimensions[0])
    labels = FeedbackSnapshot.load(folder.with_name(folder.name + ".snapshot.jsonl"))
    border = fit_border(lambda: new_reward(config.reward, config.project.dimensions), labels, dimension, held.bad)
    return Bad(model, border, wanted.most_bad)


def _of_run(policy: Path, limit: float) -> Bad | None:
    """The reward model and the border of the run that a policy comes from; None where it set no limit on bad ones."""
    note = policy.parent / "run.json"
    if not policy.is_dir() or not note.exists():
        return None
    try:
        run = durable.read_json(note)
        border = next((Border(d, float(a), float(b)) for d, (a, b) in (run.get("border") or {}).items()), None)
        reward = run["reward"] if border else ""
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{note}: cannot be read ({error}); name a reward model with --gate") from error
    if border is None:
        return None
    return Bad(load_reward((policy.parent / reward).resolve()), border, limit)


def _objective(model: RewardModel, config: Config) -> Objective:
    weights = {d: config.objective.weights.get(d, 0.0) for d in model.dimensions}
    return Objective(weights, config.objective.unfinished_penalty, config.objective.clip)


def _reward_folder(project: Path, name: str) -> Path:
    if Path(name).name != name or name in {"", ".", ".."}:
        raise InputError(f"reward model {name!r}: must be a plain name without slashes")
    return project / "rewards" / name
