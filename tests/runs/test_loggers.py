from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import wandb
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from src.errors import ConfigError
from src.runs.loggers import (
    Logger,
    instantiate_loggers,
    log_artifact,
    log_config,
    log_images,
    log_metrics,
    log_table,
    open_loggers,
)

_CONF = Path(__file__).resolve().parents[2] / "conf"
_TABLE = pd.DataFrame({"slide_id": ["a", "b"], "score": [0.5, np.nan], "hits": [3, 4]})


def _config(name: str, run_dir: Path) -> DictConfig:
    run_dir.mkdir(parents=True, exist_ok=True)
    with initialize_config_dir(str(_CONF), version_base="1.3"):
        return compose(overrides=[f"+logger={name}", f"+paths={{run_dir: {run_dir}}}", "+seed=3"])


def _log_everything(loggers: list[Logger], cfg: DictConfig, folder: Path) -> None:
    (folder / "index").mkdir()
    (folder / "index" / "rows.csv").write_text("a,b\n")
    log_config(loggers, cfg)
    log_metrics(loggers, {"test/top_1": 0.25}, step=0)
    log_table(loggers, "leaderboard", _TABLE)
    log_images(loggers, "hits", [np.zeros((8, 8, 3), np.uint8)], ["nearest"])
    log_artifact(loggers, "here index: α", "index", folder / "index")
    log_artifact(loggers, "rows", "table", folder / "index" / "rows.csv")


@contextmanager
def _network_watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Every way out leads to a socket of ours, for child processes as well; yields what knocked."""
    wandb.teardown()  # its service process would keep the environment it was started with
    knocks: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "WANDB_BASE_URL"):
            monkeypatch.setenv(name, address)
            monkeypatch.setenv(name.lower(), address)
        monkeypatch.setenv("NO_PROXY", "")
        monkeypatch.setenv("no_proxy", "")

        def listen() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                knocks.append(connection.recv(200).decode(errors="replace"))
                connection.close()

        threading.Thread(target=listen, daemon=True).start()
        yield knocks


def test_wandb_run_is_written_offline_and_touches_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    cfg = _config("wandb", tmp_path / "run")
    with _network_watched(monkeypatch) as knocks:
        with open_loggers(cfg.logger) as loggers:
            _log_everything(loggers, cfg, tmp_path)
        assert wandb.run is None
    assert knocks == []

    (run,) = (tmp_path / "run" / "wandb").glob("offline-run-*")
    assert list(run.glob("run-*.wandb"))
    (table,) = (run / "files" / "media" / "table").glob("leaderboard*.table.json")
    assert json.loads(table.read_text())["columns"] == ["slide_id", "score", "hits"]
    assert json.loads(table.read_text())["data"] == [["a", 0.5, 3], ["b", None, 4]]
    assert list((run / "files" / "media" / "images").glob("hits*.png"))


def test_wandb_online_without_login_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    cfg = _config("wandb", tmp_path / "run")
    cfg.logger.wandb.offline = False
    with (
        _network_watched(monkeypatch),
        pytest.raises(ConfigError, match="W&B: No API key"),
    ):
        instantiate_loggers(cfg.logger)


def test_csv_log_is_written_and_takes_what_it_can(tmp_path: Path) -> None:
    cfg = _config("csv", tmp_path / "run")
    with open_loggers(cfg.logger) as loggers:
        assert [type(logger).__name__ for logger in loggers] == ["CSVLogger"]
        _log_everything(loggers, cfg, tmp_path)
    logged = pd.read_csv(tmp_path / "run" / "csv" / "metrics.csv")
    assert logged["test/top_1"].tolist() == [0.25]
    assert "seed: 3" in (tmp_path / "run" / "csv" / "hparams.yaml").read_text()


def test_wandb_config_logs_csv_as_well(tmp_path: Path) -> None:
    cfg = _config("wandb", tmp_path)
    assert list(cfg.logger) == ["csv", "wandb"]
    assert cfg.logger.wandb.offline is True


def test_no_logger_is_no_error(tmp_path: Path) -> None:
    assert instantiate_loggers(None) == []
    _log_everything([], _config("csv", tmp_path), tmp_path)


def test_loggers_are_closed_as_failed_after_an_error(tmp_path: Path) -> None:
    cfg = _config("csv", tmp_path / "run")
    with pytest.raises(RuntimeError, match="full disk"), open_loggers(cfg.logger) as loggers:
        log_metrics(loggers, {"loss": 1.0}, step=0)
        raise RuntimeError("full disk")
    assert (tmp_path / "run" / "csv" / "metrics.csv").read_text().startswith("loss,step\n1.0,0")
