import importlib

import pytest

from src.errors import IncompatibleParts
from src.index.indexes.hnswlib_graph import HnswlibGraph
from src.index.indexes.scann_tree import ScannTree
from src.index.indexes.usearch_graph import UsearchGraph
from src.interfaces import Codes, Index
from tests.index.databases import unit_vectors


@pytest.mark.parametrize(
    ("index", "package"),
    [
        (HnswlibGraph(8, 8, 8, 1), "hnswlib"),
        (UsearchGraph("f16", 8, 8, 8, 1), "usearch"),
        (ScannTree("cosine", None, 8, 8, 1), "scann"),
    ],
)
def test_missing_package_is_named_in_one_line(index: Index, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(IncompatibleParts, match=f"needs the package {package}, .*; pip install {package}"):
        index.train(Codes(unit_vectors(0, 9, 8)))
