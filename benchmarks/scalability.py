"""How an index grows with the number of patches: bytes, time to build, time per query, for HERE's kinds of index.

`python -m benchmarks.scalability` prints the table and draws the figure. Times are CPU seconds of one thread, so that
other work on the machine does not count. Vectors are unit vectors of a seeded mixture: size and time do not depend on
what they show, but recall would, so it is not measured here (see experiments/index_sweep).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import faiss
import numpy as np
import pandas as pd
from jaxtyping import Float32
from matplotlib.figure import Figure

from benchmarks.markdown import markdown_table
from src.data.files import write_text
from src.data.progress import tracked
from src.eval.figures import MUTED, PALETTE, RULE, save
from src.index.indexes.flat import Flat
from src.index.indexes.hnsw_ivfpq import HnswIvfPq
from src.index.indexes.itq_lsh import ItqLsh
from src.interfaces import Codes, Index

DIM = 256
K = 100
INDEXES: dict[str, Callable[[], Index]] = {
    "flat": lambda: Flat("cosine"),
    "itq_lsh 64": lambda: ItqLsh(64),
    "hnsw_ivfpq, as deployed": lambda: HnswIvfPq(
        M=32, m=32, nlist=128, nbits=8, nprobe=1, efSearch=16, efConstruction=40
    ),
}
PAPER = {"n_rows": 122_104_273, "size_bytes": 4.6e9, "build_s": 28.14 * 60, "query_median_ms": 100.0}
"""HERE's index of NCI: 4.6 GB, built in 28.14 min, searched in less than 0.1 s."""

_CHUNK = 10_000
_N_COMPONENTS = 1024
_MAX_TRAINING = 50_000  # 500 slides of 100 patches
_PANELS = {"size_bytes": "bytes", "build_s": "seconds to build", "query_median_ms": "milliseconds per query"}


@dataclass(frozen=True)
class Measurement:
    """One index of one size."""

    index: str
    n_rows: int
    size_bytes: int
    build_s: float
    query_median_ms: float
    query_p95_ms: float


def measure(
    name: str, vectors: Float32[np.ndarray, "row dim"], queries: Float32[np.ndarray, "query dim"]
) -> Measurement:
    """Train, fill, save and search one index."""
    index = INDEXES[name]()
    sample = np.random.default_rng(0).permutation(len(vectors))[:_MAX_TRAINING]
    started = time.process_time()
    index.train(Codes(vectors[np.sort(sample)]))
    for start in range(0, len(vectors), _CHUNK):
        index.add(Codes(vectors[start : start + _CHUNK]))
    build_s = time.process_time() - started
    latencies_ms = [_latency_ms(index, query[None]) for query in queries]
    with TemporaryDirectory() as folder:
        index.save(Path(folder) / "index")
        size_bytes = (Path(folder) / "index").stat().st_size
    median, p95 = np.quantile(latencies_ms, [0.5, 0.95])
    return Measurement(name, len(vectors), size_bytes, build_s, float(median), float(p95))


def extrapolated(table: pd.DataFrame, n_rows: int) -> pd.DataFrame:
    """Every quantity of every index at `n_rows`, on the line through its two largest measurements.

    >>> table = pd.DataFrame({"index": "a", "n_rows": [1, 2, 4], "size_bytes": [9, 9, 13], "build_s": [0.0, 1.0, 2.0],
    ...                       "query_median_ms": 1.0})
    >>> extrapolated(table, 10).to_dict("records")
    [{'index': 'a', 'n_rows': 10, 'size_bytes': 25.0, 'build_s': 5.0, 'query_median_ms': 1.0}]
    """
    records = []
    for name, own in table.groupby("index", sort=False):
        small, large = own.nlargest(2, "n_rows").sort_values("n_rows").to_dict("records")
        share = (n_rows - large["n_rows"]) / (large["n_rows"] - small["n_rows"])
        line = {quantity: large[quantity] + share * (large[quantity] - small[quantity]) for quantity in _PANELS}
        records.append({"index": name, "n_rows": n_rows, **line})
    return pd.DataFrame(records)


