"""A study's folder: `for_readers/` is handed out, key.csv and study.json beside it are not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from src.data.files import write_json, written_whole
from src.errors import HistoseekError
from src.eval.reader_study.blinding import KEY_DTYPES, Rated

FOR_READERS = "for_readers"
_KEY_FILE = "key.csv"
_STUDY_FILE = "study.json"
_OF_HIT = ["hit_slide", "x", "y"]


@dataclass(frozen=True)
class Study:
    """What is scored, and whose it is.

    Attributes:
        key: as `blind` made it; hits that could not be shown are not in it.
        rated: what one item is.
        aspects: what is scored of each item.
        facts: how the study was made.
    """

    key: pd.DataFrame
    rated: Rated
    aspects: tuple[str, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Six digits that each item starts with."""
        return str(self.key["item"].iloc[0]).partition("-")[0]

    @property
    def items(self) -> pd.DataFrame:
        """One row per item; `place` only where single hits are scored."""
        left_out = [*_OF_HIT, *(["place"] if self.rated == "answers" else [])]
        return self.key.drop_duplicates("item").drop(columns=left_out).reset_index(drop=True)


def save_study(folder: Path, study: Study) -> None:
    """Write key.csv and study.json."""
    with written_whole(folder / _KEY_FILE) as temporary:
        study.key.to_csv(temporary, index=False)
    settings = {"name": study.name, "rated": study.rated, "aspects": list(study.aspects)}
    write_json(folder / _STUDY_FILE, {**settings, "facts": study.facts})


def load_study(folder: Path) -> Study:
    """Read what `save_study` wrote.

    Raises:
        HistoseekError: the folder holds no study, or a damaged one.
    """
    try:
        key = pd.read_csv(folder / _KEY_FILE, dtype=KEY_DTYPES, keep_default_na=False)[list(KEY_DTYPES)]
        said = json.loads((folder / _STUDY_FILE).read_text(encoding="utf-8"))
        return Study(key, said["rated"], tuple(said["aspects"]), said["facts"])
    except (OSError, ValueError, KeyError) as error:
        raise HistoseekError(
            f"{folder}: no reader study ({_KEY_FILE}, {_STUDY_FILE}: {error}); give the folder that `make` wrote"
        ) from error
