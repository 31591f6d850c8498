from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from src.index.indexes.hnsw_ivfpq import HnswIvfPq
from src.index.indexes.ivf import Ivf
from src.index.indexes.merging import are_fitted_the_same
from src.interfaces import Codes
from tests.index.databases import unit_vectors
from tests.index.test_ivf import SETTINGS

N, DIM = 700, 24


def ivf(code: str, rotation: str) -> Callable[[bool], Any]:
    return lambda mapped: Ivf(code, rotation, **SETTINGS, mapped=mapped)


KINDS: dict[str, Callable[[bool], Any]] = {
    "hnsw_ivfpq": lambda mapped: HnswIvfPq(8, 5, 6, 4, 4, 16, 40, mapped),
    "Flat": ivf("Flat", "none"),
    "SQ8-random": ivf("SQ8", "random"),
    "PQ8x8": ivf("PQ8x8", "none"),
    "PQ8x4fs-hadamard": ivf("PQ8x4fs", "hadamard"),
    "RaBitQfs-random": ivf("RaBitQfs", "random"),
    "RaBitQfs4-hadamard": ivf("RaBitQfs4", "hadamard"),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def fitted(kind: str, mapped: bool = False) -> Any:
    index = KINDS[kind](mapped)
    index.train(Codes(unit_vectors(0, N, DIM)))
    return index


def answers(index: Any) -> tuple[np.ndarray, np.ndarray]:
    found = index.search(Codes(unit_vectors(1, 9, DIM)), 40, np.arange(len(index)) % 5 == 0)
    return found.rows, found.distances


def same(a: Any, b: Any) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(answers(a), answers(b), strict=True))


@every_kind
def test_merged_parts_answer_as_one_index_that_was_given_all_rows(kind: str, tmp_path: Path) -> None:
    rows = Codes(unit_vectors(2, N, DIM))
    whole, first = fitted(kind), fitted(kind)
    whole.add(rows)
    first.add(rows.take(slice(130)))
    for start, end in ((130, 131), (131, 450), (450, N)):
        part = fitted(kind)
        part.add(rows.take(slice(start, end)))
        part.save(tmp_path / "part")
        mapped = KINDS[kind](True)
        mapped.load(tmp_path / "part")
        assert are_fitted_the_same(first, mapped)
        first.merge(mapped)
        assert len(mapped) == end - start
    first.save(tmp_path / "merged")
    whole.save(tmp_path / "whole")
    assert len(first) == N
    assert same(first, whole)
    assert (tmp_path / "merged").read_bytes() == (tmp_path / "whole").read_bytes()


@every_kind
def test_a_mapped_index_answers_the_same_and_leaves_its_file_alone_when_it_changes(kind: str, tmp_path: Path) -> None:
    path, rows = tmp_path / "index", Codes(unit_vectors(2, N, DIM))
    in_memory, mapped = fitted(kind), KINDS[kind](True)
    in_memory.add(rows.take(slice(500)))
    in_memory.save(path)
    before = path.read_bytes()
    mapped.load(path)
    assert str(path) in Path("/proc/self/maps").read_text()
    assert same(mapped, in_memory)
    for index in (mapped, in_memory):
        index.add(rows.take(slice(500, N)))
        index.remove(np.arange(N) % 7 == 0)
    assert same(mapped, in_memory)
    assert path.read_bytes() == before


@every_kind
def test_what_was_fitted_to_other_rows_is_told_apart(kind: str) -> None:
    index, other = fitted(kind), KINDS[kind](False)
    other.train(Codes(unit_vectors(7, N, DIM)))
    assert not are_fitted_the_same(index, other)
    assert are_fitted_the_same(index, fitted(kind))
    index.add(Codes(unit_vectors(3, 50, DIM)))
    assert are_fitted_the_same(index, fitted(kind))


def test_rows_are_coded_the_same_however_they_are_handed_over(tmp_path: Path) -> None:
    rows = Codes(unit_vectors(2, N, DIM))
    for rotation in ("none", "hadamard", "random"):
        contents = []
        for n_parts in (1, 3, 90):
            index = Ivf("RaBitQfs", rotation, **SETTINGS)
            index.train(rows)
            for part in np.array_split(np.arange(N), n_parts):
                index.add(rows.take(part))
            index.save(tmp_path / "index")
            contents.append((tmp_path / "index").read_bytes())
        assert contents[0] == contents[1] == contents[2]
