"""The kinds of index that Milvus builds, with their settings, and which of them a local file builds.

IVF_PQ of Milvus 2.3.5 was seen to lose most of its recall once a filter leaves out a row (0.36 became 0.05); the others
do not. Measure it on the server at hand, or choose another where patients are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from src.errors import ConfigError, IncompatibleParts
from src.index.indexes.database_settings import Range

_NLIST, _NPROBE = (1, 65536), (1, 65536)


@dataclass(frozen=True)
class Kind:
    """Settings of a kind, each with the least and the greatest value that Milvus takes.

    Attributes:
        build: of building.
        search: of searching.
        breadth: the one of searching that has to be at least as large as the number of answers.
        is_local: whether milvus-lite builds it; it scans all rows, or fails, where it does not.
    """

    build: Mapping[str, Range]
    search: Mapping[str, Range]
    breadth: str | None = None
    is_local: bool = False


KINDS: dict[str, Kind] = {
    "HNSW": Kind({"M": (2, 2048), "efConstruction": (1, 1 << 30)}, {"ef": (1, 32768)}, "ef", is_local=True),
    "IVF_FLAT": Kind({"nlist": _NLIST}, {"nprobe": _NPROBE}, is_local=True),
    "IVF_SQ8": Kind({"nlist": _NLIST}, {"nprobe": _NPROBE}, is_local=True),
    "IVF_PQ": Kind({"nlist": _NLIST, "m": (1, 65536), "nbits": (1, 16)}, {"nprobe": _NPROBE}),
    "SCANN": Kind({"nlist": _NLIST}, {"nprobe": _NPROBE, "reorder_k": (1, 65536)}, "reorder_k"),
    "DISKANN": Kind({}, {"search_list": (1, 65535)}, "search_list"),
    "FLAT": Kind({}, {}, is_local=True),
    "AUTOINDEX": Kind({}, {}, is_local=True),
}


RANGES = {name: {**kind.build, **kind.search} for name, kind in KINDS.items()}


def check_lists(settings: Mapping[str, int]) -> None:
    """Check that a search does not visit more lists than there are.

    Raises:
        ConfigError: it would.
    """
    if settings.get("nprobe", 0) > settings.get("nlist", 0):
        raise ConfigError(f"index milvus: nprobe is {settings['nprobe']}, expected at most nlist, {settings['nlist']}")


def check_dim(kind: str, settings: Mapping[str, int], dim: int) -> None:
    """Check that a kind can take codes of a dimension.

    Raises:
        IncompatibleParts: it cannot.
    """
    divisor = {"IVF_PQ": settings.get("m", 1), "SCANN": 2}.get(kind, 1)
    if dim % divisor:
        raise IncompatibleParts(
            f"index milvus: {kind} takes dimensions that {divisor} divides, the codes have {dim}; choose another code= "
            "or index.kind="
        )


def check_local(kind: str) -> None:
    """Check that milvus-lite really builds a kind.

    Raises:
        IncompatibleParts: it would scan all rows, or fail, without a word.
    """
    if not KINDS[kind].is_local:
        local = ", ".join(name for name, known in KINDS.items() if known.is_local)
        raise IncompatibleParts(
            f"index milvus: a local file (milvus-lite) builds {local}, but not {kind}; choose one of these by "
            "index.kind=, or a server by index.uri=http://HOST:19530"
        )


def search_settings(kind: str, settings: Mapping[str, int], k: int) -> dict[str, int]:
    """The settings of a search for `k` answers.

    >>> search_settings("HNSW", {"M": 16, "efConstruction": 100, "ef": 64}, 100)
    {'ef': 100}
    """
    given = {name: settings[name] for name in KINDS[kind].search}
    breadth = KINDS[kind].breadth
    return given if breadth is None else {**given, breadth: max(given[breadth], k)}


def build_settings(kind: str, settings: Mapping[str, int]) -> dict[str, Any]:
    """The settings of building."""
    return {name: settings[name] for name in KINDS[kind].build}
