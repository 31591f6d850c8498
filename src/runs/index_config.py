"""An index remembers how it was made: searching it needs no more than its folder."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from src.data.whole_folder import undo_killed_swap
from src.errors import ConfigError
from src.index.folder import MANIFEST_FILE, head_in, read_manifest

_REMEMBERED = (
    *("data", "encoder", "key_encoder", "tissue", "patching", "head", "mosaic", "code", "index", "ranking", "sample"),
    *("engine", "reports", "seed", "features_dir", "corrupt_tiles", "feature_dtype"),
)
_FREE_CHOICES = ("ranking",)  # takes the rows as they are, whatever the index was built for


def is_index(folder: str | None) -> bool:
    """True when the folder holds an index."""
    if not folder:
        return False
    undo_killed_swap(Path(str(folder)))
    return (Path(str(folder)) / MANIFEST_FILE).exists()


def chosen_groups() -> set[str]:
    """Groups and keys that the command line sets."""
    return {override.key_or_group for override in _command_line()}


def with_index_config(cfg: DictConfig) -> DictConfig:
    """The configuration with everything that `index_dir` was built with, then what the command line says.

    Raises:
        ConfigError: the command line chooses another encoder, cohort or part than the index was built with.
        IndexMismatch: the folder is damaged.
    """
    built = read_manifest(Path(cfg.index_dir))["config"]
    merged = copy.deepcopy(cfg)
    for name in [name for name in _REMEMBERED if name in built]:
        merged[name] = OmegaConf.create(built[name]) if isinstance(built[name], dict) else built[name]
    head = head_in(Path(cfg.index_dir))
    if head is not None:
        merged.head.checkpoint = str(head)
    _link(merged)
    _apply_command_line(merged, cfg, built["choices"])
    return merged


def _link(merged: DictConfig) -> None:
    """Let each part be changed in one place again; in the manifest it stands wherever it was used."""
    for part in ("mosaic", "code", "index", "ranking"):
        merged.engine[part] = f"${{{part}}}"
    if "checkpoint" in merged.code:
        merged.code.checkpoint = "${head.checkpoint}"
    if "label" in merged.ranking:
        merged.ranking.label = "${oc.select:eval.label,${data.label}}"
    if "segmenter" in merged.patching.slides:
        merged.patching.slides.segmenter = "${tissue}"


def _command_line() -> list[Override]:
    return OverridesParser.create().parse_overrides(list(HydraConfig.get().overrides.task))


def _apply_command_line(merged: DictConfig, cfg: DictConfig, choices: dict[str, Any]) -> None:
    for override in _command_line():
        key = override.key_or_group
        if override.package:  # a group in another place: +mosaic@engine.query_mosaic=yottixel
            OmegaConf.update(merged, override.package, OmegaConf.select(cfg, override.package))
        elif key in choices:
            _keep_choice(merged, cfg, key, choices[key])
        elif key.split(".")[0] in _REMEMBERED:
            OmegaConf.update(merged, key, OmegaConf.select(cfg, key))


def _keep_choice(merged: DictConfig, cfg: DictConfig, group: str, built_with: str) -> None:
    chosen = HydraConfig.get().runtime.choices[group]
    if group in _FREE_CHOICES:
        merged[group] = cfg[group]
    elif group in _REMEMBERED and chosen != built_with:
        raise ConfigError(
            f"{cfg.index_dir} was built with {group}={built_with}, the command line says {group}={chosen}; "
            "leave it out, or build another index with build_index.py"
        )
