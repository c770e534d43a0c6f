"""A pair in one row gives the scores and gradients of two rows, or is not used."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    BloomConfig,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
)

from trueline.reward.backbone import Backbone, head_scores, padded
from trueline.reward.judgements import Item
from trueline.reward.scoring import raw_scores
from trueline.reward.shared_prompts import can_join, joined, joined_inputs, joined_length, joined_scores
from trueline.reward.transformer_training import Collator, reward_loss

SIZE = {"vocab_size": 50, "num_labels": 2, "pad_token_id": 0}
LLAMA = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
TOKENS = [[5, 6, 7, 8, 9], [5, 6, 7, 3], [5, 6], [5, 6, 7], [1, 2, 3], [4, 2], [9, 8, 7, 6, 5, 4, 3]]
ITEMS = [
    Item((0, 1), np.full((2, 2), 0.3), np.array([2.0, np.nan])),
    Item((2, 3), np.full((2, 2), np.nan), np.array([-1.0, 3.0])),
    Item((4, 5), np.full((2, 2), np.nan), np.array([np.nan, 1.0])),
    Item((6,), np.array([[1.0, -1.0]]), np.full(2, np.nan)),
]
JOINABLE = {
    "llama": LlamaConfig(**SIZE, **LLAMA, num_key_value_heads=2),
    "gpt2": GPT2Config(**SIZE, n_embd=32, n_layer=2, n_head=4),
}


def groups(tokens):
    return [[tokens[row] for row in item.rows] for item in ITEMS]


def made(config):
    torch.manual_seed(0)
    return AutoModelForSequenceClassification.from_config(config).eval()


def test_a_row_has_the_beginning_once_and_positions_that_go_on_from_it():
    ids, segments, positions, ends = joined([[5, 6, 7, 8], [5, 6, 9]])
    assert ids == [5, 6, 7, 8, 9] and segments == [0, 0, 1, 1, 2]
    assert positions == [0, 1, 2, 3, 2] and ends == [3, 4]
    assert joined([[5, 6], [5, 6, 7]])[3] == [1, 3]  # a side that the other begins with keeps a token of its own
    assert [joined_length(sides) for sides in groups(TOKENS)] == [6, 4, 5, 7]


def test_any_number_of_answers_can_share_a_row():
    ids, segments, positions, ends = joined([[5, 6, 7], [5, 6, 8, 9], [5, 6, 3]])
    assert ids == [5, 6, 7, 8, 9, 3] and segments == [0, 0, 1, 2, 2, 3]
    assert positions == [0, 1, 2, 2, 3, 2] and ends == [2, 4, 5]


@pytest.mark.parametrize("config", [*JOINABLE.values(), BertConfig(**SIZE, **LLAMA)], ids=[*JOINABLE, "bert"])
def test_scoring_gives_what_the_model_says_of_each_text_by_itself(config):
    rng = np.random.default_rng(0)
    model = made(config)
    prompts = [rng.integers(1, 50, n).tolist() for n in (9, 20, 14)]
    texts = [p + rng.integers(1, 50, rng.integers(1, 8)).tolist() for p in prompts for _ in range(4)]
    texts += [rng.integers(1, 50, 3).tolist(), texts[0], texts[0] + [4]]  # alone, twice, and one that goes on
    texts = [texts[i] for i in rng.permutation(len(texts))]
    found = raw_scores(Backbone(model, SimpleNamespace(pad_token_id=0), 64), texts, 5)
    with torch.no_grad():
        alone = [model(torch.tensor([ids])).logits[0].numpy() for ids in texts]
    np.testing.assert_allclose(found, alone, atol=1e-5)


@pytest.mark.parametrize("kind", JOINABLE)
def test_scores_and_gradients_are_those_of_two_rows(kind):
    model, found = made(JOINABLE[kind]), []
    assert can_join(model, groups(TOKENS), 0)
    for join in (False, True):
        batch = Collator(TOKENS, 0, join=join)(ITEMS)
        model.zero_grad()
        scores = (
            joined_scores(model, batch)
            if join
            else head_scores(model, batch["attention_mask"], input_ids=batch["input_ids"])
        )
        rest = {k: batch[k] for k in ("pairs", "preferences", "targets")}
        reward_loss(scores, **rest, margin=0.5, ratings_share=0.4).backward()
        gradient = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
        found.append((scores.detach(), gradient))
    torch.testing.assert_close(found[1][0], found[0][0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found[1][1], found[0][1], atol=1e-5, rtol=1e-4)


def test_the_one_answer_does_not_see_the_other():
    model = made(JOINABLE["llama"])
    changed = [[5, 6, 7, 30, 31], *TOKENS[1:]]
    first, second = (joined_scores(model, joined_inputs(groups(tokens)[:1], 0)) for tokens in (TOKENS, changed))
    assert not torch.allclose(first[0], second[0]) and torch.allclose(first[1], second[1], atol=1e-6)


@pytest.mark.parametrize(
    "config",
    [
        BertConfig(**SIZE, **LLAMA),
        MistralConfig(**SIZE, **LLAMA, num_key_value_heads=2, sliding_window=3),
        BloomConfig(**SIZE, hidden_size=32, n_layer=2, n_head=4),
    ],
    ids=["an encoder", "a window shorter than a row", "no such masks"],
)
def test_where_it_would_not_be_the_same_pairs_stay_in_two_rows(config):
    assert not can_join(made(config), groups(TOKENS), 0)


def test_trying_leaves_the_model_in_training_and_needs_a_pair():
    model = made(JOINABLE["llama"]).train()
    assert can_join(model, groups(TOKENS), 0) and model.training
    assert not can_join(model, groups(TOKENS)[3:], 0)
    inputs, mask = padded([TOKENS[0]], 0)
    assert inputs.shape == mask.shape == (1, 5)
