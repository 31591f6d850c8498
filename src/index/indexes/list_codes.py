"""The codes of faiss's inverted lists, one row each, whether a list keeps them so or packs 32 of them in a block."""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np
from jaxtyping import Int64, UInt8


def empty_like(lists: Any) -> Any:
    """Lists of the same number and kind, without a row."""
    if isinstance(lists, faiss.BlockInvertedLists):
        return faiss.BlockInvertedLists(lists.nlist, lists.packer.clone())
    return faiss.ArrayInvertedLists(lists.nlist, lists.code_size)


def rows_of(lists: Any, number: int) -> Int64[np.ndarray, " row"]:
    """The rows of a list, as they lie there."""
    n_rows = lists.list_size(number)
    return faiss.rev_swig_ptr(lists.get_ids(number), n_rows) if n_rows else np.zeros(0, np.int64)


def codes_of(lists: Any, number: int) -> UInt8[np.ndarray, "row byte"]:
    """Their codes; of a fast scan with what its distances need beside them, such as the factors of RaBitQ."""
    size = lists.list_size(number)
    if not isinstance(lists, faiss.BlockInvertedLists):
        codes: np.ndarray = faiss.rev_swig_ptr(lists.get_codes(number), size * lists.code_size)
        return codes.reshape(size, -1)
    packer = lists.packer
    n_blocks = -(-size // packer.nvec)
    packed = faiss.rev_swig_ptr(lists.get_codes(number), n_blocks * packer.block_size).reshape(n_blocks, -1)
    plain = np.zeros((n_blocks, packer.nvec, packer.code_size), np.uint8)
    for block, into in zip(packed, plain, strict=True):
        packer.unpack_all(faiss.swig_ptr(block), faiss.swig_ptr(into))
    return plain.reshape(-1, packer.code_size)[:size]


def fill(lists: Any, number: int, rows: Int64[np.ndarray, " row"], codes: UInt8[np.ndarray, "row byte"]) -> None:
    """Give an empty list its rows and codes; what a last block has room for beyond them is zero."""
    if isinstance(lists, faiss.BlockInvertedLists):
        codes = _packed(codes, lists.packer)
    rows, codes = np.ascontiguousarray(rows), np.ascontiguousarray(codes)
    lists.add_entries(number, len(rows), faiss.swig_ptr(rows), faiss.swig_ptr(codes))


def _packed(codes: UInt8[np.ndarray, "row byte"], packer: Any) -> UInt8[np.ndarray, "block block_byte"]:
    n_blocks = -(-len(codes) // packer.nvec)
    plain = np.zeros((n_blocks * packer.nvec, packer.code_size), np.uint8)
    plain[: len(codes)] = codes
    packed = np.zeros((n_blocks, packer.block_size), np.uint8)
    for block, into in zip(plain.reshape(n_blocks, -1), packed, strict=True):
        packer.pack_all(faiss.swig_ptr(block), faiss.swig_ptr(into))
    return packed
