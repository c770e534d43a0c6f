"""The feature matrix of exchanges: x in R(x) = wᵀx + b.

Four blocks, side by side: words of the answer (TF-IDF, sparse); its style; its relations to the prompt; and the
outer product of prompt and answer, each reduced by a truncated SVD, which lets a word count for one request and
against another. A frozen encoder's embedding can be added. The dense blocks are standardised and then shrunk by
the square root of their width, so that ridge treats a block much like the TF-IDF rows, whose length is 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file
from scipy.sparse import csr_matrix, hstack

from trueline import durable
from trueline.config import RewardConfig
from trueline.records import Exchange
from trueline.reward import relations as rel
from trueline.reward.embedding import embedder
from trueline.reward.text import words
from trueline.reward.vocabulary import Vocabulary

STYLE = ("length", "capital letters", "exclamation and question marks", "repetition", "unfinished")
RELATION_GAIN = 2.0


@dataclass(frozen=True)
class Features:
    """Fitted state: everything needed to turn an exchange into a row.

    centre, scale: (c,) of the dense columns; prompt_basis, answer_basis: (v, k) of the two SVDs.
    """

    answers: Vocabulary
    prompts: Vocabulary
    topics: frozenset[str]
    prompt_basis: np.ndarray
    answer_basis: np.ndarray
    centre: np.ndarray
    scale: np.ndarray
    embedding: str

    @classmethod
    def fit(cls, exchanges: Sequence[Exchange], config: RewardConfig) -> Features:
        """Learn vocabularies, SVD bases and scales from training exchanges."""
        asked, said = _texts(exchanges)
        distinct = list(dict.fromkeys(asked))
        answers, prompts = Vocabulary.fit(said, config.max_features), Vocabulary.fit(distinct, config.max_features)
        unscaled = cls(
            answers,
            prompts,
            rel.topic_words(distinct),
            _basis(prompts.matrix(distinct), config.relations),
            _basis(answers.matrix(said), config.relations),
            np.zeros(1),
            np.ones(1),
            config.embedding,
        )
        dense = unscaled._dense(exchanges, answers.matrix(said))
        centre, spread = dense.mean(0), dense.std(0)
        scale = np.where(spread > 1e-9, spread, 1.0) * unscaled._widths()
        return cls(**{**vars(unscaled), "centre": centre, "scale": scale})

    def matrix(self, exchanges: Sequence[Exchange]) -> csr_matrix:
        """(n, d) float64, d = len(names)."""
        counted = self.answers.matrix(_texts(exchanges)[1])
        dense = (self._dense(exchanges, counted) - self.centre) / self.scale
        return csr_matrix(hstack([counted, csr_matrix(dense)]))

    @property
    def names(self) -> list[str]:
        """What each column is, for people; the columns of a product or an embedding share a name."""
        k = self.prompt_basis.shape[1] * self.answer_basis.shape[1]
        dense = [*STYLE, *rel.NAMES, *["prompt × answer"] * k]
        return [*self.answers.terms, *dense, *["embedding"] * (len(self.centre) - len(dense))]

    def _dense(self, exchanges: Sequence[Exchange], counted: csr_matrix) -> np.ndarray:
        asked, said = _texts(exchanges)
        left = self.prompts.matrix(asked) @ self.prompt_basis
        right = counted @ self.answer_basis
        product = (left[:, :, None] * right[:, None, :]).reshape(len(asked), left.shape[1] * right.shape[1])
        blocks = [_style(exchanges), rel.relations(exchanges, self.topics), product]
        if self.embedding:
            blocks.append(embedder(self.embedding)(said))
        return np.concatenate(blocks, axis=1)

    def _widths(self) -> np.ndarray:
        """The divisor of each dense column: the root of its block's width, relations less so, being few and telling."""
        k = self.prompt_basis.shape[1] * self.answer_basis.shape[1]
        sizes = [len(STYLE), len(rel.NAMES), k]
        gains = [1.0, RELATION_GAIN, 1.0]
        if self.embedding:
            sizes.append(embedder(self.embedding)(["x"]).shape[1])
            gains.append(1.0)
        return np.concatenate([np.full(n, np.sqrt(n) / gain) for n, gain in zip(sizes, gains, strict=True)])

    def save(self, folder: Path) -> None:
        """features.json and features.safetensors."""
        lists = {"answers": self.answers.terms, "prompts": self.prompts.terms, "topics": sorted(self.topics)}
        durable.write_json(folder / "features.json", {**lists, "embedding": self.embedding})
        arrays = {name: np.ascontiguousarray(getattr(self, name)) for name in _ARRAYS}
        arrays |= {"answers_idf": self.answers.idf, "prompts_idf": self.prompts.idf}
        save_file(arrays, folder / "features.safetensors")

    @classmethod
    def load(cls, folder: Path) -> Features:
        lists: Mapping[str, Any] = durable.read_json(folder / "features.json")
        arrays = load_file(folder / "features.safetensors")
        for side in ("answers", "prompts"):
            rows = {len(lists[side]), len(arrays[f"{side}_idf"]), len(arrays[f"{side[:-1]}_basis"])}
            if len(rows) > 1:
                raise ValueError("its files belong to different models")
        return cls(
            Vocabulary(tuple(lists["answers"]), arrays["answers_idf"]),
            Vocabulary(tuple(lists["prompts"]), arrays["prompts_idf"]),
            frozenset(lists["topics"]),
            embedding=lists["embedding"],
            **{name: arrays[name] for name in _ARRAYS},
        )


_ARRAYS = ("prompt_basis", "answer_basis", "centre", "scale")


def _texts(exchanges: Sequence[Exchange]) -> tuple[list[str], list[str]]:
    asked = ["\n".join(m.content for m in e.prompt.messages) for e in exchanges]
    return asked, [e.completion.text for e in exchanges]


def _basis(matrix: csr_matrix, k: int) -> np.ndarray:
    """(v, k) right singular vectors, signs fixed; narrower where the matrix is."""
    from sklearn.utils.extmath import randomized_svd

    k = min(k, *(n - 1 for n in matrix.shape))
    if k < 1:
        return np.zeros((matrix.shape[1], 0))
    _, _, vt = randomized_svd(matrix, n_components=k, random_state=0)
    return np.ascontiguousarray(vt.T)


def _style(exchanges: Sequence[Exchange]) -> np.ndarray:
    rows = []
    for exchange in exchanges:
        text = exchange.completion.text
        found = words(text)
        rows.append(
            [
                np.log1p(len(found)),
                sum(c.isupper() for c in text) / (1 + len(text)),
                min(text.count("!") + text.count("?"), 5),
                1 - len(set(found)) / len(found) if found else 0.0,
                float(exchange.completion.finish == "length"),
            ]
        )
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(STYLE))
