"""The code of PathSearch: barcodes of a slide's attentive mosaic and of the slide's vector, and that vector itself.

Source: "PathSearch", arXiv 2510.23224; Dootmaan/PathSearch (commit 650ff02), `src/test/`. The min-max barcode is
Yottixel's. Differs from it: a barcode lies where the patch does that its vector looks at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Int64

from src.errors import IncompatibleParts, WeightsUnavailable
from src.index.codes.barcode import falls
from src.index.codes.finite import expect_finite
from src.index.codes.normalise import unit_rows
from src.interfaces import CodeKind, Codes
from src.models.pathsearch.attentive_mosaic import SlideVectors
from src.models.pathsearch.trained import TrainedPathSearch, read_pathsearch
from src.models.predicted import Predicted


class PathSearch:
    """As many barcodes of a slide as its mosaic has vectors and one more, for database and query alike.

    Args:
        checkpoint: of train.py model=pathsearch, or of the official code.
        official_slide_twice: the slide's vector gives two equal barcodes, as in the official TCGA script.
    """

    kind: CodeKind = "binary"

    def __init__(self, checkpoint: str | None, official_slide_twice: bool) -> None:
        self.checkpoint = checkpoint
        self.official_slide_twice = official_slide_twice

    @cached_property
    def trained(self) -> TrainedPathSearch:
        """The trained model, read when it is first needed.

        Raises:
            WeightsUnavailable: no checkpoint, or one that cannot be read.
        """
        if self.checkpoint is None:
            raise WeightsUnavailable(
                "code pathsearch: no weights; train some by train.py model=pathsearch, then say code.checkpoint=FILE"
            )
        return read_pathsearch(Path(self.checkpoint))

    def digest(self) -> str:
        """Names the weights."""
        return self.trained.digest()

    def write(self, path: Path) -> None:
        """Write the weights."""
        self.trained.write(path)

    def encode_slide(self, features: Float32[np.ndarray, "patch feature"]) -> tuple[Int64[np.ndarray, " code"], Codes]:
        """The barcodes of one slide, that of its vector last, and where each lies.

        Raises:
            FeatureFileError: features that are not finite.
            IncompatibleParts: features of another dimension than the encoder was trained on.
        """
        vectors = self._vectors(features)
        n_of_slide = 1 + self.official_slide_twice
        attention = [*vectors.attention[0].numpy(), *[self._attention(vectors)] * n_of_slide]
        places = np.argmax(attention, axis=1)
        return places, barcodes(vectors.mosaic[0].numpy(), vectors.slide.numpy(), n_of_slide)

    def encode(self, features: Float32[np.ndarray, "patch feature"]) -> Codes:
        """The barcodes of one slide."""
        return self.encode_slide(features)[1]

    def encode_query(self, features: Float32[np.ndarray, "patch feature"]) -> Codes:
        """As `encode`."""
        return self.encode(features)

    def encode_text(self, texts: Sequence[str]) -> Float32[np.ndarray, "text dim"]:
        """Unit vectors among those of slides.

        Raises:
            WeightsUnavailable: the text tower is not among the weights, or its words are not at hand.
        """
        return self.trained.text_vectors(texts)

    def attention(self, features: Float32[np.ndarray, "patch feature"]) -> Float32[np.ndarray, " patch"]:
        """How much of the slide's vector comes of each patch; sums to 1."""
        return self._attention(self._vectors(features))

    def predictions(self, features: Float32[np.ndarray, "patch feature"]) -> tuple[Predicted, ...]:
        """None: PathSearch predicts nothing."""
        return ()

    def _vectors(self, features: Float32[np.ndarray, "patch feature"]) -> SlideVectors:
        expect_finite(features)
        dim_in = self.trained.visual.dim_in
        if features.shape[1] != dim_in:
            raise IncompatibleParts(
                f"features have {features.shape[1]} columns, the slide encoder of {self.checkpoint} takes {dim_in}; "
                "use the encoder it was trained on, or another code.checkpoint"
            )
        with torch.inference_mode():
            vectors: SlideVectors = self.trained.visual(torch.from_numpy(features)[None])
        return vectors

    def _attention(self, vectors: SlideVectors) -> Float32[np.ndarray, " patch"]:
        return (vectors.share[0] @ vectors.attention[0]).numpy()


def barcodes(
    mosaic: Float32[np.ndarray, "mosaic dim"], slide: Float32[np.ndarray, "1 dim"], n_of_slide: int = 1
) -> Codes:
    """A barcode of each vector, that of the slide last, which is also the summary.

    Args:
        mosaic: of one slide, of any length.
        slide: its one vector, of any length.
        n_of_slide: how often the slide's barcode stands there.
    """
    bits = falls(np.concatenate([mosaic, *[slide] * n_of_slide]))
    return Codes(np.packbits(bits, axis=1), bits.shape[1], summaries=unit_rows(slide))
