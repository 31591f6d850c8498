"""What a protocol shows: a table on the terminal, report.html, figures, and the same on the loggers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table

from src.data.cohort import Cohort
from src.data.mosaic_preview import MOSAICS_FOLDER
from src.eval.judged import Judged
from src.eval.protocols import RetrievalProtocol
from src.eval.rankings import load_rankings
from src.eval.report.protocol import ProtocolReport, write_protocol_report
from src.eval.summary import CHANCE, MetricSummary
from src.index.folder import MANIFEST_FILE
from src.runs.loggers import log_artifact, log_config, log_images, log_metrics, log_table, open_loggers
from src.runs.prepare import Database
from src.runs.slide_pictures import SlidePictures

_N_LOGGED_HITS = 5


def print_metrics(protocol: RetrievalProtocol, judged: Judged, summaries: Mapping[str, MetricSummary]) -> None:
    """The table of metrics, and what was left out."""
    narrowed = [f"{name} {column}" for name, column in protocol.narrowed().items()]
    title = ", ".join([protocol.name, f"label {protocol.label}", *narrowed, f"{len(judged)} queries"])
    table = Table(title=title, title_justify="left")
    for heading in ("metric", "value", "95 % interval", "macro", "queries", "short"):
        table.add_column(heading, justify="left" if heading == "metric" else "right")
    for name, metric in summaries.items():
        interval = "" if metric.ci95 is None else f"{metric.ci95[0]:.3f} to {metric.ci95[1]:.3f}"
        n_short = str(metric.n_short) if name != CHANCE else ""
        table.add_row(name, _shown(metric.value), interval, _shown(metric.macro), str(metric.n_queries), n_short)
    console = Console()
    console.print(table)
    left_out = [f"{count} {reason}" for reason, count in judged.dropped.items() if count]
    if left_out:
        console.print(f"queries left out: {', '.join(left_out)}")


def write_report(
    cfg: DictConfig,
    protocol: RetrievalProtocol,
    run_dir: Path,
    judged: Judged,
    items: pd.DataFrame,
    cohort: Cohort | None,
) -> None:
    """Write report.html from the files of the run's folder."""
    links = {"rankings": "rankings.parquet", "metrics": "metrics.json", "timing": "timing.json"}
    mosaics = {"mosaics": MOSAICS_FOLDER} if (run_dir / MOSAICS_FOLDER).exists() else {}
    report = ProtocolReport(
        title=f"{cfg.engine.name} on {cfg.data.get('name') or (cohort.name if cohort else 'a finished run')}",
        facts=_facts(cfg, protocol, judged),
        metrics=json.loads((run_dir / "metrics.json").read_text()),
        rankings=load_rankings(run_dir / links["rankings"]),
        per_query=pd.read_parquet(run_dir / "per_query.parquet"),
        labels=protocol.labels(items),
        thumbnail=SlidePictures(cohort).thumbnail,
        dropped=judged.dropped,
        timing=json.loads((run_dir / links["timing"]).read_text()),
        config=OmegaConf.to_yaml(cfg, resolve=True),
        links={**links, "values per query": "per_query.parquet", "configuration": "config.yaml", **mosaics},
        unlabelled=protocol.unlabelled,
        answer_of=protocol.answer_of(items),
        seed=cfg.seed,
    )
    write_protocol_report(run_dir / "report.html", report)


def log_protocol(
    cfg: DictConfig,
    run_dir: Path,
    summaries: Mapping[str, MetricSummary],
    cohort: Cohort | None,
    database: Database | None,
) -> None:
    """Configuration, metrics, table, thumbnails of hits and the index's manifest, to every logger that takes them."""
    with open_loggers(cfg.logger) as loggers:
        log_config(loggers, cfg)
        log_metrics(loggers, {name: metric.value for name, metric in summaries.items() if metric.value is not None})
        log_table(loggers, "metrics", _as_table(summaries))
        if "wandb" in (cfg.logger or {}):
            log_images(loggers, "hits", *_hit_images(run_dir, SlidePictures(cohort)))
        if database is not None:
            log_artifact(loggers, f"{database.engine.name}-index", "index-manifest", database.folder / MANIFEST_FILE)


def _facts(cfg: DictConfig, protocol: RetrievalProtocol, judged: Judged) -> dict[str, Any]:
    return {
        "engine": cfg.engine.name,
        "encoder": cfg.encoder.name,
        "index": str(cfg.index._target_).rpartition(".")[2],
        "protocol": protocol.name,
        "label": protocol.label,
        **protocol.narrowed(),
        "queries": len(judged),
        "seed": cfg.seed,
    }


def _as_table(summaries: Mapping[str, MetricSummary]) -> pd.DataFrame:
    rows = [
        (name, metric.value, *(metric.ci95 or (None, None)), metric.macro, metric.n_queries)
        for name, metric in summaries.items()
    ]
    return pd.DataFrame(rows, columns=["metric", "value", "low", "high", "macro", "n_queries"])


def _hit_images(run_dir: Path, pictures: SlidePictures) -> tuple[list[Any], list[str]]:
    """The first query and its first hits."""
    rankings = load_rankings(run_dir / "rankings.parquet")
    hits = rankings[(rankings["query_id"] == rankings["query_id"].iloc[0]) & (rankings["rank"] >= 0)]
    query = str(rankings["query_id"].iloc[0]).partition("@")[0]
    shown = [query, *hits["hit_slide"].head(_N_LOGGED_HITS)]
    captions = [f"query {query}", *(f"{rank + 1}. {slide}" for rank, slide in enumerate(shown[1:]))]
    return [pictures.thumbnail(slide_id) for slide_id in shown], captions


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
