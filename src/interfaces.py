"""The vocabulary on one page: what the parts of an engine take and return.

An engine is five words: encoder, mosaic, code, index, ranking. Each word below is a `Protocol` that a part implements
without inheritance; the values that pass between them are frozen dataclasses that check themselves when they are made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8, UInt16

Image = UInt8[np.ndarray, "_ _ 3"]
"""RGB pixels, (row, column, channel); the images of one call may differ in size."""

PatchColours = UInt16[np.ndarray, "patch 4 256"]
"""Histograms of red, green, blue and grey of each patch at 5x, pixels per value."""

CodeKind = Literal["float", "binary", "keyed"]
"""Vectors; barcodes; barcodes that an integer key orders."""

CohortKind = Literal["slides", "regions"]
"""Whole slides, or images that are one field of view each."""

Ranked = Literal["slides", "patches"]
"""What a ranking puts in order."""

MppSource = Literal["table", "file", "default"]


@runtime_checkable
class Slide(Protocol):
    """One image at level-0 coordinates: a pyramid or a plain region, they read the same."""

    slide_id: str
    width_px: int
    height_px: int
    mpp: float
    mpp_source: MppSource

    def read(self, x: int, y: int, size_px: int | tuple[int, int], mpp: float) -> Image:
        """The patch whose top-left is (x, y) at level 0, `size_px` (or width, height) pixels at `mpp` um per pixel."""
        ...

    def overview(self, downsample: float) -> Image:
        """The whole slide, `downsample` times smaller than level 0, read in bounded memory."""
        ...

    def close(self) -> None:
        """Release the file."""
        ...


@dataclass(frozen=True)
class SlideFeatures:
    """The patches of one slide and their features.

    Attributes:
        coords: top-left corner of each patch, level-0 pixels.
        features: one row per patch, as the encoder gave them (not normalised).
        patch_size_level0: width and height of a patch, level-0 pixels.
        mpp: microns per pixel of level 0, or None when an imported file does not say.
        colours: histograms of each patch, or None where the file of another tool has none.
    """

    slide_id: str
    coords: Int64[np.ndarray, "patch 2"]
    features: Float32[np.ndarray, "patch feature"]
    patch_size_level0: tuple[int, int]
    mpp: float | None
    colours: PatchColours | None = None

    def __post_init__(self) -> None:
        if len(self.coords) != len(self.features):
            raise ValueError(f"{self.slide_id}: {len(self.coords)} coords but {len(self.features)} features")
        if self.colours is not None and len(self.colours) != len(self.features):
            raise ValueError(f"{self.slide_id}: {len(self.colours)} colours but {len(self.features)} features")

    def take(self, rows: Int64[np.ndarray, " kept"]) -> SlideFeatures:
        """The slide with these patches only, in their order."""
        colours = None if self.colours is None else self.colours[rows]
        return replace(self, coords=self.coords[rows], features=self.features[rows], colours=colours)


@runtime_checkable
class FeatureStore(Protocol):
    """The features of a cohort, one slide at a time."""

    @property
    def dim(self) -> int:
        """Length of a feature vector."""
        ...

    @property
    def slide_ids(self) -> Sequence[str]:
        """Slides that have at least one patch, in cohort order."""
        ...

    def load(self, slide_id: str) -> SlideFeatures:
        """Read one slide's patches and features."""
        ...

    def patient_of(self, slide_id: str) -> str:
        """Owner of the slide."""
        ...


@runtime_checkable
class Encoder(Protocol):
    """Patches to features.

    Attributes:
        dim: length of a feature vector.
        mpp: microns per pixel that it was trained for.
        batch_size: patches that are handed over at a time.
    """

    name: str
    dim: int
    mpp: float
    batch_size: int

    def fingerprint(self) -> dict[str, Any]:
        """Everything that shapes the output, weights' digest included; JSON-serialisable."""
        ...

    def encode(self, patches: Sequence[Image]) -> Float32[np.ndarray, "patch feature"]:
        """Features of a batch of RGB patches of any size."""
        ...


@runtime_checkable
class TextEncoder(Encoder, Protocol):
    """An encoder that can put words among the features of patches."""

    @property
    def has_text(self) -> bool:
        """Whether it does; of a family of networks, some have no side for text."""
        ...

    def encode_text(self, texts: Sequence[str]) -> Float32[np.ndarray, "text feature"]:
        """Features of texts, in the space of the patches' features."""
        ...


