"""One engine on some slides: what its database costs, how fast it answers, and whether a plain reading agrees."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import isclose
from pathlib import Path
from statistics import median
from typing import Any

import faiss
import numpy as np
import pandas as pd
from hydra.utils import instantiate
from jaxtyping import Int64
from omegaconf import OmegaConf

from benchmarks.engine_slides import Slides
from benchmarks.plain import PlainEngine, PlainHit, PlainSlide
from benchmarks.plain_retccl import PlainRetccl
from benchmarks.plain_sish import PlainSish
from benchmarks.plain_yottixel import PlainYottixel
from src.index.engine import RetrievalEngine
from src.index.training_sample import TrainingSample
from src.interfaces import Mosaic, Ranking, SlideFeatures
from src.runs.memory import MemoryMark

K = 10

_CONF = Path(__file__).parents[1] / "conf"
_LABEL = "label"
_MIB = 1024**2
_TOLERANCE = 1e-4  # of entropies of cosines, which are float32 here and there


@dataclass(frozen=True)
class Compared:
    """An engine of the project by the options of conf/, and the plain reading it is compared with.

    Attributes:
        limit_ms: that a query among 2,000 slides should keep; None for none.
        n_queries: slides that are asked for; None for every one.
    """

    mosaic: str
    code: str
    index: str
    ranking: str
    plain: Callable[[list[PlainSlide]], PlainEngine]
    limit_ms: float | None
    n_queries: int | None = None

    def parts(self) -> dict[str, Any]:
        """The parts, with the settings that their YAML files state."""
        return {
            "mosaic": Remembered(_part("mosaic", self.mosaic, seed=0)),
            "code": _part("code", self.code),
            "index": _part("index", self.index),
            "ranking": _part("ranking", self.ranking, label=_LABEL),
        }


ENGINES = {
    "yottixel": Compared("yottixel", "barcode", "binary_flat", "median_of_minima", PlainYottixel, 10.0),
    "retccl": Compared("retccl", "l2", "flat", "entropy", PlainRetccl, 30.0),
    "sish": Compared("sish", "sish", "guided", "weighted_uncertainty", PlainSish, 20.0),
    "sish_of_yottixel_mosaic": Compared("yottixel", "sish", "guided", "weighted_uncertainty", PlainSish, 20.0),
    "yottixel_of_every_patch": Compared(
        "all_patches", "barcode", "binary_flat", "median_of_minima", PlainYottixel, None, n_queries=30
    ),
}


@dataclass(frozen=True)
class Measurement:
    """One engine at one size.

    Attributes:
        mosaic_ms_per_slide: median.
        build_s: of the whole database, mosaics included.
        plain_median_ms: of the plain reading, for the queries that were compared.
        ratio: of the medians over the queries that were compared.
        memory_added_mib: by building and asking, to a process that holds the features.
    """

    engine: str
    n_slides: int
    n_vectors: int
    vectors_per_slide: float
    mosaic_ms_per_slide: float
    build_s: float
    query_median_ms: float
    query_p95_ms: float
    limit_ms: float | None
    plain_median_ms: float
    ratio: float
    n_queries: int
    n_empty: int
    n_compared: int
    memory_peak_mib: float | None
    memory_added_mib: float | None


class Remembered:
    """A mosaic that is chosen once per slide, and how long that took."""

    def __init__(self, mosaic: Mosaic) -> None:
        self.mosaic = mosaic
        self.seconds: list[float] = []
        self.chosen: dict[str, Int64[np.ndarray, " mosaic"]] = {}

    def select(self, slide: SlideFeatures) -> Int64[np.ndarray, " mosaic"]:
        """As the mosaic does."""
        if slide.slide_id not in self.chosen:
            started = time.process_time()
            self.chosen[slide.slide_id] = self.mosaic.select(slide)
            self.seconds.append(time.process_time() - started)
        return self.chosen[slide.slide_id]


def measured(name: str, slides: Slides, n_queries: int | None, plain_s: float) -> Measurement:
    """Build, ask, and compare.

    Args:
        name: of the engine.
        slides: database and queries.
        n_queries: slides that are asked for; None for as many as the engine says.
        plain_s: CPU seconds that the plain reading may take, one query at least.

    Raises:
        ValueError: the two disagree.
    """
    faiss.omp_set_num_threads(1)
    compared, slides = ENGINES[name], replace(slides, with_keys=ENGINES[name].code == "sish")
    asked = _spread(slides.slide_ids, n_queries or compared.n_queries or len(slides.slide_ids))
    mark = MemoryMark.set()
    engine = RetrievalEngine(name, **compared.parts(), training_sample=TrainingSample(500, 100, 100, 0))
    build_s = _build(engine, slides)
    answers = [_asked(engine, slides, slide_id) for slide_id in asked]
    memory = {name: None if value is None else value / _MIB for name, value in mark.values().items()}
    ours_ms = [seconds * 1000 for seconds, _ in answers]
    mosaic: Any = engine.mosaic
    plain_ms = _compare([ranking for _, ranking in answers], compared, slides, mosaic.chosen, plain_s)
    return Measurement(
        engine=name,
        n_slides=len(slides.slide_ids),
        n_vectors=len(engine.rows),
        vectors_per_slide=len(engine.rows) / len(slides.slide_ids),
        mosaic_ms_per_slide=1000 * median(mosaic.seconds),
        build_s=build_s,
        query_median_ms=median(ours_ms),
        query_p95_ms=float(np.percentile(ours_ms, 95)),
        limit_ms=compared.limit_ms,
        plain_median_ms=median(plain_ms.values()),
        ratio=median(plain_ms.values()) / median(ours_ms[place] for place in plain_ms),
        n_queries=len(asked),
        n_empty=sum(len(ranking) == 0 for _, ranking in answers),
        n_compared=len(plain_ms),
        memory_peak_mib=memory["memory_peak_bytes"],
        memory_added_mib=memory["memory_added_bytes"],
    )


def _part(group: str, option: str, **values: Any) -> Any:
    settings = OmegaConf.load(_CONF / group / f"{option}.yaml")
    return instantiate(settings, **{name: value for name, value in values.items() if name in settings})


def _spread(slide_ids: Sequence[str], n: int) -> list[str]:
    return [slide_ids[place] for place in np.linspace(0, len(slide_ids) - 1, min(n, len(slide_ids))).astype(int)]


def _build(engine: RetrievalEngine, slides: Slides) -> float:
    started = time.process_time()
    engine.build(slides)
    engine.use_labels({_LABEL: pd.Series(slides.label, index=slides.slide)})
    return time.process_time() - started


def _asked(engine: RetrievalEngine, slides: Slides, slide_id: str) -> tuple[float, Ranking]:
    """Seconds and the answer among the slides of other patients; to leave out the query's own is part of asking."""
    query = slides.load(slide_id)
    started = time.process_time()
    is_own = np.array(engine.rows.patient_ids) == slides.patient_of(slide_id)
    ranking = engine.search(query, K, is_own[engine.rows.slide_of_row])
    return time.process_time() - started, ranking


