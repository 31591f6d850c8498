"""A whole protocol: every query of a cohort is asked, its answers saved, measured and shown."""

from __future__ import annotations

import copy
import json
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from src.data.cohort import Cohort
from src.data.feature_folder import FeatureFolder
from src.data.files import write_json, written_whole
from src.data.mosaic_preview import MOSAICS_FOLDER
from src.data.progress import tracked
from src.errors import CohortError
from src.eval.judge import judge_by
from src.eval.judged import Judged
from src.eval.measured import MEASURED_FILE, load_measured, recall_key, save_measured
from src.eval.protocols import RetrievalProtocol, patch_table
from src.eval.rankings import load_rankings, patch_id, save_rankings
from src.eval.summary import PROTOCOL_FILE, write_results
from src.index.engine import RetrievalEngine
from src.index.exact_recall import ExactRecall, exact_recall
from src.interfaces import Ranking, SlideFeatures
from src.runs.cli import CONF
from src.runs.encoder_cost import encoder_cost
from src.runs.index_size import index_size
from src.runs.job import Outcome
from src.runs.memory import MemoryMark
from src.runs.mosaic_pictures import write_mosaic_pictures
from src.runs.prepare import Database, Features, prepare_cohort, prepare_database, prepare_features
from src.runs.protocol_report import log_protocol, print_metrics, write_report

log = logging.getLogger(__name__)

RANKINGS_FILE = "rankings.parquet"
ITEMS_FILE = "items.parquet"
NO_FEATURES = "without features"


@dataclass(frozen=True)
class Question:
    """A query, and the row of the index that it is itself, where patches are asked."""

    features: SlideFeatures
    slide_id: str
    patient_id: str
    row: int | None = None


def run_protocol(cfg: DictConfig) -> Outcome:
    """Prepare what is missing, ask every query, save the rankings, then measure them."""
    memory = MemoryMark.set()
    protocol: RetrievalProtocol = instantiate(cfg.eval, _convert_="all")
    cfg = _ranking_of_unit(cfg, protocol)
    cohort = prepare_cohort(cfg)
    cohort.labels(protocol.label)
    protocol.check(cohort.table)
    features = prepare_features(cfg, cohort)
    database = prepare_database(cfg, cohort, features)
    run_dir = Path(cfg.paths.run_dir)
    if cfg.mosaic_previews:
        write_mosaic_pictures(run_dir / MOSAICS_FOLDER, cohort, features.store, database.engine)
    with exact_recall(database.engine, features.store, protocol.recall_against_exact, run_dir) as recall:
        latencies_ms = _ask_all(protocol, cohort, features.store, database.engine, run_dir, recall)
        save_measured(run_dir, {recall_key(recall.k): recall.values()} if recall else {})
    write_json(run_dir / "timing.json", _timing(features, database, latencies_ms) | memory.values())
    _write_items(run_dir / ITEMS_FILE, protocol, cohort, database.engine)
    return replace(_measure(cfg, protocol, run_dir, cohort, database), n_failed_slides=features.n_failed)


def measure_again(cfg: DictConfig) -> Outcome:
    """Metrics of a finished run from its saved rankings, by the label and metrics of this configuration."""
    protocol: RetrievalProtocol = instantiate(cfg.eval, _convert_="all")
    source, run_dir = Path(cfg.rankings), Path(cfg.paths.run_dir)
    if not (source / ITEMS_FILE).exists():
        raise CohortError(f"{source}: no {ITEMS_FILE} there; rankings= takes the folder of a finished search.py run")
    for name in (RANKINGS_FILE, ITEMS_FILE, MEASURED_FILE, "timing.json"):
        if (source / name).exists():
            with written_whole(run_dir / name) as temporary:
                temporary.write_bytes((source / name).read_bytes())
    log.info("rankings: reused from %s", source)
    return _measure(cfg, protocol, run_dir)


def _ranking_of_unit(cfg: DictConfig, protocol: RetrievalProtocol) -> DictConfig:
    """Where patches are ranked, the ranking is that of patches, whatever the engine does with slides."""
    if protocol.unit == "slide":
        return cfg
    log.info("eval=%s ranks patches: ranking=patches", protocol.name)
    cfg = copy.deepcopy(cfg)
    cfg.ranking = OmegaConf.load(CONF / "ranking" / "patches.yaml")
    return cfg