@runtime_checkable
class Mosaic(Protocol):
    """Which patches stand for the slide."""

    def select(self, slide: SlideFeatures) -> Int64[np.ndarray, " mosaic"]:
        """Rows of `slide.features` to keep, ascending; never empty for a slide with patches."""
        ...


@runtime_checkable
class SummaryMosaic(Mosaic, Protocol):
    """A mosaic whose vectors are its own, such as the centres of clusters; each lies where a patch does."""

    def summarise(
        self, slide: SlideFeatures
    ) -> tuple[Int64[np.ndarray, " mosaic"], Float32[np.ndarray, "mosaic feature"]]:
        """Rows of the patches where the vectors lie, as `select` gives them, and the vectors."""
        ...


@dataclass(frozen=True)
class Codes:
    """What the index stores: float vectors, or barcodes packed eight bits to a byte.

    Attributes:
        values: float32 (row, dim), or uint8 (row, ceil(n_bits / 8)) for binary codes.
        n_bits: bits per barcode; 0 for float codes.
        keys: one integer per barcode, where the index finds them by it (SISH).
        weights: how much each code counts, 1 on average over a slide; None where all count the same.
        summaries: one vector of each slide as a whole, at unit length, beside its codes; None where there is none.
    """

    values: np.ndarray
    n_bits: int = 0
    keys: Int64[np.ndarray, " row"] | None = None
    weights: Float32[np.ndarray, " row"] | None = None
    summaries: Float32[np.ndarray, "slide dim"] | None = None

    @property
    def kind(self) -> CodeKind:
        """`float` for vectors, else `keyed` or `binary`."""
        if not self.n_bits:
            return "float"
        return "binary" if self.keys is None else "keyed"

    def take(self, rows: slice | Int64[np.ndarray, " kept"]) -> Codes:
        """These codes only, in their order."""
        keys = None if self.keys is None else self.keys[rows]
        weights = None if self.weights is None else self.weights[rows]
        return replace(self, values=self.values[rows], keys=keys, weights=weights)

    def __len__(self) -> int:
        return len(self.values)


def joined(parts: Sequence[Codes]) -> Codes:
    """Codes of one kind, one after the other."""
    keys = [part.keys for part in parts if part.keys is not None]
    values = np.concatenate([part.values for part in parts])
    return Codes(values, parts[0].n_bits, np.concatenate(keys) if keys else None)


@runtime_checkable
class Code(Protocol):
    """Features to codes. A query may be coded otherwise than the database (HERE pools its patches into one vector)."""

    kind: CodeKind

    def encode(self, features: Float32[np.ndarray, "patch feature"]) -> Codes:
        """One code per patch, as the database stores it."""
        ...

    def encode_query(self, features: Float32[np.ndarray, "patch feature"]) -> Codes:
        """The codes that are searched for: one per patch, or fewer when the method pools them."""
        ...


@dataclass(frozen=True)
class Neighbours:
    """The nearest rows of each query code, nearest first; a missing neighbour has row -1 and distance inf.

    Attributes:
        distances: as the index states them (squared L2, 1 - cosine, Hamming), ascending.
        rows: rows of the index.
        query_weights: how much each query code counts; None where all count the same.
        query_summary: the vector of the query as a whole; None where its code gives none.
    """

    distances: Float32[np.ndarray, "query k"]
    rows: Int64[np.ndarray, "query k"]
    query_weights: Float32[np.ndarray, " query"] | None = None
    query_summary: Float32[np.ndarray, " dim"] | None = None


@runtime_checkable
class Index(Protocol):
    """Codes to nearest rows, fast.

    Attributes:
        accepts: the kind of codes that it takes.
        distance_unit: what its distances are, for people: `1 - cosine`, `squared Euclidean`, `Hamming, bits`.
    """

    accepts: CodeKind
    distance_unit: str

    def train(self, sample: Codes) -> None:
        """Fit what has to be fitted (rotation, quantiser, centroids) on a sample of the database."""
        ...

    def add(self, codes: Codes) -> None:
        """Append codes; their rows follow those already there."""
        ...

    def search(self, queries: Codes, k: int, excluded: Bool[np.ndarray, " row"] | None = None) -> Neighbours:
        """The `k` nearest rows of each query among the rows that are not excluded."""
        ...

    def save(self, path: Path) -> None:
        """Write the index to one file."""
        ...

    def load(self, path: Path) -> None:
        """Read what `save` wrote."""
        ...

    def describe(self) -> dict[str, Any]:
        """What the index became when it was fitted, for the manifest; JSON-serialisable."""
        ...

    def __len__(self) -> int: ...


