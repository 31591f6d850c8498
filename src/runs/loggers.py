"""Where a run is logged: CSV always, W&B when asked for. What a logger cannot take it is not given.

Lightning and W&B are imported when the first logger is made: they take seconds, and many runs end before that.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd
from hydra.utils import instantiate
from omegaconf import DictConfig

from src.errors import ConfigError
from src.interfaces import Image
from src.runs.plain import plain

# A run that is done again in its folder writes its log anew.
warnings.filterwarnings("ignore", message="Experiment logs directory .* exists and is not empty")


@runtime_checkable
class Logger(Protocol):
    """What Lightning's loggers have in common."""

    def log_hyperparams(self, params: dict[str, Any]) -> None:
        """The configuration of a run."""
        ...

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Some numbers."""
        ...

    def finalize(self, status: str) -> None:
        """Write what is still in memory."""
        ...


@contextmanager
def open_loggers(cfg: DictConfig | None) -> Iterator[list[Logger]]:
    """Loggers for the length of a run; they are closed, as failed after an error, when it ends."""
    loggers = instantiate_loggers(cfg)
    try:
        yield loggers
    except BaseException:
        finish(loggers, is_failed=True)
        raise
    finish(loggers)


def instantiate_loggers(cfg: DictConfig | None) -> list[Logger]:
    """The loggers of the `logger` group, started.

    Raises:
        ConfigError: W&B is to be online and nobody is logged in, or it cannot be reached.
    """
    import wandb

    loggers: list[Logger] = [instantiate(node, _convert_="all") for node in (cfg or {}).values()]
    for logger in _wandb(loggers):
        try:
            _ = logger.experiment
        except wandb.Error as error:
            reason = str(error).splitlines()[0].rstrip(".")
            raise ConfigError(f"W&B: {reason}; run `wandb login`, or set logger.wandb.offline=true") from error
    return loggers


def log_config(loggers: Sequence[Logger], cfg: DictConfig) -> None:
    """The whole configuration, as it was resolved."""
    for logger in loggers:
        logger.log_hyperparams(plain(cfg))


def log_metrics(loggers: Sequence[Logger], metrics: Mapping[str, int | float], step: int | None = None) -> None:
    """Some numbers."""
    for logger in loggers:
        logger.log_metrics(dict(metrics), step)


def log_table(loggers: Sequence[Logger], key: str, table: pd.DataFrame) -> None:
    """A table; W&B only."""
    cells = table.astype(object).where(table.notna(), None)
    for logger in _wandb(loggers):
        logger.log_table(key, columns=[str(name) for name in table], data=cells.to_numpy().tolist())


def log_images(loggers: Sequence[Logger], key: str, images: Sequence[Image | Path], captions: Sequence[str]) -> None:
    """Pictures, as arrays or files; W&B only."""
    for logger in _wandb(loggers):
        shown = [image if isinstance(image, np.ndarray) else str(image) for image in images]
        logger.log_image(key, images=shown, caption=list(captions))


def log_artifact(loggers: Sequence[Logger], name: str, kind: str, path: Path) -> None:
    """A file or a folder that a run has made; W&B only.

    Args:
        loggers: where to.
        name: characters that W&B does not take become dashes.
        kind: what it is, for example `model` or `index`.
        path: read at once, so that it may change later.
    """
    import wandb

    for logger in _wandb(loggers):
        artifact = wandb.Artifact(re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII), kind)
        if path.is_dir():
            artifact.add_dir(str(path))
        else:
            artifact.add_file(str(path))
        logger.experiment.log_artifact(artifact)


def finish(loggers: Sequence[Logger], is_failed: bool = False) -> None:
    """Write what is still in memory and close, so that the next run of a sweep starts its own."""
    for logger in loggers:
        logger.finalize("failed" if is_failed else "success")
    for logger in _wandb(loggers):
        logger.experiment.finish(exit_code=int(is_failed))


def _wandb(loggers: Sequence[Logger]) -> list[Any]:
    from lightning.pytorch.loggers import WandbLogger

    return [logger for logger in loggers if isinstance(logger, WandbLogger)]
