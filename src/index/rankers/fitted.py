"""What an engine does for a ranking that has to see the codes of the whole database once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from src.data.files import written_whole
from src.errors import ConfigError
from src.index.folder import RANKING_FILE, OpenedFolder
from src.index.indexes.removal import KeepsCodes
from src.interfaces import Codes, FittedRanker, Index, Ranker, Rows


class CodesForRanking:
    """The codes of a database, kept while it is built for a ranking that has to see them all.

    Args:
        ranking: where it is no `FittedRanker`, nothing is kept.
    """

    def __init__(self, ranking: Ranker) -> None:
        self.ranking = ranking
        self._seen: list[Codes] = []

    def add(self, codes: Codes | None) -> None:
        """Codes that the index has, in its order; None of `codes_seen` adds nothing."""
        if codes is not None and isinstance(self.ranking, FittedRanker):
            self._seen.append(codes)

    def fit(self, index: Index, rows: Rows) -> None:
        """Let the ranking find what it needs to know of them."""
        if isinstance(self.ranking, FittedRanker):
            self.ranking.fit(_joined(self._seen), index, rows)


def codes_seen(ranking: Ranker, index: Index) -> Codes | None:
    """The codes of every row, for a ranking that has to see them all again; None where it looks at none.

    What comes with codes beside their values is what the ranking keeps of it under the same names.

    Raises:
        ConfigError: an index that does not keep its codes as they came in.
    """
    if not isinstance(ranking, FittedRanker):
        return None
    if not isinstance(index, KeepsCodes):
        raise ConfigError(
            f"ranking {type(ranking).__name__} has to see all codes again, which index {type(index).__name__} does not "
            "keep; build the index again from the whole cohort"
        )
    state = ranking.state()
    return replace(index.codes(), weights=state.get("weights"), summaries=state.get("summaries"))


def fitted_settings(ranking: Ranker) -> dict[str, Any] | None:
    """What shaped that which the ranking found of the database, with its name; None where it looks for nothing."""
    if not isinstance(ranking, FittedRanker):
        return None
    return {"name": type(ranking).__name__, **ranking.settings()}


def ranking_file(ranking: Ranker) -> dict[str, Callable[[Path], None]]:
    """What writes that into an index folder, by the name of the file; nothing where there is nothing."""
    if not isinstance(ranking, FittedRanker):
        return {}
    state = ranking.state()

    def write(path: Path) -> None:
        with written_whole(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **state)  # type: ignore[arg-type]

    return {RANKING_FILE: write}


def restore_fitted(ranking: Ranker, opened: OpenedFolder) -> None:
    """Give a ranking what was found when the index was built.

    Raises:
        IndexMismatch: the index was built for another ranking, or with other settings of it.
    """
    if not isinstance(ranking, FittedRanker):
        return
    opened.expect(ranking_fitted=fitted_settings(ranking))
    with np.load(opened.folder / RANKING_FILE, allow_pickle=False) as state:
        ranking.restore(dict(state))


def _joined(parts: list[Codes]) -> Codes:
    keys = [part.keys for part in parts if part.keys is not None]
    weights = [part.weights for part in parts if part.weights is not None]
    summaries = [part.summaries for part in parts if part.summaries is not None]
    return Codes(
        np.concatenate([part.values for part in parts]),
        parts[0].n_bits,
        np.concatenate(keys) if keys else None,
        np.concatenate(weights) if weights else None,
        np.concatenate(summaries) if summaries else None,
    )
