"""A finished run of search.py, as a reader study takes it: its rankings, its cohort, and how large its patches were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from src.data.cohort import Cohort
from src.data.feature_files import read_features
from src.data.patching import GridPatcher
from src.errors import ConfigError
from src.eval.rankings import load_rankings
from src.interfaces import Slide
from src.runs.protocol_run import RANKINGS_FILE

_CONFIG_FILE = "config.yaml"


@dataclass(frozen=True)
class FinishedRun:
    """One method of a study.

    Attributes:
        name: what results call it; readers never see it.
        config: as the run wrote it.
        rankings: rows of its rankings.parquet.
        cohort: what it searched.
    """

    name: str
    folder: Path
    config: DictConfig
    rankings: pd.DataFrame
    cohort: Cohort

    @property
    def is_by_region(self) -> bool:
        """True when a patch may be a whole region: the configuration does not rule it out."""
        is_given = bool(self.config.features_dir)
        return self.cohort.kind == "regions" and (is_given or not isinstance(self._patcher, GridPatcher))

    def patch_size_level0(self, slide: Slide) -> tuple[int, int]:
        """Width and height of the run's patches on this slide, level-0 pixels."""
        if self.config.features_dir:
            file = Path(self.config.features_dir) / f"{slide.slide_id}.h5"
            return read_features(file, slide.slide_id, slide.mpp).patch_size_level0
        patcher = self._patcher
        if isinstance(patcher, GridPatcher):
            return (round(patcher.patch_size_px * patcher.mpp / slide.mpp),) * 2
        return slide.width_px, slide.height_px

    @property
    def _patcher(self) -> object:
        return instantiate(self.config.patching, _convert_="all").of(self.cohort.kind)


def open_runs(texts: Sequence[str]) -> list[FinishedRun]:
    """The runs of `NAME=FOLDER` or `FOLDER`; without a name it is engine and encoder.

    Raises:
        ConfigError: a folder is no finished run of a protocol, two have one name, or they searched different cohorts.
    """
    runs = [_open(text) for text in texts]
    names = [run.name for run in runs]
    for run in runs:
        if names.count(run.name) > 1:
            raise ConfigError(f"{run.folder}: another run is called {run.name!r} too; write NAME=FOLDER")
        if run.cohort.digest() != runs[0].cohort.digest():
            raise ConfigError(
                f"{run.folder} searched another cohort ({run.cohort.name}) than {runs[0].folder} "
                f"({runs[0].cohort.name}); compare runs over one cohort"
            )
    return runs


def _open(text: str) -> FinishedRun:
    name, _, folder_name = "", "", text
    if not Path(text).is_dir() and "=" in text:
        name, _, folder_name = text.partition("=")
    folder = Path(folder_name)
    for file in (_CONFIG_FILE, RANKINGS_FILE):
        if not (folder / file).is_file():
            raise ConfigError(f"{folder}: no {file} there; give the folder of a finished search.py run of a protocol")
    config = OmegaConf.load(folder / _CONFIG_FILE)
    assert isinstance(config, DictConfig)
    cohort: Cohort = instantiate(config.data, _convert_="all")
    name = name or f"{config.engine.name}, {config.encoder.name}"
    return FinishedRun(name, folder, config, load_rankings(folder / RANKINGS_FILE), cohort)
