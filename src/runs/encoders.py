"""The encoder of a run: that of `encoder=`, with key columns before its features where `key_encoder=` gives some."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig

from src.data.cohort import Cohort
from src.data.patching import Patcher
from src.errors import ConfigError
from src.interfaces import Encoder
from src.models.auto_checkpoint import AUTO, trained_once
from src.models.keyed_encoder import KeyedEncoder, KeyEncoder, NoKeys
from src.models.vqvae.recipe import VqVaeRecipe

CHECKPOINTS_FOLDER = "checkpoints"


def encoder_of(cfg: DictConfig) -> Encoder:
    """The encoder, or both as one.

    Raises:
        ConfigError: keys that would be stored in numbers too coarse for them.
    """
    encoder: Encoder = instantiate(cfg.encoder, _convert_="all")
    key_encoder: KeyEncoder | NoKeys = instantiate(cfg.key_encoder, _convert_="all")
    if isinstance(key_encoder, NoKeys):
        return encoder
    _refuse_coarse_numbers(cfg)
    return KeyedEncoder(key_encoder, encoder)


def train_key_encoder(cfg: DictConfig, cohort: Cohort, patcher: Patcher) -> None:
    """Where `key_encoder.checkpoint` is `auto`, train on the cohort what is not there yet, and name its file instead.

    The configuration keeps that file from then on, so that the index remembers it.
    """
    if cfg.key_encoder.get("checkpoint") != AUTO:
        return
    _refuse_coarse_numbers(cfg)
    recipe: VqVaeRecipe = instantiate(cfg.key_encoder.training, _convert_="all")
    data = recipe.data(cohort, patcher)
    folder = Path(cfg.paths.cache_dir) / cohort.name / CHECKPOINTS_FOLDER
    path = trained_once(folder, cfg.key_encoder.name, recipe.shaped_by(data), partial(recipe.train, data))
    cfg.key_encoder.checkpoint = str(path.absolute())


def _refuse_coarse_numbers(cfg: DictConfig) -> None:
    if cfg.feature_dtype != "float32":
        raise ConfigError(f"feature_dtype={cfg.feature_dtype} is too coarse for keys; leave it at float32")