@dataclass(frozen=True)
class Hit:
    """One answer: a slide (or a patch), and the patch of it that came nearest, level-0 pixels."""

    slide_id: str
    patient_id: str
    x: int
    y: int
    distance: float
    score: float


@dataclass(frozen=True)
class Ranking:
    """The ordered answers to one query: score descending, nothing twice."""

    query_id: str
    hits: tuple[Hit, ...]

    def __post_init__(self) -> None:
        scores = [hit.score for hit in self.hits]
        if any(b > a for a, b in pairwise(scores)):
            raise ValueError(f"{self.query_id}: hits are not sorted by score, descending")
        if len({(hit.slide_id, hit.x, hit.y) for hit in self.hits}) != len(self.hits):
            raise ValueError(f"{self.query_id}: the same patch twice in one ranking")

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)

    def __len__(self) -> int:
        return len(self.hits)


@dataclass(frozen=True)
class Rows:
    """Where each row of an index comes from.

    Attributes:
        slide_ids: the slides of the index, in the order they were added.
        patient_ids: owner of each slide.
        slide_of_row: position of the row's slide in `slide_ids`.
        xy: top-left corner of the row's patch, level-0 pixels.
        labels: column of the cohort table -> label of each slide, None where it has none; empty where the cohort is
            not at hand. They are not part of an index: a ranking that weighs labels sees those of today.
    """

    slide_ids: tuple[str, ...]
    patient_ids: tuple[str, ...]
    slide_of_row: Int64[np.ndarray, " row"]
    xy: Int64[np.ndarray, "row 2"]
    labels: Mapping[str, tuple[str | None, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.slide_of_row) != len(self.xy) or len(self.slide_ids) != len(self.patient_ids):
            raise ValueError("rows table: columns of different lengths")

    @cached_property
    def alphabetical(self) -> Int64[np.ndarray, " slide"]:
        """Place of each slide among the sorted names."""
        return np.argsort(np.argsort(np.array(self.slide_ids, dtype=str)))

    def __len__(self) -> int:
        return len(self.slide_of_row)


@runtime_checkable
class Ranker(Protocol):
    """Hits of many patches become an order of slides.

    Attributes:
        ranks: what its answers are.
        n_neighbours: how many rows the index is asked for per query code; None for every row.
        is_exhaustive: ask for more rows until `k` answers are found (nearest patch), or take the first
            `n_neighbours` as they are (rank sum), which can name fewer than `k` slides.
        distance_unit: the only one that its thresholds make sense for, as an index states it; None for any.
    """

    ranks: Ranked
    n_neighbours: int | None
    is_exhaustive: bool
    distance_unit: str | None

    def rank(self, query_id: str, neighbours: Neighbours, rows: Rows, k: int) -> Ranking:
        """The `k` best slides (or patches, for a ranker of patches); ties go to the smaller slide_id, then x, y."""
        ...


@runtime_checkable
class FittedRanker(Ranker, Protocol):
    """A ranker that has to see all codes of the database once; what it found of them is kept with the index."""

    def fit(self, codes: Codes, index: Index, rows: Rows) -> None:
        """Find what the ranking needs to know of the database.

        Args:
            codes: of every row.
            index: that holds them.
            rows: where they come from.
        """
        ...

    def settings(self) -> dict[str, Any]:
        """The settings that shape what is found; JSON-serialisable."""
        ...

    def state(self) -> dict[str, np.ndarray]:
        """What was found, by name."""
        ...

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Take up what `state` gave."""
        ...


@runtime_checkable
class Engine(Protocol):
    """The five words joined: a database goes in, rankings come out."""

    name: str
    rows: Rows

    def build(self, database: FeatureStore) -> None:
        """Choose, code and index the patches of every slide."""
        ...

    def search(self, query: SlideFeatures, k: int, is_excluded: Bool[np.ndarray, " row"] | None = None) -> Ranking:
        """The `k` best answers to a query among the rows that are not excluded."""
        ...

    def save(self, folder: Path) -> None:
        """Write the index folder: index file, rows table, manifest."""
        ...

    def load(self, folder: Path) -> None:
        """Read an index folder after checking its manifest."""
        ...
