"""One picture per slide of the patches that stand for it in an index."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from src.data.cohort import Cohort
from src.data.mosaic_preview import write_mosaic_preview
from src.data.progress import tracked
from src.errors import SlideError
from src.index.engine import RetrievalEngine
from src.interfaces import FeatureStore
from src.runs.slide_pictures import SlidePictures

log = logging.getLogger(__name__)


def write_mosaic_pictures(folder: Path, cohort: Cohort, store: FeatureStore, engine: RetrievalEngine) -> None:
    """Write `<slide_id>.png` of every slide of the index; a slide that cannot be read is left out and named."""
    pictures, rows = SlidePictures(cohort), engine.rows
    for place, slide_id in enumerate(tracked(rows.slide_ids, f"mosaics, {engine.name}")):
        kept, size = rows.xy[np.flatnonzero(rows.slide_of_row == place)], engine.patch_size_of(slide_id)
        with pictures.opened(slide_id) as slide:
            try:
                if slide is not None:
                    write_mosaic_preview(folder / f"{slide_id}.png", slide, store.load(slide_id).coords, kept, size)
            except SlideError as error:
                log.warning("no picture of a mosaic: %s", error)
    log.info("mosaics: %s", folder)
