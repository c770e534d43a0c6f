"""A frozen Hugging Face encoder as features: mean pooling over real tokens, then length 1."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from trueline.errors import InputError

BATCH = 64
MAX_TOKENS = 256


@lru_cache(maxsize=2)
def embedder(name: str) -> Callable[[Sequence[str]], np.ndarray]:
    """A function from n texts to (n, h) float64. InputError when the encoder cannot be loaded."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
        model = AutoModel.from_pretrained(name, use_safetensors=True).eval()
    except Exception as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"reward.embedding: {name!r} cannot be loaded ({first}); name an encoder's folder") from error

    def embed(texts: Sequence[str]) -> np.ndarray:
        found = []
        for i in range(0, len(texts), BATCH):
            batch = tokenizer(
                list(texts[i : i + BATCH]), padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt"
            )
            with torch.inference_mode():
                hidden = model(**batch).last_hidden_state
            mask = batch["attention_mask"].unsqueeze(-1)
            mean = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1)
            found.append(torch.nn.functional.normalize(mean, dim=-1).double().numpy())
        return np.concatenate(found)

    return embed