def _ask_all(
    protocol: RetrievalProtocol,
    cohort: Cohort,
    store: FeatureFolder,
    engine: RetrievalEngine,
    run_dir: Path,
    recall: ExactRecall | None,
) -> list[float]:
    """Save the ranking of every query; return the time that each search took, in ms."""
    asked = [slide_id for slide_id in protocol.queries(cohort.table) if slide_id in store.records]
    answers: list[tuple[Ranking, str]] = []
    latencies_ms = []
    for slide_id in tracked(asked, f"queries, {engine.name}"):
        for question in _questions(protocol, store, engine, slide_id):
            is_excluded = protocol.is_excluded(
                question.slide_id, question.patient_id, engine.rows, cohort.table, question.row
            )
            started = time.perf_counter()
            ranking = engine.search(question.features, protocol.depth, is_excluded)
            latencies_ms.append(1000 * (time.perf_counter() - started))
            answers.append((ranking, question.patient_id))
            if recall is not None:
                recall.add(question.features, is_excluded)
    save_rankings(run_dir / RANKINGS_FILE, answers, protocol.unit)
    return latencies_ms


def _questions(
    protocol: RetrievalProtocol, store: FeatureFolder, engine: RetrievalEngine, slide_id: str
) -> Iterator[Question]:
    slide, patient = store.load(slide_id), store.patient_of(slide_id)
    if protocol.unit == "slide":
        yield Question(slide, slide_id, patient)
        return
    rows = np.flatnonzero(engine.rows.slide_of_row == engine.rows.slide_ids.index(slide_id))
    for row, place in zip(rows.tolist(), engine.mosaic.select(slide).tolist(), strict=True):
        x, y = slide.coords[place].tolist()
        patch = replace(slide.take(np.array([place])), slide_id=patch_id(slide_id, x, y))
        yield Question(patch, slide_id, patient, row)


def _timing(features: Features, database: Database, latencies_ms: list[float]) -> dict[str, Any]:
    """Times, sizes, and what the index became when it was fitted, which can be less than what was asked for."""
    return {
        "features_s": round(features.seconds, 3),
        "build_s": round(database.build_seconds, 3),
        "query_median_ms": round(float(np.median(latencies_ms)), 3),
        "query_p95_ms": round(float(np.quantile(latencies_ms, 0.95)), 3),
        "n_queries": len(latencies_ms),
        **index_size(database.engine, database.folder, features.statuses),
        **{f"index_{name}": value for name, value in database.engine.index.describe().items()},
        **encoder_cost(features.encoder, features.encode_ms_per_patch),
    }


def _write_items(path: Path, protocol: RetrievalProtocol, cohort: Cohort, engine: RetrievalEngine) -> None:
    """The slides (or patches) that are asked or searched, with every label, so that others can be judged later."""
    indexed = cohort.table[cohort.table["slide_id"].isin(engine.rows.slide_ids)]
    items = indexed if protocol.unit == "slide" else patch_table(engine.rows, indexed)
    with written_whole(path) as temporary:
        items.drop(columns="path").to_parquet(temporary, index=False)


def _measure(
    cfg: DictConfig,
    protocol: RetrievalProtocol,
    run_dir: Path,
    cohort: Cohort | None = None,
    database: Database | None = None,
) -> Outcome:
    items = pd.read_parquet(run_dir / ITEMS_FILE)
    judged = judge_by(protocol, load_rankings(run_dir / RANKINGS_FILE), items)
    judged = replace(judged, dropped=_dropped(judged, protocol, items, cohort))
    summaries = write_results(run_dir, judged, protocol, load_measured(run_dir), _cohort_name(cfg, cohort))
    write_report(cfg, protocol, run_dir, judged, items, cohort)
    print_metrics(protocol, judged, summaries)
    log_protocol(cfg, run_dir, summaries, cohort, database)
    log.info("report: %s", run_dir / "report.html")
    first = next(iter(summaries.values()))
    return Outcome(value=first.value)


def _cohort_name(cfg: DictConfig, cohort: Cohort | None) -> str | None:
    """That of the cohort, or of the run whose rankings are measured again."""
    if cohort is not None:
        return cohort.name
    protocol = Path(cfg.rankings) / PROTOCOL_FILE
    return json.loads(protocol.read_text()).get("cohort") if protocol.exists() else None


def _dropped(judged: Judged, protocol: RetrievalProtocol, items: pd.DataFrame, cohort: Cohort | None) -> dict[str, int]:
    if cohort is None:
        return dict(judged.dropped)
    missing = set(protocol.queries(cohort.table)) - set(items["slide_id"].astype(str))
    return {**judged.dropped, NO_FEATURES: len(missing)}
