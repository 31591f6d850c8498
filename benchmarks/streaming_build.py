"""The memory of a whole build out of core: feature files of slides in, an index folder out, at several sizes.

`python -m benchmarks.streaming_build` writes slides of 1,000 patches of the mixture once, builds an engine of each size
in a process of its own (one thread), prints the table and ends with an error where memory grows with the database.
Memory is anonymous, sampled every 50 ms, from what the process holds before the build; what the finished index takes
when it is loaded is told apart. Seconds are CPU seconds.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

import faiss
import numpy as np
import pandas as pd
import torch
from threadpoolctl import threadpool_limits

from benchmarks import mixture
from benchmarks.frontier_systems import OURS
from benchmarks.loaded_memory import anonymous_bytes, held_bytes, in_fresh_process, loaded_bytes
from benchmarks.markdown import markdown_table
from benchmarks.mixture import mixture_vectors
from src.data.cohorts.table import table_cohort
from src.data.feature_files import PatchGeometry, write_features
from src.data.feature_folder import FeatureFolder, open_feature_folder
from src.data.files import digest, sha256_of, write_text
from src.data.progress import tracked
from src.index.codes.l2 import L2
from src.index.engine import RetrievalEngine
from src.index.folder import INDEX_FILE
from src.index.indexes.ivf import Ivf
from src.index.indexes.rerank import Rerank
from src.index.indexes.row_stores import Float16File
from src.index.mosaics.all_patches import AllPatches
from src.index.rankers.nearest_patch import NearestPatch
from src.index.reservoir_sample import ReservoirSample
from src.interfaces import Codes

_PATCHES_PER_SLIDE = 1000
_FIRST_SEED = 1_000_000  # of a slide: apart from those of index_frontier
_SAMPLED_EVERY_S = 0.05
_MOST_GROWTH = 1.1
_MEGABYTE = 1e6


@dataclass(frozen=True)
class Built:
    """One build. Megabytes are above what the process held before it.

    Attributes:
        index_mb: what a fresh process takes to load the index alone.
        table_mb: the rows table, which an engine holds beside the index.
        peak_mb: the most during the build.
        beyond_mb: the peak without the index.
        sample_mb, train_mb, add_mb, save_mb: the most during each step.
    """

    n_rows: int
    n_slides: int
    index_mb: float
    table_mb: float
    peak_mb: float
    beyond_mb: float
    sample_mb: float
    train_mb: float
    add_mb: float
    save_mb: float
    sample_s: float
    train_s: float
    add_s: float
    save_s: float
    wall_s: float


class Steps:
    """The steps of a build, one after the other: peak memory and CPU seconds of each."""

    def __init__(self) -> None:
        self.peaks_bytes: dict[str, int] = {}
        self.cpu_s: dict[str, float] = {}
        self._name = ""
        self._started = 0.0
        self._is_over = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Steps:
        self._watcher.start()
        return self

    def begin(self, name: str) -> None:
        """End the step that runs, begin the next."""
        self._end()
        self._name, self._started = name, time.process_time()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
        self._is_over.set()
        self._watcher.join()

    def _end(self) -> None:
        if self._name:
            self._look()
            self.cpu_s[self._name] = time.process_time() - self._started

    def _watch(self) -> None:
        while not self._is_over.wait(_SAMPLED_EVERY_S):
            self._look()

    def _look(self) -> None:
        name = self._name
        self.peaks_bytes[name] = max(anonymous_bytes(), self.peaks_bytes.get(name, 0))


class WatchedRerank(Rerank):
    """Says when its training begins and ends."""

    steps: Steps

    def train(self, sample: Codes) -> None:
        """As `Rerank`."""
        self.steps.begin("train")
        super().train(sample)
        self.steps.begin("add")


def write_slides(folder: Path, n_slides: int) -> None:
    """Write the feature files that are missing."""
    geometry = PatchGeometry((256, 256), (256, 256), 0.5, (8192, 8192), 0.5, "table")
    place = np.arange(_PATCHES_PER_SLIDE)
    coords = 256 * np.stack([place % 32, place // 32], axis=1)
    for slide in tracked(range(n_slides), "slides"):
        path = _slide_path(folder, slide)
        if not path.exists():
            features = next(mixture_vectors(_PATCHES_PER_SLIDE, _FIRST_SEED + slide))
            write_features(path, coords, features, geometry, {"encoder": "mixture"}, dtype="float16")


def built(folder: Path, n_slides: int, n_training: int, nlist: int) -> Built:
    """Build an engine from the first slides, and weigh what it wrote."""
    saved = folder / f"index-{n_slides}"
    try:
        return in_fresh_process(_built, folder, saved, n_slides, n_training, nlist)
    finally:
        shutil.rmtree(saved, ignore_errors=True)


def faults(table: pd.DataFrame, max_beyond_mb: float) -> list[str]:
    """What is wrong with the memory of the builds, a line each."""
    beyond = table["beyond_mb"]
    held = beyond - table["table_mb"]
    lines = []
    if beyond.max() > max_beyond_mb:
        lines.append(f"memory beyond the index is {beyond.max():.0f} MB, expected at most {max_beyond_mb:.0f}")
    if held.iloc[-1] > _MOST_GROWTH * held.iloc[0]:
        lines.append(
            f"memory beyond index and rows table grows from {held.iloc[0]:.0f} to {held.iloc[-1]:.0f} MB, "
            f"expected at most {_MOST_GROWTH}x"
        )
    return lines


def markdown(table: pd.DataFrame) -> str:
    """Builds as a Markdown table."""
    shown = [[f"{value:.0f}" for value in row] for row in table.to_numpy(float)]
    return markdown_table([str(name) for name in table], shown, n_words=0)


def main() -> None:
    """Build at each size, print the table, and judge it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[200_000, 400_000], help="rounded to 1,000 of a slide")
    parser.add_argument("--training", type=int, default=100_000, help="patches that the index is fitted on")
    parser.add_argument("--nlist", type=int, default=2048)
    parser.add_argument("--max-beyond-mb", type=float, default=700)
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()) / "histoseek_streaming_build")
    parser.add_argument("--out", type=Path, default=Path("outputs/streaming_build"))
    given = parser.parse_args()
    sizes = sorted(max(1, round(rows / _PATCHES_PER_SLIDE)) for rows in given.rows)
    folder = given.scratch / digest({"mixture": sha256_of(Path(mixture.__file__)), "patches": _PATCHES_PER_SLIDE})
    write_slides(folder, sizes[-1])
    table = pd.DataFrame([asdict(built(folder, size, given.training, given.nlist)) for size in sizes])
    write_text(given.out / "streaming_build.csv", table.to_csv(index=False))
    print(markdown(table))
    if lines := faults(table, given.max_beyond_mb):
        sys.exit("\n".join(lines))


