"""The code of HERE: a trained head's projection of each patch in the database, one pooled unit vector as the query.

Source: HERE (bioRxiv 2025.10.25.684566) and its web portal's `app_common.py`, which searches for one vector per query:
the patches' projections weighted by attention, summed, at unit length.
Differs from HERE: without a head, features are not projected and patches weigh the same.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import cast

import numpy as np
import torch
from jaxtyping import Float32

from src.errors import ConfigError, IncompatibleParts
from src.index.codes.normalise import unit_rows
from src.interfaces import CodeKind, Codes
from src.models.heads.head import RetrievalHead
from src.models.predicted import Predicted
from src.models.trained_head import TrainedHead, read_trained_head

_CHUNK = 8192  # patches projected at a time


class Here:
    """Many database vectors per slide, one query vector per slide.

    Args:
        checkpoint: of a trained head, from train.py or HERE's official snapshot; None searches frozen features.
        query: `pooled` into one vector by attention (by the mean without a head), or all `patches`, each for itself.

    Raises:
        ConfigError: another `query`.
    """

    kind: CodeKind = "float"

    def __init__(self, checkpoint: str | None = None, query: str = "pooled") -> None:
        if query not in ("pooled", "patches"):
            raise ConfigError(f"code here: query is {query!r}, expected pooled or patches")
        self.checkpoint = checkpoint
        self.query = query

    @cached_property
    def head(self) -> TrainedHead | None:
        """The trained head, read when it is first needed.

        Raises:
            WeightsUnavailable: a checkpoint that cannot be read.
            IncompatibleParts: a head whose patches cannot be searched.
        """
        if self.checkpoint is None:
            return None
        trained = read_trained_head(Path(self.checkpoint))
        if not isinstance(trained.head, RetrievalHead):
            raise IncompatibleParts(
                f"code here: head {type(trained.head).__name__} of {self.checkpoint} does not project single "
                "patches, so that they could be searched; give a checkpoint of another, such as head=here"
            )
        return trained

    def digest(self) -> str | None:
        """Names the head, None without one."""
        return None if self.head is None else self.head.digest()

    def write(self, path: Path) -> None:
        """Write the head, if there is one."""
        if self.head is not None:
            self.head.write(path)

    def encode(self, features: Float32[np.ndarray, "patch feature"]) -> Codes:
        """One unit vector per patch: its projection before ReLU, or the features themselves without a head.

        Raises:
            FeatureFileError: vectors that are all zero or not finite.
            IncompatibleParts: features of another dimension than the head was trained on.
        """
        head = self._head_for(features)
        if head is None:
            return Codes(unit_rows(features))
        chunks = [features[start : start + _CHUNK] for start in range(0, len(features), _CHUNK)]
        with torch.inference_mode():
            vectors = [head.patch_vectors(torch.from_numpy(chunk)).numpy() for chunk in chunks]
        return Codes(unit_rows(np.concatenate(vectors)))

    def encode_query(self, features: Float32[np.ndarray, "patch feature"]) -> Codes:
        """One unit vector of all patches, or as `encode` where `query` is `patches`.

        Raises:
            FeatureFileError: vectors that are all zero or not finite, or that cancel out in the sum.
            IncompatibleParts: features of another dimension than the head was trained on.
        """
        head = self._head_for(features)
        if self.query == "patches":
            return self.encode(features)
        if head is None:
            return Codes(unit_rows(unit_rows(features).mean(axis=0, keepdims=True)))
        with torch.inference_mode():
            return Codes(unit_rows(head.query_vector(torch.from_numpy(features))[None].numpy()))

    def attention(self, features: Float32[np.ndarray, "patch feature"]) -> Float32[np.ndarray, " patch"] | None:
        """Weight of each patch, which sum to 1; None without a head."""
        self._head_for(features)
        return None if self.head is None else self.head.attention(features)

    def predictions(self, features: Float32[np.ndarray, "patch feature"]) -> tuple[Predicted, ...]:
        """What the head says of a slide, target by target; empty without a head."""
        self._head_for(features)
        return () if self.head is None else self.head.predictions(features)

    def _head_for(self, features: Float32[np.ndarray, "patch feature"]) -> RetrievalHead | None:
        if self.head is None:
            return None
        if features.shape[1] != self.head.dim_in:
            raise IncompatibleParts(
                f"features have {features.shape[1]} columns, the head of {self.checkpoint} takes {self.head.dim_in}; "
                "use the encoder it was trained on, or another head.checkpoint"
            )
        return cast(RetrievalHead, self.head.head)
