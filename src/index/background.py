"""Codes drawn at random from the database: their distances to a query are what its hits are compared with.

Source: HERE's web portal (`add_data_to_mysql.py`, `app_common.py`): 10,000 vectors, drawn with replacement from those
that the index was fitted on. A query of several codes is as far from a vector as the nearest of them, for hits and
background alike; HERE's queries are one code.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, runtime_checkable

import faiss
import numpy as np
from jaxtyping import Float32, Float64, Int32, Shaped

from src.data.files import written_whole
from src.errors import ConfigError
from src.index.folder import BACKGROUND_FILE, BACKGROUND_SLIDES_FILE, OpenedFolder
from src.index.significance import Significance, draw_background, euclidean_distances, significance
from src.interfaces import Codes, Index, Ranking, joined

log = logging.getLogger(__name__)

_SQUARED_EUCLIDEAN = {"squared Euclidean": 1, "squared Euclidean, approximate": 1, "1 - cosine": 2}
"""What a stated distance is multiplied with to be squared Euclidean; |a - b|^2 = 2 (1 - ab) for unit vectors."""

_ROUNDING = 1e-6  # of squared float32 distances between unit vectors


@dataclass(frozen=True)
class Background:
    """How the background is drawn.

    Attributes:
        n: codes drawn with replacement; the pool itself, once, where None.
        seed: of the draw.
    """

    n: int | None
    seed: int

    def draw(self, pool: Codes, slide_ids: Sequence[str]) -> DrawnBackground:
        """Codes of any kind, drawn from those of the training sample; `slide_ids` names the slide of each of these."""
        rows = draw_background(np.arange(len(pool))[:, None], self.n, self.seed)[:, 0]
        slides = np.array([slide_ids[row].encode() for row in rows])
        return DrawnBackground(Codes(pool.values[rows], pool.n_bits), slides)


@dataclass(frozen=True)
class DrawnBackground:
    """The codes, and the slides that they are of.

    Attributes:
        slides: slide_id of each code, UTF-8; None where a folder does not say.
    """

    codes: Codes
    slides: Shaped[np.ndarray, " background"] | None = None

    def equals(self, other: DrawnBackground) -> bool:
        """Whether both are the same codes of the same slides, as far as these are known."""
        if self.slides is None or other.slides is None or not np.array_equal(self.slides, other.slides):
            return False
        return np.array_equal(self.codes.values, other.codes.values)

    def without(self, slide_ids: Collection[str]) -> DrawnBackground | None:
        """The codes of the other slides; None where none is left.

        Raises:
            ConfigError: whose codes they are is not known.
        """
        if self.slides is None:
            raise ConfigError("the index does not say which slides its background is of; build it again to remove some")
        removed = [slide_id.encode() for slide_id in slide_ids]
        kept = np.flatnonzero(~np.isin(self.slides, removed))
        return DrawnBackground(self.codes.take(kept), self.slides[kept]) if len(kept) else None


def joined_backgrounds(parts: Sequence[DrawnBackground | None]) -> DrawnBackground | None:
    """The codes of several databases, those that several share once; None where one has none.

    Else the hits of that one would be compared with others only. Parts of a cohort that were fitted together share all.
    """
    drawn = [part for part in parts if part is not None]
    if len(drawn) < len(parts):
        return None
    drawn = [part for place, part in enumerate(drawn) if not any(map(part.equals, drawn[:place]))]
    slides = [part.slides for part in drawn if part.slides is not None]
    are_known = len(slides) == len(drawn)
    return DrawnBackground(joined([part.codes for part in drawn]), np.concatenate(slides) if are_known else None)


@runtime_checkable
class Hashing(Protocol):
    """An index that states distances between hashes of the codes it takes."""

    def hashed(self, codes: Codes) -> Codes:
        """Binary codes, as they are compared."""
        ...


def background_file(background: DrawnBackground | None) -> dict[str, Callable[[Path], None]]:
    """What writes the codes and their slides into an index folder, by the names of the files; nothing without codes."""
    if background is None:
        return {}
    arrays = {BACKGROUND_FILE: background.codes.values, BACKGROUND_SLIDES_FILE: background.slides}
    return {name: partial(_write, array) for name, array in arrays.items() if array is not None}


def background_in(opened: OpenedFolder, n_bits: int) -> DrawnBackground | None:
    """The codes that an index folder keeps, if it does; `n_bits` is 0 for float codes."""
    arrays = [_read(opened, name) for name in (BACKGROUND_FILE, BACKGROUND_SLIDES_FILE)]
    if arrays[0] is not None:
        return DrawnBackground(Codes(arrays[0], n_bits), arrays[1])
    log.info("%s has no background, so its hits have no z and p; to have them, build it again", opened.folder)
    return None


def significance_of_hits(
    queries: Codes, background: Codes, ranking: Ranking, index: Index, official_squared_score: bool = False
) -> Significance | None:
    """How unusual each hit is.

    Both distances are Euclidean where the index states squared ones or, of unit vectors, `1 - cosine`; where it states
    Hamming distances, both are Hamming. None where it states something else, or where the whole background is equally
    far, as in a database of one patch.

    Args:
        queries: what was searched for.
        background: of the same kind.
        ranking: the answers, whose distances are as `index` states them.
        index: what was searched.
        official_squared_score: see `significance`; it does not concern Hamming distances.
    """
    stated = np.array([hit.distance for hit in ranking])
    if isinstance(index, Hashing):
        queries, background = index.hashed(queries), index.hashed(background)
    if queries.kind != "float":
        distances, squared = _hamming_distances(queries, background), stated**2
        official_squared_score = False
    elif index.distance_unit in _SQUARED_EUCLIDEAN:
        distances = _euclidean_distances(queries.values, background.values)
        squared = _with_ties(_SQUARED_EUCLIDEAN[index.distance_unit] * stated, distances)
    else:
        return None
    return significance(squared, distances, official_squared_score) if np.ptp(distances) else None


def _write(array: np.ndarray, path: Path) -> None:
    with written_whole(path) as temporary, temporary.open("wb") as file:
        np.save(file, array)


def _read(opened: OpenedFolder, name: str) -> np.ndarray | None:
    if name not in opened.manifest["sha256"]:
        return None
    array: np.ndarray = np.load(opened.folder / name, allow_pickle=False)
    return array


def _euclidean_distances(
    queries: Float32[np.ndarray, "query dim"], background: Float32[np.ndarray, "background dim"]
) -> Float64[np.ndarray, " background"]:
    """Distance of each vector to the nearest query code."""
    if len(queries) == 1:
        return euclidean_distances(queries[0], background).astype(np.float64)
    nearest = faiss.knn(background, queries, 1)[1][:, 0]
    # Computed again from the difference, as faiss's blocked distances are rounded coarsely near 0.
    distances: np.ndarray = np.linalg.norm(background - queries[nearest], axis=1)
    return distances.astype(np.float64)


def _with_ties(
    squared: Float64[np.ndarray, " hit"], background: Float64[np.ndarray, " background"]
) -> Float64[np.ndarray, " hit"]:
    """Squared distances of hits, equal to those of the background that differ by rounding only.

    A hit is often in the background itself; how an index rounds must not decide whether p counts it.
    """
    of_background = np.sort(background**2)
    n_as_near = np.searchsorted(of_background, squared + _ROUNDING * np.maximum(squared, 1), side="right")
    return np.where(n_as_near > 0, np.maximum(squared, of_background[n_as_near - 1]), squared)


def _hamming_distances(queries: Codes, background: Codes) -> Float64[np.ndarray, " background"]:
    """Bits that differ between each barcode and the nearest query code."""
    index = faiss.IndexBinaryFlat(8 * queries.values.shape[1])
    index.add(queries.values)
    distances: Int32[np.ndarray, "background 1"] = index.search(background.values, 1)[0]
    return distances[:, 0].astype(np.float64)
