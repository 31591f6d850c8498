"""How large an index is: bytes on disk, and the area of tissue that its patches show."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from src.data.extraction import SlideStatus
from src.index.engine import RetrievalEngine

_UM2_PER_MM2 = 1e6


def index_size(engine: RetrievalEngine, folder: Path, statuses: Sequence[SlideStatus]) -> dict[str, Any]:
    """Rows, slides, bytes and area of an index, in all, per row and per slide.

    Args:
        engine: holds the database.
        folder: that it was written to.
        statuses: of the slides, which know their microns per pixel.
    """
    n_rows, n_slides = len(engine.rows), len(engine.rows.slide_ids)
    size_bytes = sum(path.stat().st_size for path in folder.glob("index.*"))
    return {
        "n_rows": n_rows,
        "n_slides": n_slides,
        "index_size_bytes": size_bytes,
        "index_bytes_per_row": round(size_bytes / n_rows, 1),
        "index_bytes_per_slide": round(size_bytes / n_slides, 1),
        "area_mm2_per_slide": area_mm2_per_slide(engine, {status.slide_id: status.mpp for status in statuses}),
    }


def area_mm2_per_slide(engine: RetrievalEngine, mpp_of: dict[str, float | None]) -> float | None:
    """Mean area of the indexed patches of a slide; None where a slide's microns per pixel are not known.

    Patches that overlap count each.

    Args:
        engine: holds the database.
        mpp_of: microns per level-0 pixel by slide_id.
    """
    sizes = np.array([engine.patch_size_of(slide_id) for slide_id in engine.rows.slide_ids])
    mpps = [mpp_of.get(slide_id) for slide_id in engine.rows.slide_ids]
    if None in mpps:
        return None
    patch_mm2 = sizes.prod(axis=1) * np.square(np.array(mpps, dtype=np.float64)) / _UM2_PER_MM2
    return float(patch_mm2[engine.rows.slide_of_row].sum() / len(sizes))
