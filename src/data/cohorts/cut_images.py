"""Images that are cut from published files once, because a cohort names one file per image."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from src.data.cohorts.table import read_table
from src.data.files import write_json, write_text
from src.data.whole_folder import folder_lock, folder_written_whole
from src.errors import CohortError
from src.interfaces import Image as Pixels

_TABLE, _MADE_OF = "images.csv", "made_of.json"


def cut_once(folder: Path, made_of: Mapping[str, Any], cut: Callable[[Path], pd.DataFrame]) -> pd.DataFrame:
    """The table of the images in `folder`, which are cut on first use and when `made_of` changes.

    Args:
        folder: written whole or not at all; a second process waits for the first.
        made_of: everything that shapes the images and their table; JSON-serialisable.
        cut: writes PNGs into the folder that it is given, and returns a table with a column `slide_id`, their stem.

    Returns:
        What `cut` returned, cells as text, with a column `path`.

    Raises:
        CohortError: `folder` holds something else.
    """
    folder = folder.expanduser().absolute()
    with folder_lock(folder):
        if not _is_made_of(folder, made_of):
            _refuse_foreign(folder)
            with folder_written_whole(folder) as partial:
                write_text(partial / _TABLE, cut(partial).to_csv(index=False, lineterminator="\n"))
                write_json(partial / _MADE_OF, dict(made_of))
    table = read_table(folder / _TABLE)
    return table.assign(path=[str(folder / f"{slide_id}.png") for slide_id in table["slide_id"]])


def write_image(folder: Path, slide_id: str, pixels: Pixels) -> None:
    """Write one PNG into the folder that `cut` was given."""
    Image.fromarray(pixels).save(folder / f"{slide_id}.png")


def _is_made_of(folder: Path, made_of: Mapping[str, Any]) -> bool:
    file = folder / _MADE_OF
    return file.is_file() and json.loads(file.read_text(encoding="utf-8")) == dict(made_of)


def _refuse_foreign(folder: Path) -> None:
    if folder.exists() and not (folder / _MADE_OF).is_file() and any(folder.iterdir()):
        raise CohortError(f"{folder}: holds other files; set data.images_dir to a folder that may be overwritten")
