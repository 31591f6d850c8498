"""Recall for time and memory: this project's indexes against HERE's, exact search, hnswlib, USearch and ScaNN.

`python -m benchmarks.index_frontier` prints the table and the ratios to HERE's index, and draws the frontier. The
vectors are real (windows of HERE101, see `here101_windows`) and a seeded mixture that is streamed, so that it takes no
memory. Everything runs in one process and one thread, settings in turn, round after round; times are CPU seconds of it.
Settings are chosen on one set of queries, and reported on another. Bytes per vector are those of the index's own file,
without the file of vectors of a reranked one, which is mapped; resident bytes are the anonymous memory that a fresh
process takes to load all of it and to search once.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import faiss
import numpy as np
import pandas as pd
import torch
from jaxtyping import Float32
from threadpoolctl import threadpool_limits

from benchmarks.frontier_report import draw, markdown, verdicts
from benchmarks.frontier_systems import FLAT, HALF, HERE, OURS, Setting, System, apply, systems
from benchmarks.here101_windows import here101_windows
from benchmarks.loaded_memory import anonymous_bytes, loaded_bytes
from benchmarks.mixture import CHUNK, mixture_vectors
from src.data.files import write_text
from src.data.progress import tracked
from src.eval.figures import save
from src.index.indexes.exact_nearest import ExactNearest
from src.index.indexes.finishing import finish
from src.index.indexes.rerank import Rerank
from src.interfaces import Codes, Index

K = 10
_TARGET = 0.95
_MARGIN = 0.01  # of the tuning queries, above the target: about the standard error of a recall
_N_TRAINING = 100_000
_N_QUERIES = 200
_ROUNDS = 3  # of both sets of queries, in turn
_QUERIES_PER_PASS = 10  # exact searches between plain passes, as what memory gives varies from second to second
_BASE_LISTS = 256  # of about 10^5 real vectors: more would cost memory that HERE's index does not have

Vectors = Float32[np.ndarray, "row dim"]


@dataclass
class Built:
    """An index as it grows, and what that took."""

    system: System
    index: Index
    build_s: float = 0.0
    overhead_bytes: int = 0


def compare(
    data: str,
    built: list[Built],
    tuning: ExactNearest,
    reporting: ExactNearest,
    pass_ms: Callable[[], float] | None = None,
) -> pd.DataFrame:
    """Every setting of every index, and which one of each is chosen by the tuning queries.

    `pass_ms` measures a plain pass over the vectors, and is called in turn with exact searches.
    """
    _finish(built)
    cases = [(each, setting) for each in built for setting in each.system.settings]
    tuned: list[list[tuple[float, float]]] = []
    reported: list[list[tuple[float, float]]] = []
    passes_ms: list[float] = []
    for n, (asked, results) in enumerate(_ROUNDS * ((tuning, tuned), (reporting, reported))):
        turn = tracked(cases, f"{data}, turn {n + 1} of {2 * _ROUNDS}")
        measured = [
            _measured(each.index, setting, asked, pass_ms if each.system.name == FLAT else None)
            for each, setting in turn
        ]
        results.append([(recall, query_ms) for recall, query_ms, _ in measured])
        passes_ms += [ms for _, _, own in measured for ms in own]
    sizes = {each.system.name: _bytes_per_vector(each) for each in tracked(built, f"{data}, sizes")}
    table = pd.DataFrame(
        {
            "data": data,
            "n_rows": len(built[0].index),
            "index": [each.system.name for each, _ in cases],
            "setting": [_shown(setting) for _, setting in cases],
            "tuning_recall": [recall for recall, _ in tuned[0]],
            "tuning_ms": np.median([[ms for _, ms in turn] for turn in tuned], axis=0),
            "recall": [recall for recall, _ in reported[0]],
            "query_ms": np.median([[ms for _, ms in turn] for turn in reported], axis=0),
            "bytes_per_vector": [sizes[each.system.name][0] for each, _ in cases],
            "resident_bytes_per_vector": [sizes[each.system.name][1] for each, _ in cases],
            "build_s": [each.build_s for each, _ in cases],
            "overhead_MB": [each.overhead_bytes / 1e6 for each, _ in cases],
            "bound_ms": float(np.median(passes_ms)) if passes_ms else None,
        }
    )
    return table.assign(is_chosen=_is_chosen(table))


def real(images: Path, weights: Path, cache: Path) -> pd.DataFrame:
    """Windows of HERE101 against every system that is installed."""
    vectors = here101_windows(images, weights, cache)
    built = [Built(system, system.make(_BASE_LISTS)) for system in systems()]
    tuning, reporting = ExactNearest(vectors.tuning, K), ExactNearest(vectors.reporting, K)
    _train(built, vectors.base)
    for start in tracked(range(0, len(vectors.base), CHUNK), "real: add"):
        chunk = vectors.base[start : start + CHUNK]
        _add(built, chunk)
        tuning.add(chunk)
        reporting.add(chunk)
    return compare("HERE101", built, tuning, reporting, lambda: _pass_ms(vectors.base, vectors.tuning[0]))


def mixture(sizes: list[int], n_lists: int) -> pd.DataFrame:
    """The mixture at each size: the same indexes, grown further."""
    built = [Built(system, system.make(n_lists)) for system in systems((HERE, OURS, HALF))]
    tuning, reporting = (ExactNearest(next(mixture_vectors(_N_QUERIES, seed)), K) for seed in (1, 2))
    _train(built, np.concatenate(list(mixture_vectors(_N_TRAINING, 3))))
    tables = []
    for chunk in tracked(list(range(-(-max(sizes) // CHUNK))), "mixture: add"):
        vectors = next(mixture_vectors(CHUNK, 10 + chunk))
        _add(built, vectors)
        tuning.add(vectors)
        reporting.add(vectors)
        if tuning.n_rows in sizes:
            tables.append(compare(f"mixture, {tuning.n_rows:,}", built, tuning, reporting))
    return pd.concat(tables, ignore_index=True)


def main() -> None:
    """Measure what the command line says, print it and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--images", type=Path, help="HERE101's folder png; left out: no real vectors")
    parser.add_argument("--weights", type=Path, help="MobileNetV2 with timm's key names")
    parser.add_argument("--rows", type=int, nargs="*", default=[100_000, 400_000], help="of the mixture")
    parser.add_argument("--lists", type=int, default=1536, help="of the mixture, for all but HERE's index")
    parser.add_argument("--cache", type=Path, default=Path("cache"))
    parser.add_argument("--out", type=Path, default=Path("outputs/index_frontier"))
    given = parser.parse_args()
    faiss.omp_set_num_threads(1)
    torch.set_num_threads(1)
    with threadpool_limits(1):
        tables = [real(given.images, given.weights, given.cache)] if given.images else []
        tables += [mixture([CHUNK * round(rows / CHUNK) for rows in given.rows], given.lists)] if given.rows else []
    table = pd.concat(tables, ignore_index=True)
    write_text(given.out / "index_frontier.csv", table.to_csv(index=False))
    save(draw(table), given.out / "index_frontier.png")
    print(markdown(table[table["is_chosen"] | table["index"].isin([HERE, FLAT])]))
    print("\n".join(["", *verdicts(table)]))


