"""How unusual a hit is: its distance to the query against the distances of background vectors to the same query.

Source: HERE (bioRxiv 2025.10.25.684566) and its web portal's `app_common.py`: z and empirical p against 10,000 vectors
of the searched cohort. The correction over the hits is Benjamini and Hochberg's (1995).
Differs from HERE's code: the hit's distance is Euclidean as the background's is and as the paper says; the portal puts
the index's squared distance against plain background distances (`official_squared_score`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Shaped
from scipy.stats import false_discovery_control

from src.errors import ConfigError

_ROUNDING = -1e-5  # an index may state the squared distance of equal unit vectors slightly below zero


@dataclass(frozen=True)
class Significance:
    """What chance says of each hit, in the order of the hits.

    Attributes:
        z: standard deviations from the background's mean distance; negative is nearer than the background.
        p: share of the background that is as near as the hit or nearer, 0 to 1.
        p_adjusted: p after Benjamini-Hochberg over these hits.
        background_mean: mean Euclidean distance of the background.
        background_std: its standard deviation, ddof 0.
    """

    z: Float64[np.ndarray, " hit"]
    p: Float64[np.ndarray, " hit"]
    p_adjusted: Float64[np.ndarray, " hit"]
    background_mean: float
    background_std: float


def significance(
    squared_distances: Float[np.ndarray, " hit"],
    background: Float[np.ndarray, " background"],
    official_squared_score: bool = False,
) -> Significance:
    """z, p and corrected p of every hit.

    Args:
        squared_distances: of the hits to the query, squared Euclidean, as a Euclidean index states them.
        background: Euclidean distances of background vectors to the same query, from `euclidean_distances`.
        official_squared_score: compare the squared distance of the hit with the plain ones, as HERE's portal does.

    Raises:
        ConfigError: an empty background, one whose distances are all equal, or distances that are no numbers.

    >>> found = significance(np.array([1.0, 9.0]), np.array([1.0, 2.0, 3.0, 4.0]))
    >>> found.p.tolist(), found.p_adjusted.tolist(), found.z.round(3).tolist()
    ([0.25, 0.75], [0.5, 0.75], [-1.342, 0.447])
    """
    _check_finite(squared_distances, "hits", "leave out missing neighbours")
    if squared_distances.min(initial=0.0) < _ROUNDING:
        raise ConfigError(f"significance: a squared distance is {squared_distances.min()}, expected none below 0")
    mean, std = _mean_and_std(background)
    scores = squared_distances if official_squared_score else np.sqrt(np.maximum(squared_distances, 0))
    p = share_as_near(scores, background)
    z = (scores.astype(np.float64) - mean) / std
    return Significance(z, p, _benjamini_hochberg(p), mean, std)


def share_as_near(
    distances: Float[np.ndarray, " hit"], background: Float[np.ndarray, " background"]
) -> Float64[np.ndarray, " hit"]:
    """Share of the background at most as far as each distance; 0 is possible, as no 1 is added to the counts."""
    counts = np.searchsorted(np.sort(background), distances, side="right")
    return counts / len(background)


def euclidean_distances(
    query: Float[np.ndarray, " column"], vectors: Float[np.ndarray, "row dim"]
) -> Float[np.ndarray, " row"]:
    """Euclidean distance of every vector to the query, in the precision of the vectors.

    Raises:
        ConfigError: no vectors, or vectors of another length than the query.

    >>> euclidean_distances(np.zeros(2), np.array([[3.0, 4.0]])).tolist()
    [5.0]
    """
    if len(vectors) == 0:
        raise ConfigError("significance: the background holds no vectors, expected at least two; draw it again")
    if vectors.shape[1] != len(query):
        raise ConfigError(
            f"significance: the query has {len(query)} columns, the background {vectors.shape[1]}; "
            "use one encoder and head"
        )
    distances: Float[np.ndarray, " row"] = np.linalg.norm(vectors - query, axis=1)
    return distances


def draw_background(
    vectors: Shaped[np.ndarray, "row dim"], n: int | None = 10_000, seed: int = 0, with_replacement: bool = True
) -> Shaped[np.ndarray, "background dim"]:
    """Random vectors of a pool, as the index stores them.

    Args:
        vectors: the pool; HERE takes the vectors that the index was fitted on.
        n: how many; None takes every vector once, as HERE does for its spatial transcriptomics cohort.
        seed: of the draw.
        with_replacement: as in HERE; without, a pool of fewer than `n` vectors is refused.

    Raises:
        ConfigError: an empty pool, `n` below 1, or `n` above the pool's size without replacement.
    """
    if len(vectors) == 0:
        raise ConfigError("background: the pool holds no vectors, expected at least one; build the index first")
    if n is None:
        return vectors
    if n < 1 or (not with_replacement and n > len(vectors)):
        bound = "at least 1" if with_replacement else f"1 to {len(vectors)} without replacement"
        raise ConfigError(f"background: n is {n}, expected {bound}")
    rows = np.random.default_rng(seed).choice(len(vectors), size=n, replace=with_replacement)
    return vectors[rows]


def background_of(
    backgrounds: Mapping[str, Float[np.ndarray, "_ dim"]], cohort: str
) -> Float[np.ndarray, "background dim"]:
    """The background of a cohort, or all of them, one after the other, where it has none (`ALL`).

    Raises:
        ConfigError: there is no background at all.
    """
    if not backgrounds:
        raise ConfigError(f"background: {cohort} was asked for, but there is none; draw at least one cohort's")
    return backgrounds[cohort] if cohort in backgrounds else np.concatenate(list(backgrounds.values()))


def _mean_and_std(background: Float[np.ndarray, " background"]) -> tuple[float, float]:
    if len(background) == 0:
        raise ConfigError("significance: the background is empty, expected at least two distances; draw it again")
    _check_finite(background, "background", "look for NaN in its vectors and in the query")
    mean, std = float(background.mean(dtype=np.float64)), float(background.std(dtype=np.float64))
    if background.min() == background.max():  # std may differ from 0 by rounding
        raise ConfigError(
            f"significance: all {len(background)} background distances are {mean:g}, so z has no unit; "
            "draw a background of different vectors"
        )
    return mean, std


def _check_finite(distances: Float[np.ndarray, " distance"], what: str, advice: str) -> None:
    n_bad = int(np.sum(~np.isfinite(distances)))
    if n_bad:
        raise ConfigError(
            f"significance: {n_bad} of {len(distances)} distances of the {what} are NaN or infinite; {advice}"
        )


def _benjamini_hochberg(p: Float64[np.ndarray, " hit"]) -> Float64[np.ndarray, " hit"]:
    if len(p) == 0:
        return p
    return np.asarray(false_discovery_control(p, method="bh"), dtype=np.float64)
