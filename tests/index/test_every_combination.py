"""Any mosaic with any code, index and ranking: they answer, or say in one line why they do not fit."""

from __future__ import annotations

from functools import cache
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.utils import instantiate
from omegaconf import OmegaConf

from src.errors import IncompatibleParts
from src.index.engine import RetrievalEngine
from src.index.training_sample import TrainingSample
from src.interfaces import Ranking, SlideFeatures
from tests.index.databases import MemoryStore, slide_of
from tests.index.postgres import of_database
from tests.index.trained import with_weights

CONF = Path(__file__).parents[2] / "conf"
GROUPS = ("mosaic", "code", "index", "ranking")
OPTIONS = {group: sorted(path.stem for path in (CONF / group).glob("*.yaml")) for group in GROUPS}
DIM = 131
CACHE = TemporaryDirectory()
N_KEYS = 3  # the columns of SISH's keys are whole numbers; to others they are features like the rest


@cache
def chosen(group: str, option: str) -> dict[str, Any]:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        overrides = [f"{group}={option}", "data.label=site", f"paths.cache_dir={CACHE.name}"]
        cfg = compose("search", overrides=[*overrides, *of_database(option)])
    return dict(OmegaConf.to_container(cfg[group], resolve=True))  # type: ignore[arg-type]


def part(group: str, option: str) -> Any:
    return instantiate(with_weights(chosen(group, option), DIM), _convert_="all")


def joined(options: dict[str, str]) -> RetrievalEngine:
    parts = {group: part(group, option) for group, option in options.items()}
    return RetrievalEngine("any", **parts, training_sample=TrainingSample(9, 9, 1, 0))


def features(rng: np.random.Generator, n_patches: int) -> np.ndarray:
    keys = rng.integers(0, 8000, (n_patches, N_KEYS))
    return np.hstack([keys, rng.normal(size=(n_patches, DIM - N_KEYS))])


def database() -> tuple[MemoryStore, SlideFeatures]:
    rng = np.random.default_rng(0)
    slides = [slide_of(f"s{i}", features(rng, n)) for i, n in enumerate((12, 1, 7, 30, 4, 25))]
    return MemoryStore(slides), slide_of("query", features(rng, 9))


def answer(engine: RetrievalEngine) -> Ranking:
    store, query = database()
    engine.build(store)
    engine.use_labels({"site": pd.Series(["a", "b"] * 3, index=list(store.slide_ids))})
    return engine.search(query, 3, engine.rows.slide_of_row == 0)


def refusal(options: dict[str, str]) -> str | None:
    """Why the parts do not fit; None where they answer as they should."""
    try:
        ranking = answer(joined(options))
    except IncompatibleParts as error:
        return str(error)
    assert "s0" not in {hit.slide_id for hit in ranking}
    return None


@pytest.mark.parametrize(("code", "index"), list(product(OPTIONS["code"], OPTIONS["index"])))
def test_parts_answer_or_say_in_one_line_why_they_do_not_fit(code: str, index: str) -> None:
    turn = OPTIONS["code"].index(code) + OPTIONS["index"].index(index)
    for place, ranking in enumerate(OPTIONS["ranking"]):
        mosaic = OPTIONS["mosaic"][(turn + place) % len(OPTIONS["mosaic"])]
        why = refusal({"mosaic": mosaic, "code": code, "index": index, "ranking": ranking})
        if why is not None:
            assert "\n" not in why
            assert ";" in why, f"says what does not fit, but not what to do: {why}"


@pytest.mark.parametrize(("group", "option"), [(group, option) for group in GROUPS for option in OPTIONS[group]])
def test_every_part_fits_some_others(group: str, option: str) -> None:
    others = [other for other in GROUPS if other != group]
    combinations = (dict(zip(others, names, strict=True)) for names in product(*(OPTIONS[other] for other in others)))
    assert any(fits({**options, group: option}) for options in combinations)


def fits(options: dict[str, str]) -> bool:
    try:
        joined(options)
    except IncompatibleParts:
        return False
    return True
