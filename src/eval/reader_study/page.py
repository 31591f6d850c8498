"""The page on which a reader looks and scores; it works in a browser without a network or a server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from src.data.files import write_text
from src.eval.reader_study.blinding import Rated
from src.eval.reader_study.sheets import HIGHEST, LOWEST
from src.eval.report.page import render


@dataclass(frozen=True)
class ShownHit:
    """A hit on the page; pictures are paths beside it."""

    item: str
    place: int
    pictures: tuple[str, ...]


@dataclass(frozen=True)
class ShownAnswer:
    """The hits of one method, which a letter stands for."""

    letter: str
    hits: tuple[ShownHit, ...]


@dataclass(frozen=True)
class ShownQuery:
    """A query and the answers to it, by letter."""

    number: int
    pictures: tuple[str, ...]
    answers: tuple[ShownAnswer, ...]


@dataclass(frozen=True)
class StudyPage:
    """All that the page shows; nothing on it tells methods apart.

    Attributes:
        note: what the pictures are.
    """

    title: str
    rated: Rated
    aspects: Sequence[str]
    queries: Sequence[ShownQuery]
    note: str
    scale: Sequence[int] = tuple(range(LOWEST, HIGHEST + 1))

    @property
    def n_hits(self) -> int:
        """Columns of pictures."""
        return max((hit.place for query in self.queries for answer in query.answers for hit in answer.hits), default=1)


def write_page(path: Path, page: StudyPage) -> None:
    """Write the page, whole or not at all."""
    write_text(path, render("reader_study.html", report=page))