def draw(table: pd.DataFrame, far: pd.DataFrame) -> Figure:
    """Three panels on log scales: measured lines, dashed where extrapolated, and the paper's index as a cross."""
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    for axes, (quantity, title) in zip(figure.subplots(1, 3), _PANELS.items(), strict=True):
        for colour, (name, own) in zip(PALETTE, table.groupby("index", sort=False), strict=False):
            axes.plot(own["n_rows"], own[quantity], color=colour, marker="o", markersize=3.5, label=str(name))
            ends = pd.concat([own.tail(1), far[far["index"] == name]])
            axes.plot(ends["n_rows"], ends[quantity], color=colour, linestyle=(0, (4, 3)), linewidth=1)
        axes.scatter(PAPER["n_rows"], PAPER[quantity], marker="x", color="black", label="paper, NCI", zorder=3)
        axes.set(xscale="log", yscale="log", xlabel="patches")
        axes.set_title(title, loc="left", fontsize=10)
        axes.grid(color=RULE)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(colors=MUTED, labelcolor="black", labelsize=8)
    axes.legend(frameon=False, fontsize=8)
    return figure


def run(sizes: Sequence[int], n_queries: int, folder: Path) -> pd.DataFrame:
    """Measure every index at every size; write scalability.csv and scalability.png into `folder`."""
    faiss.omp_set_num_threads(1)
    with TemporaryDirectory() as scratch:
        vectors = _mixture(max(sizes) + n_queries, Path(scratch) / "vectors.npy")
        queries, database = vectors[:n_queries], vectors[n_queries:]
        cases = [(name, size) for size in sorted(sizes) for name in INDEXES]
        measured = [measure(name, database[:size], queries) for name, size in tracked(cases, "indexes")]
    table = pd.DataFrame([asdict(each) for each in measured])
    write_text(folder / "scalability.csv", table.to_csv(index=False))
    save(draw(table, extrapolated(table, int(PAPER["n_rows"]))), folder / "scalability.png")
    return table


def main() -> None:
    """Measure what the command line says, and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 30_000, 100_000, 300_000, 1_000_000])
    parser.add_argument("--queries", type=int, default=50)
    parser.add_argument("--out", type=Path, default=Path("outputs/scalability"))
    given = parser.parse_args()
    table = run(given.rows, given.queries, given.out)
    print(_markdown(table))
    print(f"\nextrapolated to {PAPER['n_rows']:,} patches; paper: 4.6 GB, 28.14 min, < 0.1 s\n")
    print(_markdown(extrapolated(table, int(PAPER["n_rows"]))))


def _mixture(n_rows: int, path: Path) -> Float32[np.ndarray, "row dim"]:
    """Unit vectors around 1024 centres, their variance falling over the dimensions as that of encoders does."""
    rng = np.random.default_rng(0)
    spread = np.arange(1, DIM + 1, dtype=np.float32) ** -0.6
    centres = rng.standard_normal((_N_COMPONENTS, DIM), dtype=np.float32)
    vectors = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(n_rows, DIM))
    for start in range(0, n_rows, _CHUNK):
        n = min(_CHUNK, n_rows - start)
        drawn = centres[rng.integers(_N_COMPONENTS, size=n)] + rng.standard_normal((n, DIM), dtype=np.float32)
        drawn *= spread
        vectors[start : start + n] = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return vectors


def _latency_ms(index: Index, query: Float32[np.ndarray, "1 dim"]) -> float:
    started = time.process_time()
    index.search(Codes(query), K)
    return 1000 * (time.process_time() - started)


def _markdown(table: pd.DataFrame) -> str:
    shown = table.assign(
        n_rows=table["n_rows"].map("{:,}".format),
        size_MB=(table["size_bytes"] / 1e6).map("{:,.1f}".format),
        bytes_per_row=(table["size_bytes"] / table["n_rows"]).map("{:.1f}".format),
        build_s=table["build_s"].map("{:,.1f}".format),
        query_median_ms=table["query_median_ms"].map("{:,.2f}".format),
    )
    if "query_p95_ms" in shown:
        shown["query_p95_ms"] = table["query_p95_ms"].map("{:,.2f}".format)
    columns = ["index", "n_rows", "size_MB", "bytes_per_row", "build_s", "query_median_ms", "query_p95_ms"]
    columns = [column for column in columns if column in shown]
    return markdown_table(columns, shown[columns].astype(str).to_numpy().tolist(), n_words=1)


if __name__ == "__main__":
    main()