def _train(built: list[Built], vectors: Vectors) -> None:
    rows = np.sort(np.random.default_rng(0).permutation(len(vectors))[:_N_TRAINING])
    for each in tracked(built, "train"):
        started = time.process_time()
        each.index.train(Codes(vectors[rows]))
        each.build_s += time.process_time() - started


def _add(built: list[Built], chunk: Vectors) -> None:
    for each in built:
        before_bytes, started = anonymous_bytes(), time.process_time()
        each.index.add(Codes(chunk))
        each.build_s += time.process_time() - started
        each.overhead_bytes = max(each.overhead_bytes, anonymous_bytes() - before_bytes)


def _finish(built: list[Built]) -> None:
    for each in built:
        started = time.process_time()
        finish(each.index)
        each.build_s += time.process_time() - started


def _measured(
    index: Index, setting: Setting, asked: ExactNearest, pass_ms: Callable[[], float] | None
) -> tuple[float, float, list[float]]:
    """Recall at 10, the median of milliseconds per query, one query at a time, and those of passes between them."""
    apply(index, setting)
    found, times_ms, passes_ms = [], [], []
    for n, query in enumerate(asked.queries):
        codes, started = Codes(query[None]), time.process_time()
        found.append(index.search(codes, K).rows[0])
        times_ms.append(1000 * (time.process_time() - started))
        if pass_ms is not None and n % _QUERIES_PER_PASS == 0:
            passes_ms.append(pass_ms())
    return asked.recall(np.stack(found)), float(np.median(times_ms)), passes_ms


def _is_chosen(table: pd.DataFrame) -> pd.Series:
    """Of each index the fastest setting that reaches the target on the tuning queries, else the one of most recall."""
    chosen = []
    for _, own in table.groupby("index", sort=False):
        reaching = own[own["tuning_recall"] >= _TARGET + _MARGIN]
        chosen.append(own["tuning_recall"].idxmax() if reaching.empty else reaching["tuning_ms"].idxmin())
    return pd.Series(table.index.isin(chosen), index=table.index)


def _bytes_per_vector(built: Built) -> tuple[float, float]:
    """Of the index's own file, and of what a process that searches it holds."""
    own = built.index.base if isinstance(built.index, Rerank) else built.index
    with TemporaryDirectory() as folder:
        path = Path(folder) / "index"
        built.index.save(path)
        resident_bytes = loaded_bytes(built.system.name, path)
        own.save(path)
        return path.stat().st_size / len(own), resident_bytes / len(own)


def _pass_ms(vectors: Vectors, query: Float32[np.ndarray, " dim"]) -> float:
    """The faster of two plain passes over the vectors: what reading them takes at least."""
    times_ms = []
    passes: tuple[Callable[[], object], ...] = (lambda: vectors.max(), lambda: vectors @ query)
    for run in passes:
        started = time.process_time()
        run()
        times_ms.append(1000 * (time.process_time() - started))
    return min(times_ms)


def _shown(setting: Setting) -> str:
    return ", ".join(f"{path.rpartition('.')[2]} {value}" for path, value in setting.items())


if __name__ == "__main__":
    main()
