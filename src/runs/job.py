"""One run in its folder: config.yaml first, status.json last, one line when it cannot be done.

In a sweep a run never ends the others: its status says `ok`, `skipped` (parts that do not fit) or `failed`, and a run
whose status is `ok` under the same key is not repeated.
"""

from __future__ import annotations

import importlib.metadata
import json
import logging
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue

from src.data.files import digest, slide_digest, write_json, write_text
from src.data.room import is_full
from src.errors import ConfigError, HistoseekError, IncompatibleParts, NoRoom
from src.runs.cli import exit_with
from src.runs.plain import plain

log = logging.getLogger(__name__)

RUN_FAILED = 2
SLIDES_FAILED = 3


@dataclass(frozen=True)
class Outcome:
    """What a run hands back: a value for sweepers that optimise, and how many slides failed."""

    value: float | None = None
    n_failed_slides: int = 0


def run_job(cfg: DictConfig, work: Callable[[DictConfig], Outcome]) -> float | None:
    """Do one run; see the module for what it writes and how it ends.

    Args:
        cfg: the composed configuration.
        work: what the script does.

    Returns:
        The value to optimise, for Hydra's sweepers.
    """
    run_dir = Path(cfg.paths.run_dir)
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        return _run_in_sweep(cfg, work, run_dir)
    try:
        outcome = _work(cfg, work, run_dir)
    except HistoseekError as error:
        with suppress(OSError):
            write_status(run_dir, "failed", str(error))
        exit_with(error)
    write_status(run_dir, "ok", n_failed_slides=outcome.n_failed_slides)
    if outcome.n_failed_slides and cfg.strict:
        sys.exit(SLIDES_FAILED)
    return outcome.value


def write_status(run_dir: Path, status: str, reason: str = "", **more: Any) -> None:
    """Write status.json, the last file of a run."""
    write_json(run_dir / "status.json", {"status": status, "reason": reason, **more})


def read_status(run_dir: Path) -> dict[str, Any]:
    """What `write_status` wrote; a run without one was killed."""
    path = run_dir / "status.json"
    if not path.exists():
        return {"status": "killed", "reason": "the run did not end; the same command continues it"}
    return dict(json.loads(path.read_text()))


def _work(cfg: DictConfig, work: Callable[[DictConfig], Outcome], run_dir: Path) -> Outcome:
    try:
        write_text(run_dir / "config.yaml", OmegaConf.to_yaml(cfg, resolve=True))
        return work(cfg)
    except MissingMandatoryValue as error:
        raise ConfigError(f"{error.full_key} has no value; set {error.full_key}=VALUE") from error
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, HistoseekError):
            raise cause from None
        raise ConfigError(" ".join(str(cause or error).split())) from error
    except (OSError, RuntimeError) as error:
        if is_full(error):
            where = getattr(error, "filename", None) or f"{run_dir}, {gettempdir()} or the cache"
            raise NoRoom(f"{where}: no room on the disk; make some, then run the command again") from error
        raise


def _run_in_sweep(cfg: DictConfig, work: Callable[[DictConfig], Outcome], run_dir: Path) -> float | None:
    try:
        key = _key(cfg)
        finished = read_status(run_dir)
        if finished["status"] == "ok" and finished.get("key") == key:
            log.info("%s: finished before, reused", run_dir)
            return _as_float(finished.get("value"))
        (run_dir / "status.json").unlink(missing_ok=True)
        outcome = _work(cfg, work, run_dir)
        write_status(run_dir, "ok", key=key, value=outcome.value, n_failed_slides=outcome.n_failed_slides)
    except IncompatibleParts as error:
        log.warning("skipped: %s", error)
        write_status(run_dir, "skipped", str(error))
    except HistoseekError as error:
        log.error("failed: %s", error)
        write_status(run_dir, "failed", str(error))
    except Exception as error:
        log.exception("failed")
        write_status(run_dir, "failed", f"{type(error).__name__}: {error}".splitlines()[0])
    else:
        return outcome.value
    return None


def _key(cfg: DictConfig) -> str:
    """Names everything that shapes a run's numbers: configuration, cohort, weights and version."""
    shaped_by = {k: v for k, v in plain(cfg).items() if k not in ("paths", "logger", "figures", "published", "hydra")}
    checkpoints = [OmegaConf.select(cfg, f"{part}.checkpoint") for part in ("encoder", "head", "code")]
    return digest(
        {
            "config": shaped_by,
            "cohort": instantiate(cfg.data, _convert_="all").digest(),
            "checkpoints": [slide_digest(Path(path)) if path and Path(path).exists() else None for path in checkpoints],
            "version": importlib.metadata.version("histoseek"),
        }
    )


def _as_float(value: Any) -> float | None:
    return None if value is None else float(value)
