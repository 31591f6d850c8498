"""What `index_frontier` compares: HERE's index as deployed, ours, two libraries of graphs, ScaNN, and exact search."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import product

from src.index.indexes.flat import Flat
from src.index.indexes.hnsw_ivfpq import HnswIvfPq
from src.index.indexes.hnswlib_graph import HnswlibGraph
from src.index.indexes.ivf import Ivf
from src.index.indexes.rerank import Rerank
from src.index.indexes.row_stores import Float16File
from src.index.indexes.scann_tree import ScannTree
from src.index.indexes.usearch_graph import UsearchGraph
from src.interfaces import Index

HERE = "HERE"
OURS = "PQ64x4fs, reranked"
HALF = "PQ32x4fs, reranked"
FLAT = "flat"
HNSWLIB = "hnswlib"
RABITQ = "RaBitQ, reranked"

_ROTATIONS = {"PQ64x4fs": "hadamard", "PQ32x4fs": "hadamard", "RaBitQfs": "random", "SQ8": "none"}

Setting = Mapping[str, int]


@dataclass(frozen=True)
class System:
    """An index and the settings of its search that are tried.

    Attributes:
        name: as shown.
        make: the index, given its number of lists where it has some.
        settings: each gives attributes of the index a value, `base.nprobe` one of its base.
    """

    name: str
    make: Callable[[int], Index]
    settings: tuple[Setting, ...]


def systems(names: tuple[str, ...] | None = None) -> list[System]:
    """All that are installed, or those named."""
    breadths = _grid(ef_search=(32, 64, 128, 256, 512, 1024))
    known = [
        System(HERE, lambda _: _here(), _grid(nprobe=(1, 8, 32))),
        System(
            OURS,
            lambda nlist: _reranked("PQ64x4fs", nlist),
            _reranking((2, 4, 8, 16, 32), (30, 50, 100, 200, 300, 400, 800)),
        ),
        System(
            HALF,
            lambda nlist: _reranked("PQ32x4fs", nlist),
            _reranking((8, 16, 32, 64), (100, 200, 400, 800, 1600)),
        ),
        System(RABITQ, lambda nlist: _reranked("RaBitQfs", nlist), _reranking((8, 16, 32, 64), (50, 75, 100, 200))),
        System("SQ8", lambda nlist: _ivf("SQ8", nlist), _grid(nprobe=(8, 16, 32, 64))),
        System(HNSWLIB, lambda _: HnswlibGraph(16, 64, 100, 1), breadths),
        System("usearch", lambda _: UsearchGraph("f16", 16, 64, 100, 1), breadths),
        System(
            "scann",
            lambda _: ScannTree("cosine", None, 20, 200, 1),
            _grid(n_leaves_to_search=(5, 10, 20, 40, 80), n_reordered=(50, 100, 200, 400)),
        ),
        System(FLAT, lambda _: Flat("l2"), ({},)),
    ]
    installed = [each for each in known if each.name not in (HNSWLIB, "usearch", "scann") or find_spec(each.name)]
    return [each for each in installed if names is None or each.name in names]


def apply(index: Index, setting: Setting) -> None:
    """Give the index, or its base, the values of a setting."""
    for path, value in setting.items():
        *owners, name = path.split(".")
        setattr(getattr(index, owners[0]) if owners else index, name, value)


def _here() -> Index:
    return HnswIvfPq(M=32, m=32, nlist=128, nbits=8, nprobe=1, efSearch=16, efConstruction=40)


def _ivf(code: str, nlist: int) -> Ivf:
    """As `conf/index` has it: ivf_pq_fastscan, ivf_pq_fastscan_half, ivf_rabitq, ivf_sq8."""
    return Ivf(code, _ROTATIONS[code], nlist, nprobe=64, M=32, efSearch=64, efConstruction=40)


def _reranked(code: str, nlist: int) -> Index:
    return Rerank(_ivf(code, nlist), 200, Float16File())


def _reranking(nprobes: tuple[int, ...], n_candidates: tuple[int, ...]) -> tuple[Setting, ...]:
    return _grid(**{"base.nprobe": nprobes, "n_candidates": n_candidates})


def _grid(**values: tuple[int, ...]) -> tuple[Setting, ...]:
    return tuple(dict(zip(values, chosen, strict=True)) for chosen in product(*values.values()))
