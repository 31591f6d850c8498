"""The attention of all patches of a slide, where a trained head and the slide's features are at hand."""

from __future__ import annotations

import logging

import numpy as np

from src.errors import FeatureFileError
from src.eval.report.heatmap import PatchScores
from src.interfaces import Code, FeatureStore
from src.runs.query_answer import TrainedCode

log = logging.getLogger(__name__)


class SlideHeat:
    """Attention by slide_id, each computed once; the features of one slide are in memory at a time.

    Args:
        code: of the engine; one without a head gives no attention.
        features: of the cohort; None where they are not at hand.
    """

    def __init__(self, code: Code, features: FeatureStore | None) -> None:
        self._code = code if isinstance(code, TrainedCode) else None
        self._features = features
        self._known: dict[str, PatchScores | None] = {}

    def of(self, slide_id: str) -> PatchScores | None:
        """The patches of the slide with their attention; None where it cannot be told."""
        if slide_id not in self._known:
            self._known[slide_id] = self._computed(slide_id)
        return self._known[slide_id]

    def _computed(self, slide_id: str) -> PatchScores | None:
        if self._code is None or self._features is None:
            return None
        try:
            slide = self._features.load(slide_id)
        except FeatureFileError as error:
            log.warning("no heat map: %s", error)
            return None
        weights = self._code.attention(slide.features)
        if weights is None:
            return None
        sizes = np.broadcast_to(slide.patch_size_level0, slide.coords.shape)
        return PatchScores(np.hstack([slide.coords, sizes]), weights)