def _compare(
    answers: Sequence[Ranking],
    compared: Compared,
    slides: Slides,
    chosen: dict[str, Int64[np.ndarray, " mosaic"]],
    plain_s: float,
) -> dict[int, float]:
    """Milliseconds of the plain reading, by the place of the query; as many as the time allows."""
    database = {slide_id: _plain(slides, slide_id, chosen[slide_id]) for slide_id in slides.slide_ids}
    plain = compared.plain(list(database.values()))
    plain_ms: dict[int, float] = {}
    for place in np.random.default_rng(0).permutation(len(answers)).tolist():
        started = time.process_time()
        expected = plain.rank(database[answers[place].query_id], K)
        plain_ms[place] = 1000 * (time.process_time() - started)
        _check(answers[place], expected)
        if sum(plain_ms.values()) > 1000 * plain_s:
            break
    return plain_ms


def _plain(slides: Slides, slide_id: str, chosen: Int64[np.ndarray, " mosaic"]) -> PlainSlide:
    place = slides.slide_ids.index(slide_id)
    own = slides.features[place][chosen], slides.sish_index[place][chosen]
    return PlainSlide(slide_id, slides.patient_of(slide_id), str(slides.label[place]), *own)


def _check(answer: Ranking, expected: Sequence[PlainHit]) -> None:
    ours, plain = [(hit.slide_id, hit.score) for hit in answer], [(hit.slide_id, hit.score) for hit in expected]
    is_same = len(ours) == len(plain) and all(
        a == b and isclose(x, y, abs_tol=_TOLERANCE) for (a, x), (b, y) in zip(ours, plain, strict=True)
    )
    if not is_same:
        raise ValueError(f"{answer.query_id}: the engine answers {ours}, the plain reading {plain}")
