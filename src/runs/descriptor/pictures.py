"""The pictures of one finished run: its features projected, and Grad-CAM++ of a query and its hit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig

from src.data.feature_folder import FeatureFolder
from src.errors import ConfigError
from src.eval.cam_figure import cam_grid
from src.eval.figures import save
from src.eval.projection import project, projection_figure
from src.eval.report.descriptor import DescriptorReport, write_descriptor_report
from src.interfaces import Encoder, Image
from src.models.encoders.network import NetworkEncoder
from src.models.lgffem.cam import explain_hit
from src.models.lgffem.design import LgffemDesign
from src.runs.cli import CONF
from src.runs.descriptor.pair import Pair, find_pair
from src.runs.encoders import encoder_of
from src.runs.loggers import log_images, open_loggers
from src.runs.prepare import find_features
from src.runs.reader_study.finished_run import FinishedRun

PROJECTION_FILE = "projection.png"
CAM_FILE = "cam.png"
REPORT_FILE = "descriptor.html"


@dataclass(frozen=True)
class PictureOptions:
    """What is drawn.

    Attributes:
        query: of the pair; None for the first of the run.
        hit: of the pair; None for the nearest.
        max_patches: that are projected, drawn at random where there are more.
        seed: of that draw and of UMAP.
        logger: option of conf/logger.
    """

    query: str | None = None
    hit: str | None = None
    max_patches: int = 2000
    seed: int = 42
    logger: str = "csv"


def draw_pictures(run: FinishedRun, out: Path, options: PictureOptions) -> None:
    """Write projection.png, cam.png where the encoder is an LGFFEM, and descriptor.html; log the pictures.

    Raises:
        ConfigError: the features are gone, or there is no such query or hit.
    """
    encoder = encoder_of(run.config)
    store = find_features(run.config, run.cohort, encoder, instantiate(run.config.patching, _convert_="all"))
    if store is None:
        raise ConfigError(f"{run.folder}: its features are no longer there; run search.py again")
    out.mkdir(parents=True, exist_ok=True)
    caption = _draw_projection(run, store, out, options)
    pair = find_pair(run, store, options.query, options.hit)
    is_explained = _draw_cam(encoder, pair, out)
    report = DescriptorReport(
        title=f"{encoder.name} on {run.cohort.name}",
        facts={"run": run.folder.name, "encoder": encoder.name, "label": run.config.eval.label, "seed": options.seed},
        projection=_read(out / PROJECTION_FILE),
        projection_caption=caption,
        pair=_facts(pair),
        cam=_read(out / CAM_FILE) if is_explained else None,
        cam_caption="What makes the hit similar to the query, by node of each layer; red: most, dark: nothing.",
    )
    write_descriptor_report(out / REPORT_FILE, report)
    _log(out, options, is_explained)


def _draw_projection(run: FinishedRun, store: FeatureFolder, out: Path, options: PictureOptions) -> str:
    """The patches of the run's queries; the caption."""
    labels = run.cohort.labels(run.config.eval.label).dropna()
    asked = dict.fromkeys(str(query).partition("@")[0] for query in run.rankings["query_id"])
    slides = [slide_id for slide_id in asked if slide_id in labels.index and slide_id in store.records]
    parts = [store.load(slide_id).features for slide_id in slides]
    features = np.concatenate(parts)
    classes = np.repeat([str(labels[slide_id]) for slide_id in slides], [len(part) for part in parts])
    rows = np.sort(np.random.default_rng(options.seed).permutation(len(features))[: options.max_patches])
    points, method = project(features[rows], options.seed)
    title = f"{run.config.encoder.name}: {len(rows)} patches of {len(slides)} slides"
    save(projection_figure(points, classes[rows].tolist(), method, title), out / PROJECTION_FILE)
    return f"{method} of {len(rows)} patches of {len(slides)} slides that were asked, coloured by {labels.name}."


def _draw_cam(encoder: Encoder, pair: Pair, out: Path) -> bool:
    """Whether the encoder is an LGFFEM, so that there is something to draw."""
    if not isinstance(encoder, NetworkEncoder) or not isinstance(encoder.network, LgffemDesign):
        return False
    network = encoder.network.load(Path(encoder.checkpoint or ""))
    heats = explain_hit(network, encoder.transform(pair.query.pixels), encoder.transform(pair.hit.pixels))
    save(cam_grid(pair.query.pixels, pair.hit.pixels, heats), out / CAM_FILE)
    return True


def _facts(pair: Pair) -> dict[str, object]:
    sides = {"query": pair.query, "hit": pair.hit}
    places = {name: f"{side.slide_id} at {side.x}, {side.y}" for name, side in sides.items()}
    return {**places, **{f"{name}'s label": side.label for name, side in sides.items()}}


def _read(path: Path) -> Image:
    with PIL.Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def _log(out: Path, options: PictureOptions, is_explained: bool) -> None:
    with open_loggers(_logger_config(options.logger, out)) as loggers:
        log_images(loggers, "projection", [out / PROJECTION_FILE], ["features in two dimensions"])
        if is_explained:
            log_images(loggers, "cam", [out / CAM_FILE], ["Grad-CAM++ of a query and its hit"])


def _logger_config(option: str, out: Path) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config: DictConfig = compose("search", [f"logger={option}", f"paths.run_dir={out.absolute()}"]).logger
    return config
