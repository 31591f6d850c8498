"""One picture per slide of what each run of a sweep kept of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from src.data.mosaic_preview import MOSAICS_FOLDER
from src.data.progress import tracked
from src.eval.figures import save
from src.eval.leaderboard import Leaderboard
from src.eval.run import Run
from src.eval.side_by_side import side_by_side
from src.interfaces import Image


def write_mosaic_comparison(board: Leaderboard, folder: Path) -> list[Path]:
    """Write `mosaics/<slide_id>.png` of every slide that two runs have drawn differently.

    Args:
        board: runs that drew their mosaics (`mosaic_previews=true`); others are left out.
        folder: of the sweep.

    Returns:
        The pictures, by slide; none where fewer than two runs drew any.
    """
    drawn = [run for run in board.runs if _pictures(run)]
    slides = sorted({path.name for run in drawn for path in _pictures(run)})
    written = []
    for name in tracked(slides, "mosaics of all runs") if len(drawn) > 1 else ():
        pictures = _named(_distinct(drawn, name), board)
        if len(pictures) > 1:
            save(side_by_side(pictures, Path(name).stem), folder / MOSAICS_FOLDER / name)
            written.append(folder / MOSAICS_FOLDER / name)
    return written


def _pictures(run: Run) -> Sequence[Path]:
    return [] if run.folder is None else sorted((run.folder / MOSAICS_FOLDER).glob("*.png"))


def _distinct(runs: Sequence[Run], name: str) -> dict[bytes, list[Run]]:
    """Contents of the pictures of one slide, each with the runs that drew it so."""
    found: dict[bytes, list[Run]] = {}
    for run in runs:
        path = run.folder / MOSAICS_FOLDER / name if run.folder else None
        if path is not None and path.exists():
            found.setdefault(path.read_bytes(), []).append(run)
    return found


def _named(found: Mapping[bytes, Sequence[Run]], board: Leaderboard) -> dict[str, Image]:
    """Pictures by their engines; by what tells the runs apart where an engine drew two."""
    engines = Counter(name for runs in found.values() for name in {run.name for run in runs})
    pictures = {}
    for content, runs in found.items():
        names = [run.name if engines[run.name] == 1 else board.label(run) for run in runs]
        pictures[", ".join(dict.fromkeys(names))] = _decoded(content)
    return pictures


def _decoded(content: bytes) -> Image:
    decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)
