"""Answers to one prompt in one row, their common beginning read once: for causal language models.

The row is beginning, rest of the one, rest of the other; a mask hides the one from the other, and positions go on from
the beginning for each, so that the scores are those of a row each. In hh_harmless it leaves two thirds of the tokens.

Letters: r rows (a group of answers each), t tokens, n answers, d dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from trueline.reward.backbone import head_scores, padded

TOLERANCE = 1e-3
PADDING, BEGINNING = -1, 0

Sides = Sequence[list[int]]


def joined(sides: Sides) -> tuple[list[int], list[int], list[int], list[int]]:
    """Token ids, segments (0 the beginning, 1 and on the rests), positions, and where each side ends."""
    shared = _shared(sides)
    ids, segments, positions = list(sides[0][:shared]), [BEGINNING] * shared, list(range(shared))
    ends = []
    for number, side in enumerate(sides, 1):
        ids += side[shared:]
        segments += [number] * (len(side) - shared)
        positions += range(shared, len(side))
        ends.append(len(ids) - 1)
    return ids, segments, positions, ends


def joined_inputs(groups: Sequence[Sides], pad_id: int) -> dict[str, torch.Tensor]:
    """input_ids, segments, positions (r, t), and ends (n, 2): row and column of each answer's last token."""
    rows = [joined(sides) for sides in groups]
    return {
        "input_ids": padded([row[0] for row in rows], pad_id)[0],
        "segments": padded([row[1] for row in rows], PADDING)[0],
        "positions": padded([row[2] for row in rows], 0)[0],
        "ends": torch.tensor([(i, end) for i, row in enumerate(rows) for end in row[3]]),
    }


def joined_scores(model: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """(n, d) in the order of the groups' sides."""
    core = model.get_base_model() if hasattr(model, "get_base_model") else model
    segments = inputs["segments"]
    seen, here = segments[:, None, :], segments[:, :, None]
    t = segments.shape[1]
    earlier = torch.ones(t, t, dtype=torch.bool, device=segments.device).tril()
    # A padding sees itself, since a row that sees nothing is nan in some kernels.
    allowed = earlier & ((seen == BEGINNING) | (seen == here))
    mask = torch.zeros(allowed.shape, device=segments.device).masked_fill(~allowed, torch.finfo(torch.float32).min)
    hidden = core.base_model(
        inputs["input_ids"], attention_mask=mask[:, None], position_ids=inputs["positions"], use_cache=False
    ).last_hidden_state
    return core.score(hidden[inputs["ends"][:, 0], inputs["ends"][:, 1]])  # type: ignore[no-any-return]


def can_join(model: Any, groups: Sequence[Sides], pad_id: int) -> bool:
    """Whether it gives this model's own scores, tried on the group with the longest row and on the shortest.

    Not for encoders, nor where a layer looks back over less than a row, nor for models that are a state.
    """
    core = model.get_base_model() if hasattr(model, "get_base_model") else model
    several = sorted((sides for sides in groups if len(sides) > 1), key=joined_length)
    if not hasattr(core, "score") or not several:
        return False
    window = getattr(core.config.get_text_config(), "sliding_window", None)
    if window is not None and window < joined_length(several[-1]):
        return False
    tried, was_training = [several[0], several[-1]], model.training
    inputs, mask = padded([side for sides in tried for side in sides], pad_id)
    model.eval()
    try:
        with torch.no_grad():
            found = joined_scores(model, to_device(joined_inputs(tried, pad_id), model.device))
            expected = head_scores(model, mask.to(model.device), input_ids=inputs.to(model.device))
        return bool(torch.allclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE))
    except (TypeError, ValueError, RuntimeError, IndexError):
        # A model that takes no such mask says so in many ways; two rows a pair are always right.
        return False
    finally:
        model.train(was_training)


def joined_length(sides: Sides) -> int:
    return sum(map(len, sides)) - (len(sides) - 1) * _shared(sides)


def to_device(inputs: dict[str, torch.Tensor], device: torch.device) -> dict[str, torch.Tensor]:
    return {name: values.to(device) for name, values in inputs.items()}


def _shared(sides: Sides) -> int:
    """How many first tokens all sides have: where each has as many as its neighbour, all have the least of them."""
    return min((common(a, b) for a, b in pairwise(sides)), default=0)


def common(one: list[int], other: list[int]) -> int:
    """How many first tokens are the same; each keeps one of its own, to be scored at."""
    n = min(len(one), len(other)) - 1
    unlike = np.flatnonzero(np.asarray(one[:n]) != np.asarray(other[:n]))
    return int(unlike[0]) if len(unlike) else n
