"""docs/deviations.md names switches that exist, and every official switch."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from src.eval.variants import METRICS
from src.runs.cli import CONF

ROOT = CONF.parent
SWITCHES = sorted(
    {
        switch
        for line in (ROOT / "docs" / "deviations.md").read_text().splitlines()
        if line.startswith("|")
        for switch in re.findall(r"`([^`]+)`", line.rsplit("|", 2)[1])
    }
)
OPTIONS = [switch for switch in SWITCHES if re.fullmatch(r"\w+=\w+", switch)]
KEYS = [switch for switch in SWITCHES if re.match(r"\w+\.", switch)]
FLAGS = [switch for switch in SWITCHES if switch.startswith("--")]


def has_key(config: dict[str, Any], names: list[str]) -> bool:
    first, *rest = names
    inner = config.get(first)
    return first in config and (not rest or (isinstance(inner, dict) and has_key(inner, rest)))


def raw(path: Path) -> dict[str, Any]:
    """A YAML as it is written, without what its defaults bring."""
    config = OmegaConf.to_container(OmegaConf.load(path))
    assert isinstance(config, dict)
    return {str(name): value for name, value in config.items()}


def test_every_switch_is_an_option_a_key_or_a_flag() -> None:
    assert sorted([*OPTIONS, *KEYS, *FLAGS]) == SWITCHES
    assert min(len(OPTIONS), len(KEYS), len(FLAGS)) > 0


@pytest.mark.parametrize("switch", OPTIONS)
def test_option_exists(switch: str) -> None:
    group, _, option = switch.partition("=")
    assert (CONF / group / f"{option}.yaml").exists()


@pytest.mark.parametrize("switch", [switch for switch in KEYS if not switch.startswith("eval.metrics")])
def test_key_exists_in_an_option_of_its_group(switch: str) -> None:
    group, *names = switch.partition("=")[0].split(".")
    written = [raw(path) for path in (CONF / group).glob("*.yaml")]
    inner = [config[group] if group == "engine" and group in config else config for config in written]
    assert any(has_key(config, names) for config in inner)


@pytest.mark.parametrize("switch", [switch for switch in KEYS if switch.startswith("eval.metrics")])
def test_metric_is_known(switch: str) -> None:
    assert switch.partition("=")[2].strip("[]") in METRICS


@pytest.mark.parametrize("flag", FLAGS)
def test_flag_is_taken_by_a_script(flag: str) -> None:
    assert any(f'"{flag}"' in path.read_text() for path in (ROOT / "src").rglob("__main__.py"))


def test_every_official_key_is_told() -> None:
    keys = {key for path in CONF.rglob("*.yaml") for key in re.findall(r"\bofficial_\w+(?=:)", path.read_text())}
    assert keys
    assert keys <= {name for switch in KEYS for name in switch.partition("=")[0].split(".")}


def test_every_engine_has_a_section() -> None:
    text = (ROOT / "docs" / "deviations.md").read_text()
    published = {path.stem for path in (CONF / "engine").glob("*.yaml")} - {"patch_flat"}
    assert {name for name in published if f"engine={name}" in text} == published


def test_defaults_are_those_that_are_told() -> None:
    """The column `here` of what can be read off a composed configuration."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("search", overrides=["engine=yottixel"])
        assert (cfg.mosaic.percent, cfg.mosaic.colour, cfg.code.bits) == (5.0, "mean", "yottixel")
        cfg = compose("search", overrides=["engine=here"])
        assert (cfg.index.m, cfg.index.nprobe, cfg.engine.official_squared_score) == (32, 1, False)
        cfg = compose("search", overrides=["engine=retccl"])
        assert (cfg.ranking.bag_order, cfg.ranking.min_cosine, cfg.ranking.n_neighbours) == ("entropy_desc", 0.7, None)
        cfg = compose("search", overrides=["engine=sish"])
        assert (cfg.key_encoder.float_pooling, cfg.index.include_equal_key, cfg.index.all_entries_per_key) == (
            False,
        ) * 3
        assert (cfg.ranking.round_up_weights, cfg.ranking.lost_slide_fix, cfg.ranking.weight_sum) == (
            False,
            False,
            10.0,
        )
        cfg = compose("search", overrides=["engine=hshr"])
        assert (cfg.ranking.n_nearest, cfg.ranking.alpha, cfg.ranking.beta) == (10, 1.0, 1.0)
        assert (cfg.ranking.official_first_row_norm, cfg.ranking.official_transductive) == (False, False)
        assert cfg.mosaic.official_centres
