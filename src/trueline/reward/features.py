"""The feature matrix of exchanges, in blocks side by side: x in R(x) = wᵀx + b.

- words, characters: TF-IDF of the answer's words (1 to 2) and character n-grams (2 to 4, good for Chinese);
- prompt: TF-IDF of the words of the last user turn, of the user's turns before it, and of the others' turns; how many
  turns there are, and whose is the last;
- style: how the answer is written; relations: what it shares with its prompt;
- interactions: the outer product of prompt and answer, each reduced by a truncated SVD, which lets a word count for one
  request and against another;
- embedding: a frozen encoder's embedding of the answer, of the prompt, and their elementwise product.

The TF-IDF blocks are sparse, with rows of length 1. The dense blocks are standardised and then shrunk by the square
root of their width, so that a penalty treats a block much like a TF-IDF row.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import numpy as np
from safetensors.numpy import load_file, save_file
from scipy.sparse import csr_matrix, hstack

from trueline import durable
from trueline.config import FeatureBlock, RewardConfig
from trueline.errors import InputError
from trueline.records import Exchange, Message
from trueline.reward import relations as rel
from trueline.reward.design import Design, stacked
from trueline.reward.embedding import embeddings
from trueline.reward.text import STYLE, style, symbols, words
from trueline.reward.vocabulary import Vocabulary

RELATION_GAIN = 2.0
SHAPE = ("turns before", "the last turn is the user's")
SAMPLE = 30_000
CHUNK = 8192
PLAIN: tuple[FeatureBlock, ...] = ("words", "style", "relations", "interactions")
# The sparse columns of each block: the vocabulary behind them, and what is set before a term to name the column.
TURNS = ("request", "asked before", "told before")
SPARSE: dict[FeatureBlock, tuple[tuple[str, str], ...]] = {
    "words": (("answer", ""),),
    "characters": (("characters", "characters: "),),
    "prompt": (("request", "request: "), ("asked before", "asked before: "), ("told before", "told before: ")),
}
EMBEDDINGS = ("embedding of the answer", "embedding of the prompt", "embedding of both")
_ARRAYS = ("prompt_basis", "answer_basis", "centre", "scale")


def candidates(config: RewardConfig, *, within_prompts: bool = False) -> list[tuple[FeatureBlock, ...]]:
    """The sets to choose from, the plain one first; only the set that the settings name, if they name one.

    within_prompts: learned are only differences of answers to one prompt, in which what the prompt alone adds cancels.
    """
    if config.features:
        if "embedding" in config.features and not config.embedding:
            raise InputError('reward.features has "embedding", but reward.embedding names no encoder: name one')
        return [tuple(b for b in get_args(FeatureBlock) if b in config.features)]
    more: tuple[FeatureBlock, ...] = ("embedding",) if config.embedding else ()
    plain = (*PLAIN, *more)
    sets = [plain, (*plain, "characters")]
    return sets if within_prompts else [*sets, (*plain, "prompt"), (*plain, "characters", "prompt")]


@dataclass(frozen=True)
class Reading:
    """Exchanges taken apart once for all blocks. prompt: (n,) which of the distinct prompts each answer is to."""

    exchanges: Sequence[Exchange]
    said: list[str]
    said_words: list[list[str]]
    prompt: np.ndarray
    asked: list[str]
    asked_words: list[list[str]]
    turns: dict[str, list[str]]

    @classmethod
    def of(cls, exchanges: Sequence[Exchange]) -> Reading:
        place: dict[tuple[Message, ...], int] = {}
        prompt = [place.setdefault(e.prompt.messages, len(place)) for e in exchanges]
        said = [e.completion.text for e in exchanges]
        asked = ["\n".join(m.content for m in messages) for messages in place]
        sides = [_turns(messages) for messages in place]
        return cls(
            exchanges,
            said,
            [words(t) for t in said],
            np.array(prompt, dtype=np.int64),
            asked,
            [words(t) for t in asked],
            {name: [side[name] for side in sides] for name in TURNS},
        )


@dataclass(frozen=True)
class Features:
    """Fitted state: everything needed to turn an exchange into a row.

    vocabularies: answer, prompt, characters, and those of TURNS, as far as the blocks need them;
    centre, scale: (c,) of the dense columns; prompt_basis, answer_basis: (v, k) of the two SVDs.
    """

    blocks: tuple[FeatureBlock, ...]
    vocabularies: dict[str, Vocabulary]
    topics: frozenset[str]
    prompt_basis: np.ndarray
    answer_basis: np.ndarray
    centre: np.ndarray
    scale: np.ndarray
    embedding: str

    @classmethod
    def fit(
        cls, exchanges: Sequence[Exchange], config: RewardConfig, blocks: tuple[FeatureBlock, ...] = PLAIN
    ) -> Features:
        """Learn vocabularies, SVD bases and scales from training exchanges, 30,000 of them at most."""
        if len(exchanges) > SAMPLE:
            drawn = np.random.default_rng(43).choice(len(exchanges), SAMPLE, replace=False)
            exchanges = [exchanges[i] for i in np.sort(drawn)]
        reading = Reading.of(exchanges)
        crossed = "interactions" in blocks and config.relations > 0
        texts = {"answer": reading.said, "prompt": reading.asked, "characters": reading.said}
        texts |= reading.turns
        needed = [name for block in blocks for name, _ in SPARSE.get(block, ())]
        found = {
            name: Vocabulary.fit(texts[name], config.max_features, unit=_unit(name))
            for name in dict.fromkeys([*needed, *(("answer", "prompt") if crossed else ())])
        }
        counted = _counted(found, reading)
        nothing = np.zeros((0, 0))
        unscaled = cls(
            blocks if crossed else tuple(b for b in blocks if b != "interactions"),
            found,
            rel.topic_words(reading.asked) if "relations" in blocks else frozenset(),
            _basis(counted["prompt"], config.relations) if crossed else nothing,
            _basis(counted["answer"], config.relations) if crossed else nothing,
            np.zeros(1),
            np.ones(1),
            config.embedding if "embedding" in blocks else "",
        )
        dense = unscaled._dense(reading, counted)
        values = np.concatenate([np.zeros((len(exchanges), 0)), *dense.values()], axis=1)
        spread = values.std(0)
        gain = {"relations": RELATION_GAIN}
        widths = [np.full(v.shape[1], np.sqrt(v.shape[1]) / gain.get(name, 1.0)) for name, v in dense.items()]
        scale = np.where(spread > 1e-9, spread, 1.0) * np.concatenate([np.zeros(0), *widths])
        return replace(unscaled, centre=values.mean(0), scale=scale)

    def matrix(self, exchanges: Sequence[Exchange]) -> Design:
        """(n, f) with f = len(names)."""
        sparse, dense = [], np.empty((len(exchanges), len(self.centre)), np.float32)
        for i in range(0, max(1, len(exchanges)), CHUNK):
            part = self._part(Reading.of(exchanges[i : i + CHUNK]))
            sparse.append(part.sparse)
            dense[i : i + CHUNK] = part.dense
        return Design(stacked(sparse), dense)

    def _part(self, reading: Reading) -> Design:
        counted, n = _counted(self.vocabularies, reading), len(reading.said)
        sparse = [counted[name] for block in self.blocks for name, _ in SPARSE.get(block, ())]
        dense = np.concatenate([np.zeros((n, 0)), *self._dense(reading, counted).values()], axis=1)
        scaled = ((dense - self.centre) / self.scale).astype(np.float32)
        return Design(csr_matrix(hstack(sparse)) if sparse else csr_matrix((n, 0)), scaled)

    def _dense(self, reading: Reading, counted: dict[str, csr_matrix]) -> dict[str, np.ndarray]:
        """Each dense block, (n, its width) float64, not yet scaled."""
        found: dict[str, np.ndarray] = {}
        n = len(reading.said)
        for block in self.blocks:
            if block == "style":
                cut = [e.completion.finish == "length" for e in reading.exchanges]
                rows = [style(*row) for row in zip(reading.said, reading.said_words, cut, strict=True)]
                found[block] = np.array(rows, dtype=np.float64).reshape(n, len(STYLE))
            elif block == "prompt":
                shapes = [_shape(e.prompt.messages) for e in reading.exchanges]
                found[block] = np.array(shapes, dtype=np.float64).reshape(n, len(SHAPE))
            elif block == "relations":
                sides = reading.asked_words, reading.prompt, reading.said, reading.said_words
                found[block] = rel.relations_of(*sides, self.topics)
            elif block == "interactions":
                left = (counted["prompt"] @ self.prompt_basis)[reading.prompt]
                right = counted["answer"] @ self.answer_basis
                found[block] = (left[:, :, None] * right[:, None, :]).reshape(n, left.shape[1] * right.shape[1])
            elif block == "embedding" and n:
                answer = embeddings(self.embedding, reading.said).astype(np.float64)
                prompt = embeddings(self.embedding, reading.asked).astype(np.float64)[reading.prompt]
                found[block] = np.concatenate([answer, prompt, answer * prompt], axis=1)
            elif block == "embedding":
                found[block] = np.zeros((0, len(self.centre) - sum(v.shape[1] for v in found.values())))
        return found

    @cached_property
    def names(self) -> list[str]:
        """What each column is, for people; the columns of a product or an embedding share a name."""
        return [name for _, name in self._columns]

    @cached_property
    def block_of(self) -> np.ndarray:
        """(f,) the block of each column."""
        return np.array([block for block, _ in self._columns], dtype=object)

    @cached_property
    def _columns(self) -> list[tuple[str, str]]:
        """Block and name of each column."""
        found = [
            (block, before + term)
            for block in self.blocks
            for name, before in SPARSE.get(block, ())
            for term in self.vocabularies[name].terms
        ]
        product = ["prompt × answer"] * (self.prompt_basis.shape[1] * self.answer_basis.shape[1])
        known = {"style": STYLE, "prompt": SHAPE, "relations": rel.NAMES, "interactions": product}
        dense = [(block, name) for block in self.blocks for name in known.get(block, ())]
        h = (len(self.centre) - len(dense)) // len(EMBEDDINGS)
        encoded = [("embedding", name) for name in EMBEDDINGS for _ in range(h)] if "embedding" in self.blocks else []
        return found + dense + encoded

    def save(self, folder: Path) -> None:
        """features.json and features.safetensors."""
        lists = {name: v.terms for name, v in self.vocabularies.items()}
        head = {"blocks": self.blocks, "vocabularies": lists, "topics": sorted(self.topics)}
        durable.write_json(folder / "features.json", {**head, "embedding": self.embedding})
        arrays = {name: np.ascontiguousarray(getattr(self, name)) for name in _ARRAYS}
        arrays |= {f"{name}_idf": v.idf for name, v in self.vocabularies.items()}
        save_file(arrays, folder / "features.safetensors")

    @classmethod
    def load(cls, folder: Path) -> Features:
        head: dict[str, Any] = durable.read_json(folder / "features.json")
        arrays = load_file(folder / "features.safetensors")
        found = {n: Vocabulary(tuple(t), arrays[f"{n}_idf"], _unit(n)) for n, t in head["vocabularies"].items()}
        if any(len(v.terms) != len(v.idf) for v in found.values()):
            raise ValueError("its files belong to different models")
        return cls(
            tuple(head["blocks"]),
            found,
            frozenset(head["topics"]),
            embedding=head["embedding"],
            **{name: arrays[name] for name in _ARRAYS},
        )


def _unit(name: str) -> Any:
    return "characters" if name == "characters" else "words"


def _turns(messages: tuple[Message, ...]) -> dict[str, str]:
    """A conversation by who spoke: the last user turn, the user's earlier turns, the others' turns."""
    last = max((i for i, m in enumerate(messages) if m.role == "user"), default=len(messages) - 1)
    rest = [m for i, m in enumerate(messages) if i != last]
    return {
        "request": messages[last].content if messages else "",
        "asked before": "\n".join(m.content for m in rest if m.role == "user"),
        "told before": "\n".join(m.content for m in rest if m.role != "user"),
    }


def _shape(messages: tuple[Message, ...]) -> list[float]:
    """One figure for each name in SHAPE."""
    return [math.log1p(len(messages)), float(bool(messages) and messages[-1].role == "user")]


def _counted(vocabularies: dict[str, Vocabulary], reading: Reading) -> dict[str, csr_matrix]:
    """TF-IDF by vocabulary: rows are answers, for "prompt" distinct prompts."""
    found = {}
    for name, vocabulary in vocabularies.items():
        if name == "answer":
            found[name] = vocabulary.matrix_of([symbols(row) for row in reading.said_words])
        elif name == "characters":
            found[name] = vocabulary.matrix(reading.said)
        elif name == "prompt":
            found[name] = vocabulary.matrix_of([symbols(row) for row in reading.asked_words])
        else:
            found[name] = csr_matrix(vocabulary.matrix(reading.turns[name])[reading.prompt])
    return found


def _basis(matrix: csr_matrix, k: int) -> np.ndarray:
    """(v, k) right singular vectors, signs fixed; narrower where the matrix is."""
    from sklearn.utils.extmath import randomized_svd

    k = min(k, *(n - 1 for n in matrix.shape))
    if k < 1:
        return np.zeros((matrix.shape[1], 0))
    _, _, vt = randomized_svd(matrix, n_components=k, random_state=0)
    return np.ascontiguousarray(vt.T)
