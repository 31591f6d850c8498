"""Weights that are trained once."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import torch

from src.models.auto_checkpoint import trained_once


class Training:
    """Writes what it is told, and counts how often."""

    def __init__(self, fails: bool = False) -> None:
        self.n_times = 0
        self.fails = fails

    def __call__(self, path: Path) -> None:
        self.n_times += 1
        path.write_text("weights")
        if self.fails:
            raise RuntimeError("no memory")


def test_it_is_trained_once_and_then_reused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    training = Training()
    first = trained_once(tmp_path, "vqvae", {"seed": 0}, training)
    assert trained_once(tmp_path, "vqvae", {"seed": 0}, training) == first
    assert training.n_times == 1
    assert first.read_text() == "weights"
    assert f"trained {first}" in caplog.text
    assert f"reused {first}" in caplog.text


def test_torch_trains_on_one_thread_and_has_its_others_back(tmp_path: Path) -> None:
    before, used = torch.get_num_threads(), []

    def train(path: Path) -> None:
        used.append(torch.get_num_threads())
        path.write_text("weights")

    torch.set_num_threads(3)
    trained_once(tmp_path, "vqvae", {}, train)
    after = torch.get_num_threads()
    torch.set_num_threads(before)
    assert (used, after) == ([1], 3)


def test_other_settings_are_another_checkpoint(tmp_path: Path) -> None:
    training = Training()
    paths = {trained_once(tmp_path, "vqvae", {"seed": seed}, training) for seed in (0, 1)}
    assert len(paths) == training.n_times == 2


def test_what_shaped_it_lies_beside_it(tmp_path: Path) -> None:
    path = trained_once(tmp_path, "vqvae", {"seed": 7, "data": "abc"}, Training())
    beside = json.loads(path.with_suffix(".json").read_text())
    assert beside.pop("trained_s") >= 0
    assert beside == {"seed": 7, "data": "abc"}


def test_a_training_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no memory"):
        trained_once(tmp_path, "vqvae", {}, Training(fails=True))
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]
    assert trained_once(tmp_path, "vqvae", {}, Training()).is_file()
