"""How near two vectors are: as scores that follow from their product, whatever its rounding, and measured by itself.

With n dimensions, u = 2^-24 and g = n u / (1 - n u), a product of float32 vectors x and q is off by at most g |x| |q|,
in whatever order its terms are added (Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 3.1).
A few more dimensions than there are stand for the roundings after the product.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Int64

from src.index.indexes.pair_by_pair import cosine_distances, squared_distances

_ROUNDINGS = 8  # after the product, at most
_UNDERFLOW = 1e-36  # of a term, and of what is computed from it


@runtime_checkable
class Closeness(Protocol):
    """What a search by products has to know of a distance; a score falls where the distance rises.

    Attributes:
        vectors: all that are searched.
    """

    vectors: Float32[np.ndarray, "row dim"]

    def scores(self, products: Float32[np.ndarray, "query row"]) -> Float32[np.ndarray, "query row"]:
        """Of each row; `products` may be overwritten."""
        ...

    def threshold(
        self, least: Float32[np.ndarray, " query"], queries: Float32[np.ndarray, "query dim"]
    ) -> Float32[np.ndarray, " query"]:
        """What the score of every row reaches that is measured as near as a row of score `least`; NaN if unknown."""
        ...

    def distances(
        self, queries: Float32[np.ndarray, "query dim"], rows: Int64[np.ndarray, "query place"]
    ) -> Float32[np.ndarray, "query place"]:
        """Of each query and its rows, pair by pair; inf for a row of -1."""
        ...


class Cosine:
    """1 - inner product of unit vectors; the score is the product.

    Args:
        vectors: all that are searched.
    """

    def __init__(self, vectors: Float32[np.ndarray, "row dim"]) -> None:
        self.vectors = vectors

    def scores(self, products: Float32[np.ndarray, "query row"]) -> Float32[np.ndarray, "query row"]:
        """The products."""
        return products

    def threshold(
        self, least: Float32[np.ndarray, " query"], queries: Float32[np.ndarray, "query dim"]
    ) -> Float32[np.ndarray, " query"]:
        """Two rows, each off by g in its score and by g in its measure, and the roundings of 1 - product."""
        return least - np.float32(5 * _relative_error(queries.shape[1]))

    def distances(
        self, queries: Float32[np.ndarray, "query dim"], rows: Int64[np.ndarray, "query place"]
    ) -> Float32[np.ndarray, "query place"]:
        """1 - inner product."""
        return cosine_distances(queries, self.vectors, rows)


class SquaredEuclidean:
    """D = |x - q|^2 = |q|^2 - 2 (x q - |x|^2 / 2); the score is what stands in brackets.

    As |x| |q| <= (|x|^2 + |q|^2) / 2, a score is off by at most 1.2 g (|x|^2 + |q|^2), and as |x| <= |q| + sqrt(D), by
    at most 1.2 g (3 |q|^2 + 2 D): a long vector makes no other uncertain.

    Args:
        vectors: all that are searched.
    """

    def __init__(self, vectors: Float32[np.ndarray, "row dim"]) -> None:
        self.vectors = vectors
        with np.errstate(over="ignore"):
            half_norms = np.vecdot(vectors, vectors) / np.float32(2)
        # A norm that overflows says nothing: its row is always measured.
        self._half_norms = np.where(np.isfinite(half_norms), half_norms, np.float32(np.nan))

    def scores(self, products: Float32[np.ndarray, "query row"]) -> Float32[np.ndarray, "query row"]:
        """Products less half the squared norms."""
        products -= self._half_norms
        return products

    def threshold(
        self, least: Float32[np.ndarray, " query"], queries: Float32[np.ndarray, "query dim"]
    ) -> Float32[np.ndarray, " query"]:
        """Both scores off by 1.2 g (3 |q|^2 + 2 D), both measures by g D, with D of the farther row from its score."""
        n_dims = queries.shape[1]
        norms = np.square(queries, dtype=np.float64).sum(axis=1)
        distance = np.abs(norms - 2 * least.astype(np.float64))  # of an infinite score: the threshold becomes NaN
        threshold: np.ndarray = least - 8 * _relative_error(n_dims) * (norms + distance) - n_dims * _UNDERFLOW
        return threshold.astype(np.float32)

    def distances(
        self, queries: Float32[np.ndarray, "query dim"], rows: Int64[np.ndarray, "query place"]
    ) -> Float32[np.ndarray, "query place"]:
        """Sum of squared differences."""
        return squared_distances(queries, self.vectors, rows)


def _relative_error(n_dims: int) -> float:
    share = (n_dims + _ROUNDINGS) * 2.0**-24
    return share / (1 - share)
