"""Many texts through a neural reward model: of like length together, a prompt that several answers share read once.

Letters: n texts, d dimensions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from weakref import WeakKeyDictionary

import numpy as np
import torch

from trueline.reward.backbone import Backbone, head_scores, padded
from trueline.reward.shared_prompts import can_join, common, joined_inputs, joined_length, joined_scores, to_device

LONGER = 1.1
SHARED = 0.5  # of a text, so that reading it with others is worth their mask
LONGEST_ROW = 2  # times the longest text in it: attention looks at every token of the row
_joins: WeakKeyDictionary[torch.nn.Module, bool] = WeakKeyDictionary()  # found by trying, once a model


def raw_scores(backbone: Backbone, ids: Sequence[list[int]], batch: int) -> np.ndarray:
    """(n, d) float64 head outputs of token ids, at most `batch` texts at once; dropout off."""
    model = backbone.model
    found = np.zeros((len(ids), model.config.num_labels))
    groups = _alike(ids)
    if not _joined(backbone, [[ids[i] for i in group] for group in groups if len(group) > 1]):
        groups = [[i] for i in range(len(ids))]
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        for some in _of_like_length(groups, ids, batch):
            rows = [i for group in some for i in group]
            if len(rows) == len(some):
                inputs, mask = padded([ids[i] for i in rows], backbone.pad_id)
                scores = head_scores(model, mask.to(model.device), input_ids=inputs.to(model.device))
            else:
                joined = joined_inputs([[ids[i] for i in group] for group in some], backbone.pad_id)
                scores = joined_scores(model, to_device(joined, model.device))
            found[rows] = scores.double().cpu().numpy()
    model.train(was_training)
    return found


def _alike(ids: Sequence[list[int]]) -> list[list[int]]:
    """Groups of rows that begin alike, found in the order of their tokens; every row is in one."""
    groups: list[list[int]] = []
    for i in sorted(range(len(ids)), key=lambda i: ids[i]):
        if groups and _worth(groups[-1], i, ids):
            groups[-1].append(i)
        else:
            groups.append([i])
    return groups


def _worth(group: list[int], row: int, ids: Sequence[list[int]]) -> bool:
    sides = [ids[i] for i in (*group, row)]
    longest = max(map(len, sides))
    return common(sides[0], sides[-1]) >= SHARED * longest and joined_length(sides) <= LONGEST_ROW * longest


def _joined(backbone: Backbone, several: list[list[list[int]]]) -> bool:
    if not several:
        return False
    window = getattr(backbone.model.config.get_text_config(), "sliding_window", None)
    if window is not None and window < max(map(joined_length, several)):
        return False
    if backbone.model not in _joins:
        _joins[backbone.model] = can_join(backbone.model, several, backbone.pad_id)
    return _joins[backbone.model]


def _of_like_length(groups: list[list[int]], ids: Sequence[list[int]], batch: int) -> Iterator[list[list[int]]]:
    """Groups to read at once: at most `batch` texts, the longest row at most a tenth longer than the shortest."""
    lengths = [joined_length([ids[i] for i in group]) for group in groups]
    some: list[list[int]] = []
    texts, shortest = 0, 0
    for g in sorted(range(len(groups)), key=lambda g: lengths[g]):
        group = groups[g]
        if some and (texts + len(group) > batch or lengths[g] > LONGER * shortest):
            yield some
            some, texts = [], 0
        if not some:
            shortest = lengths[g]
        some.append(group)
        texts += len(group)
    if some:
        yield some