def _built(folder: Path, saved: Path, n_slides: int, n_training: int, nlist: int) -> Built:
    faiss.omp_set_num_threads(1)
    torch.set_num_threads(1)
    with threadpool_limits(1), Steps() as steps:
        before_bytes, started = held_bytes(), time.perf_counter()
        engine = _engine(n_training, nlist, steps)
        steps.begin("sample")
        engine.build(_opened(folder, n_slides))
        steps.begin("save")
        engine.save(saved)
        wall_s = time.perf_counter() - started
    peaks = {step: (peak - before_bytes) / _MEGABYTE for step, peak in steps.peaks_bytes.items() if step}
    index_mb = loaded_bytes(OURS, saved / INDEX_FILE) / _MEGABYTE
    rows = engine.rows
    return Built(
        n_rows=len(rows),
        n_slides=n_slides,
        index_mb=index_mb,
        table_mb=(rows.xy.nbytes + rows.slide_of_row.nbytes) / _MEGABYTE,
        peak_mb=max(peaks.values()),
        beyond_mb=max(peaks.values()) - index_mb,
        **{f"{step}_mb": peak for step, peak in peaks.items()},
        **{f"{step}_s": seconds for step, seconds in steps.cpu_s.items()},
        wall_s=wall_s,
    )


def _engine(n_training: int, nlist: int, steps: Steps) -> RetrievalEngine:
    base = Ivf("PQ64x4fs", "hadamard", nlist, nprobe=64, M=32, efSearch=64, efConstruction=40)
    index = WatchedRerank(base, 200, Float16File())
    index.steps = steps
    sample = ReservoirSample(n_training, seed=0)
    return RetrievalEngine("streaming_build", AllPatches(), L2(), index, NearestPatch(100), sample)


def _opened(folder: Path, n_slides: int) -> FeatureFolder:
    paths = [_slide_path(folder, slide) for slide in range(n_slides)]
    table = folder / f"first_{n_slides}.csv"
    ids = [path.stem for path in paths]
    rows = pd.DataFrame({"slide_id": ids, "path": [path.name for path in paths], "patient_id": ids, "mpp": 0.5})
    write_text(table, rows.to_csv(index=False))
    return open_feature_folder(folder, table_cohort(table))


def _slide_path(folder: Path, slide: int) -> Path:
    return folder / f"S{slide:05d}.h5"


if __name__ == "__main__":
    main()
