"""Hits of one or many query codes, merged: each row once, at its nearest, in the order that rankers start from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int64

from src.interfaces import Hit, Neighbours, Rows


@dataclass(frozen=True)
class MergedHits:
    """Rows found, nearest first; ties by slide_id, then x, y, so that the order of the database does not matter.

    Attributes:
        rows: rows of the index, each once.
        slides: position of each row's slide in `Rows.slide_ids`.
        distances: distance to the nearest query code.
    """

    rows: Int64[np.ndarray, " hit"]
    slides: Int64[np.ndarray, " hit"]
    distances: Float32[np.ndarray, " hit"]

    def take(self, places: Int64[np.ndarray, " kept"]) -> MergedHits:
        """The hits at these places, in their order."""
        return MergedHits(self.rows[places], self.slides[places], self.distances[places])

    def first(self, n: int | None) -> MergedHits:
        """The `n` nearest, or all."""
        return self.take(np.arange(len(self))[:n])

    def nearest_of_each_slide(self) -> MergedHits:
        """The first hit of each slide, order kept."""
        return self.take(np.sort(first_places(self.slides)))

    def __len__(self) -> int:
        return len(self.rows)


def merged(neighbours: Neighbours, rows: Rows) -> MergedHits:
    """Each row found by any query code, once."""
    return in_order(*nearest_of_rows(neighbours), rows)


def in_order(found: Int64[np.ndarray, " hit"], distances: Float32[np.ndarray, " hit"], rows: Rows) -> MergedHits:
    """Rows, each found once, nearest first; ties as `MergedHits` says."""
    order = np.argsort(distances, kind="stable")
    is_equal = np.diff(distances[order], prepend=np.nan, append=np.nan) == 0
    tied = is_equal[:-1] | is_equal[1:]
    own = order[tied]
    x, y = rows.xy[found[own]].T
    order[tied] = own[np.lexsort((y, x, rows.alphabetical[rows.slide_of_row[found[own]]], distances[own]))]
    return MergedHits(found[order], rows.slide_of_row[found[order]], distances[order])


def joined_hits(parts: Sequence[MergedHits]) -> MergedHits:
    """At least one list of hits after the other."""
    return MergedHits(
        np.concatenate([part.rows for part in parts]),
        np.concatenate([part.slides for part in parts]),
        np.concatenate([part.distances for part in parts]),
    )


def first_places(values: Int64[np.ndarray, " hit"]) -> Int64[np.ndarray, " distinct"]:
    """Where each value comes first, by value; values count from 0, as those of slides and classes do.

    >>> first_places(np.array([4, 0, 4, 0])).tolist()
    [1, 0]
    """
    places = np.full(values.max(initial=-1) + 1, -1, dtype=np.int64)
    places[values[::-1]] = np.arange(len(values))[::-1]  # of equal values the last one assigned stays
    return np.asarray(places[places >= 0])


def nearest_of_rows(neighbours: Neighbours) -> tuple[Int64[np.ndarray, " hit"], Float32[np.ndarray, " hit"]]:
    """The rows found, ascending, and the distance of each to its nearest query code."""
    is_found = neighbours.rows >= 0
    rows, position = np.unique(neighbours.rows[is_found], return_inverse=True)
    nearest = np.full(len(rows), np.inf, dtype=np.float32)
    np.minimum.at(nearest, position, neighbours.distances[is_found])
    return rows, nearest


def nearest_of_slides(neighbours: Neighbours, rows: Rows) -> Neighbours:
    """Of the rows that each query code found, the nearest of each slide; equally near ones give the smaller row."""
    shape = (len(neighbours.rows), len(rows.slide_ids))
    nearest = Neighbours(np.full(shape, np.inf, dtype=np.float32), np.full(shape, -1, dtype=np.int64))
    for code, found in enumerate(neighbours.rows):
        n_found = int((found >= 0).sum())
        slides, place = np.unique(rows.slide_of_row[found[:n_found]], return_index=True)  # the first is the nearest
        nearest.rows[code, slides] = found[place]
        nearest.distances[code, slides] = neighbours.distances[code, place]
    order = np.lexsort((nearest.rows, nearest.distances), axis=1)
    return Neighbours(*(np.take_along_axis(part, order, axis=1) for part in (nearest.distances, nearest.rows)))


def as_hits(
    hits: MergedHits,
    scores: Int64[np.ndarray, " hit"] | Float32[np.ndarray, " hit"] | Float64[np.ndarray, " hit"],
    rows: Rows,
) -> tuple[Hit, ...]:
    """Each merged hit with its score, as the public value."""
    return tuple(
        Hit(rows.slide_ids[slide], rows.patient_ids[slide], x, y, distance, score)
        for slide, (x, y), distance, score in zip(
            hits.slides.tolist(), rows.xy[hits.rows].tolist(), hits.distances.tolist(), map(float, scores), strict=True
        )
    )
