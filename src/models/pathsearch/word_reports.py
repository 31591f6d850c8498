"""Reports as bags of words: a small tower without published weights, learnt from nothing but the reports at hand.

It is no biomedical language model and knows no word that it was not trained with; it is what shows that a training
works where no model can be downloaded. A word and a pair of words are a row of one table each, by a hash of their
letters.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain, pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from src.errors import ConfigError

_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class WordReports:
    """A table of vectors, of which those of a text's words are averaged.

    Attributes:
        dim: of a vector.
        n_rows: of the table; words that share a row cannot be told apart.

    Raises:
        ConfigError: a size below 1.
    """

    dim: int
    n_rows: int
    name: str = "words"

    def __post_init__(self) -> None:
        if min(self.dim, self.n_rows) < 1:
            raise ConfigError(f"report words: dim is {self.dim} and n_rows {self.n_rows}, expected at least 1")

    def build(self) -> nn.Module:
        """The tower with random weights."""
        return _WordTower(self.dim, self.n_rows)

    def pretrained(self) -> nn.Module:
        """As `build`: there are no published weights."""
        return self.build()

    def require(self) -> None:
        """Nothing is needed."""

    def settings(self) -> Mapping[str, Any]:
        """Its parameters."""
        return asdict(self)


class _WordTower(nn.Module):
    def __init__(self, dim: int, n_rows: int) -> None:
        super().__init__()
        self.table = nn.EmbeddingBag(n_rows, dim, mode="mean")

    def forward(self, texts: Sequence[str]) -> Float[Tensor, "text dim"]:
        rows = [hashed_words(text, self.table.num_embeddings) for text in texts]
        starts = torch.tensor([0, *map(len, rows[:-1])]).cumsum(0)
        device = self.table.weight.device
        vectors: Tensor = self.table(torch.tensor(list(chain(*rows))).to(device), starts.to(device))
        return vectors


def hashed_words(text: str, n_rows: int) -> list[int]:
    """A row of each word and of each pair of neighbours, whatever their case; of no word at all, row 0.

    >>> hashed_words("Lymphoid tissue", 1000) == hashed_words("lymphoid, tissue.", 1000)
    True
    """
    words = _WORD.findall(text.lower())
    parts = [*words, *(f"{first} {second}" for first, second in pairwise(words))]
    return [zlib.crc32(part.encode()) % n_rows for part in parts] or [0]
