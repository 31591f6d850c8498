"""Several index folders that are searched as one: they have to be alike, and each hit says where it is from."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig

from src.data.cohort import Cohort
from src.data.cohorts.several import several_cohorts
from src.errors import ConfigError, IndexMismatch
from src.index.folder import CODE_FILE
from src.interfaces import Rows
from src.runs.index_config import is_index, with_index_config

COHORT = "cohort"
_ALIKE = (
    *("encoder", "encoder_digest", "patching", "mosaic", "code", "code_kind", "weights"),
    *("index", "ranking_fitted", "dim", "feature_dim"),
)
_NOT_ALIKE = ("checkpoint", "training")  # of a code: where its weights are from; their digest is compared


def are_several(index_dir: str | ListConfig | None) -> bool:
    """Whether `index_dir` names a list of folders."""
    return isinstance(index_dir, ListConfig)


def with_first_config(cfg: DictConfig) -> DictConfig:
    """The configuration that the first of several indexes was built with; `index_dir` names all of them still.

    Raises:
        ConfigError: a folder without index, or one that is named twice.
    """
    folders = [str(folder) for folder in cfg.index_dir]
    for folder in folders:
        if not is_index(folder):
            raise ConfigError(f"{folder} holds no index; index_dir=[A,B] names folders of build_index.py")
        if folders.count(folder) > 1:
            raise ConfigError(f"index_dir names {folder} twice; leave one out")
    merged = config_of(cfg, folders[0])
    merged.index_dir = folders
    return merged


def config_of(cfg: DictConfig, folder: str) -> DictConfig:
    """The configuration that one of several indexes was built with."""
    one = copy.deepcopy(cfg)
    one.index_dir = folder
    return with_index_config(one)


def check_alike(folders: Sequence[Path], manifests: Sequence[Mapping[str, Any]]) -> None:
    """Raise IndexMismatch for the first thing in which an index differs from the first one."""
    first = _alike(manifests[0])
    for folder, manifest in zip(folders, manifests, strict=True):
        for name, value in _alike(manifest).items():
            if value != first[name]:
                raise IndexMismatch(
                    f"{folder}: {name} is {value!r}, that of {folders[0]} {first[name]!r}; indexes that are searched "
                    "as one are built with the same parts"
                )


def names_of(folders: Sequence[Path], manifests: Sequence[Mapping[str, Any]]) -> list[str]:
    """What each cohort is called: its name, or that of its folder where it has none of its own."""
    pairs = zip(folders, manifests, strict=True)
    names = [str(manifest["config"].get("cohort", folder.name)) for folder, manifest in pairs]
    return names if len(set(names)) == len(names) else [str(folder) for folder in folders]


def origins_of(names: Sequence[str], databases: Sequence[Rows]) -> dict[str, str]:
    """The cohort of each slide.

    Raises:
        ConfigError: a slide that two indexes have.
    """
    origins: dict[str, str] = {}
    for name, rows in zip(names, databases, strict=True):
        for slide_id in rows.slide_ids:
            if slide_id in origins:
                raise ConfigError(f"{slide_id} is in the indexes of {origins[slide_id]} and {name}; remove it from one")
            origins[slide_id] = name
    return origins


def joined_cohort(cohorts: Mapping[str, Cohort | None], label: str | None) -> Cohort | None:
    """The cohorts that are at hand as one, with their names in a column; None where none is."""
    named = [
        replace(cohort, table=cohort.table.assign(**{COHORT: name}))
        for name, cohort in cohorts.items()
        if cohort is not None
    ]
    return several_cohorts(named, label) if named else None


def joined_manifest(manifests: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """That of the first index, with the sizes of all."""
    sizes = ("n_rows", "n_slides", "index_size_bytes")
    return {**manifests[0], **{name: sum(manifest[name] for manifest in manifests) for name in sizes}}


def _alike(manifest: Mapping[str, Any]) -> dict[str, Any]:
    config = manifest["config"]
    code = {name: value for name, value in config["code"].items() if name not in _NOT_ALIKE}
    return {
        **{name: manifest.get(name) for name in _ALIKE},
        "cohort_kind": config["cohort_kind"],
        "configuration of the parts": [config["mosaic"], code, config["index"]],
        "fitted code": manifest["sha256"].get(CODE_FILE),
    }
