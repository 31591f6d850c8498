"""Learned hashing: iterative quantisation (ITQ) to `n_bits` signs, then exact Hamming search.

Source: HERE's index comparison (`generate_faiss_index_v2.py`): the faiss factory string `ITQ{n_bits},LSH` as binariser,
and IndexBinaryFlat. Differs from it: both are kept in one .npz file, because a pickle runs code when it is read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import faiss
import numpy as np
from jaxtyping import Bool, UInt8

from src.data.files import bytes_digest, written_whole
from src.errors import ConfigError
from src.index.indexes.checks import check_search, checked, selector, sorted_neighbours
from src.index.indexes.removal import remove_from_array
from src.index.itq import check_n_bits, fitted_binariser
from src.interfaces import CodeKind, Codes, Neighbours
from src.models.one_thread import one_thread


class ItqLsh:
    """Hamming distance between learned signs; equal distances go to the smaller row.

    Args:
        n_bits: signs per vector, 32, 64 or 128 in HERE; a multiple of 8, at most the dimension of the vectors. Fewer
            training vectors than bits lower it, with a warning.
    """

    accepts: CodeKind = "float"
    distance_unit = "Hamming, bits"

    def __init__(self, n_bits: int) -> None:
        check_n_bits(n_bits, "index itq_lsh")
        self.n_bits = n_bits
        self._binariser: Any = None
        self._faiss: Any = None

    def train(self, sample: Codes) -> None:
        """Fit the rotation.

        Raises:
            IncompatibleParts: more bits than dimensions.
            ConfigError: fewer than 8 vectors to train on.
        """
        vectors = checked(sample, self.accepts, None, "itq_lsh")
        self._binariser = fitted_binariser(vectors, self.n_bits, "index itq_lsh")
        self._faiss = faiss.IndexBinaryFlat(8 * self._binariser.sa_code_size())

    def add(self, codes: Codes) -> None:
        """Append codes, as signs.

        Raises:
            HistoseekError: codes of the wrong kind or size, or not finite, or an index that is not trained.
        """
        signs = self._signs(codes)
        self._faiss.add(signs)

    def search(self, queries: Codes, k: int, excluded: Bool[np.ndarray, " row"] | None = None) -> Neighbours:
        """The `k` nearest rows of each query by Hamming distance, min(k, allowed rows) of them."""
        check_search(k, len(self), excluded, "itq_lsh")
        parameters = faiss.SearchParameters(sel=selector(len(self), excluded))
        distances, rows = self._faiss.search(self._signs(queries), k, params=parameters)
        return sorted_neighbours(distances.astype(np.float32), rows)

    def remove(self, is_removed: Bool[np.ndarray, " row"]) -> None:
        """Take rows out; the others move up."""
        remove_from_array(self._faiss, is_removed)

    def fit_digest(self) -> str:
        """Names the rotation."""
        return bytes_digest(faiss.serialize_index(self._binariser).tobytes())

    def merge(self, other: ItqLsh) -> None:
        """Append the signs of an index of the same rotation."""
        self._faiss.add(other._stored)

    def hashed(self, codes: Codes) -> Codes:
        """The signs of codes, between which distances are counted."""
        return Codes(self._signs(codes), self._faiss.d)

    def save(self, path: Path) -> None:
        """Write the binariser and the signs to one .npz file."""
        binariser, signs = faiss.serialize_index(self._binariser), faiss.serialize_index_binary(self._faiss)
        with written_whole(path) as temporary, temporary.open("wb") as file:
            np.savez(file, binariser=binariser, signs=signs)

    def load(self, path: Path) -> None:
        """Read what `save` wrote; the caller has checked where the file comes from."""
        with np.load(path, allow_pickle=False) as parts:
            self._binariser = faiss.deserialize_index(parts["binariser"])
            self._faiss = faiss.deserialize_index_binary(parts["signs"])

    def describe(self) -> dict[str, Any]:
        """What the index is after fitting, for the manifest."""
        return {"n_bits": self._faiss.d}

    def __len__(self) -> int:
        return 0 if self._faiss is None else int(self._faiss.ntotal)

    @property
    def _stored(self) -> UInt8[np.ndarray, "row byte"]:
        signs: np.ndarray = faiss.vector_to_array(self._faiss.xb).reshape(len(self), self._faiss.d // 8)
        return signs

    def _signs(self, codes: Codes) -> UInt8[np.ndarray, "row byte"]:
        if self._binariser is None:
            raise ConfigError("index itq_lsh is not trained; train or load it before adding codes")
        vectors = checked(codes, self.accepts, self._binariser.d, "itq_lsh")
        with one_thread():
            signs: np.ndarray = self._binariser.sa_encode(vectors)
        return signs
