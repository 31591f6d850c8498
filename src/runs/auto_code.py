"""`code.checkpoint=auto`: a code without published weights is trained on the features that are about to be indexed."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from src.data.feature_folder import FeatureFolder
from src.index.codes.hshr import Hshr
from src.index.mosaics.standing import standing_for
from src.interfaces import Mosaic
from src.models.auto_checkpoint import AUTO, trained_once
from src.models.hashing.halves import StandsFor
from src.runs.plain import plain


def with_trained_code(cfg: DictConfig, store: FeatureFolder, cache_dir: Path) -> DictConfig:
    """The configuration, with the file of the weights where its code says `auto`.

    Args:
        cfg: of the run.
        store: the features of the cohort; its labels are not looked at.
        cache_dir: where the weights are kept.
    """
    if OmegaConf.select(cfg, "code.checkpoint") != AUTO:
        return cfg
    code: Hshr = instantiate(cfg.code, _convert_="all")
    data = code.training.data(store, *vectors_of(cfg, store))
    shaped_by = code.training.shaped_by(data)
    path = trained_once(cache_dir, "hash-encoder", shaped_by, lambda path: code.training.train(data, path))
    cfg = copy.deepcopy(cfg)
    cfg.code.checkpoint = str(path)
    return cfg


def vectors_of(cfg: DictConfig, store: FeatureFolder) -> tuple[StandsFor, dict[str, Any]]:
    """What `mosaic=` makes of a slide's features, and what names it in digests."""
    mosaic: Mosaic = instantiate(cfg.mosaic, _convert_="all")
    return lambda slide: standing_for(mosaic, slide)[1], {"features": store.digest(), "mosaic": plain(cfg)["mosaic"]}
