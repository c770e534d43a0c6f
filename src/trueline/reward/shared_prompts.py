"""Two answers to one prompt in one row, their common beginning read once: for causal language models in training.

The row is beginning, rest of the one, rest of the other; a mask hides the one from the other, and positions go on from
the beginning for both, so that the scores are those of two rows. In hh_harmless it leaves two thirds of the tokens.

Letters: r rows (an item each), t tokens, n answers, d dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from trueline.reward.backbone import head_scores, padded
from trueline.reward.judgements import Item

TOLERANCE = 1e-3
PADDING, BEGINNING = -1, 0


def joined(sides: Sequence[list[int]]) -> tuple[list[int], list[int], list[int], list[int]]:
    """Token ids, segments (0 the beginning, 1 and 2 the rests), positions, and where each side ends."""
    shared = 0 if len(sides) == 1 else _common(*sides)
    ids, segments, positions = list(sides[0][:shared]), [BEGINNING] * shared, list(range(shared))
    ends = []
    for number, side in enumerate(sides, 1):
        ids += side[shared:]
        segments += [number] * (len(side) - shared)
        positions += range(shared, len(side))
        ends.append(len(ids) - 1)
    return ids, segments, positions, ends


def joined_inputs(items: Sequence[Item], tokens: Sequence[list[int]], pad_id: int) -> dict[str, torch.Tensor]:
    """input_ids, segments, positions (r, t), and ends (n, 2): row and column of each answer's last token."""
    rows = [joined([tokens[row] for row in item.rows]) for item in items]
    return {
        "input_ids": padded([row[0] for row in rows], pad_id)[0],
        "segments": padded([row[1] for row in rows], PADDING)[0],
        "positions": padded([row[2] for row in rows], 0)[0],
        "ends": torch.tensor([(i, end) for i, row in enumerate(rows) for end in row[3]]),
    }


def joined_scores(model: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """(n, d) in the order of the items' rows."""
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


def can_join(model: Any, items: Sequence[Item], tokens: Sequence[list[int]], pad_id: int) -> bool:
    """Whether it gives this model's own scores, tried on the pair with the longest row and on the shortest.

    Not for encoders, nor where a layer looks back over less than a row, nor for models that are a state.
    """
    core = model.get_base_model() if hasattr(model, "get_base_model") else model
    pairs = [item for item in items if len(item.rows) == 2]
    if not hasattr(core, "score") or not pairs:
        return False
    pairs.sort(key=lambda item: joined_length(item, tokens))
    window = getattr(core.config.get_text_config(), "sliding_window", None)
    if window is not None and window < joined_length(pairs[-1], tokens):
        return False
    tried, was_training = [pairs[0], pairs[-1]], model.training
    inputs, mask = padded([tokens[row] for item in tried for row in item.rows], pad_id)
    model.eval()
    try:
        with torch.no_grad():
            found = joined_scores(model, joined_inputs(tried, tokens, pad_id))
            expected = head_scores(model, mask, input_ids=inputs)
        return bool(torch.allclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE))
    except (TypeError, ValueError, RuntimeError, IndexError):
        # A model that takes no such mask says so in many ways; two rows a pair are always right.
        return False
    finally:
        model.train(was_training)


def joined_length(item: Item, tokens: Sequence[list[int]]) -> int:
    sides = [tokens[row] for row in item.rows]
    return sum(map(len, sides)) - (_common(*sides) if len(sides) == 2 else 0)


def _common(one: list[int], other: list[int]) -> int:
    """How many first tokens are the same; each keeps one of its own, to be scored at."""
    n = min(len(one), len(other)) - 1
    unlike = np.flatnonzero(np.asarray(one[:n]) != np.asarray(other[:n]))
    return int(unlike[0]) if len(unlike) else n
