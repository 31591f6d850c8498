"""One contract for every YAML in conf/engine, found by globbing."""

import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.utils import instantiate
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig

from src.index.engine import RetrievalEngine
from src.index.indexes.binary_flat import BinaryFlat
from src.index.indexes.flat import Flat
from src.interfaces import Engine, SlideFeatures
from tests.index.databases import MemoryStore, keyed_features, random_database, slide_of
from tests.index.trained import with_weights

CONF = Path(__file__).parents[2] / "conf"
DIM = 32
PRIMARY = """
hydra:
  searchpath: ["file://{conf}"]
defaults:
  - encoder: stain_texture
  - key_encoder: none
  - tissue: clam
  - patching: whole_image
  - mosaic: all_patches
  - code: l2
  - index: flat
  - ranking: nearest_patch
  - sample: here
  - engine: {engine}
  - _self_
seed: 0
data: {{label: tissue}}
head: {{checkpoint: null}}
"""

LABELS = {"tissue": pd.Series({f"s{i:03d}": f"class {i % 3}" for i in range(9)})}

every_engine = pytest.mark.parametrize("name", sorted(path.stem for path in (CONF / "engine").glob("*.yaml")))
several_databases = settings(deadline=None, max_examples=12)
databases = {
    "seed": st.integers(0, 10**6),
    "n_patches": st.lists(st.integers(1, 12), min_size=3, max_size=9),
    "k": st.integers(1, 12),
}


@cache
def composed(name: str) -> DictConfig:
    GlobalHydra.instance().clear()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "primary.yaml").write_text(PRIMARY.format(conf=CONF, engine=name))
        with initialize_config_dir(folder, version_base="1.3"):
            cfg = compose("primary")
            cfg.code = with_weights(cfg.code, DIM)
            return cfg


def make(name: str) -> RetrievalEngine:
    engine: RetrievalEngine = instantiate(composed(name).engine, _convert_="all")
    return engine


def built(name: str, store: MemoryStore) -> RetrievalEngine:
    engine = make(name)
    engine.build(store)
    engine.use_labels(LABELS)
    return engine


def query_of(seed: int) -> SlideFeatures:
    return slide_of("query", keyed_features(np.random.default_rng(seed + 1), 3, DIM))


def answers(
    engine: Engine, query: SlideFeatures, k: int, is_excluded: np.ndarray | None = None
) -> list[tuple[str, int]]:
    return [(hit.slide_id, hit.x) for hit in engine.search(query, k, is_excluded)]


def names_all_it_can(engine: RetrievalEngine) -> bool:
    return isinstance(engine.index, Flat | BinaryFlat) and engine.ranking.is_exhaustive


def n_answers(engine: RetrievalEngine, is_excluded: np.ndarray) -> int:
    """Slides that may be answered, or patches where these are ranked."""
    rows = np.flatnonzero(~is_excluded)
    return len(rows) if engine.ranking.ranks == "patches" else len(np.unique(engine.rows.slide_of_row[rows]))


@every_engine
def test_engine_is_made_from_its_yaml(name: str) -> None:
    engine = make(name)
    assert isinstance(engine, Engine)
    assert engine.name == name


@every_engine
@several_databases
@given(**databases, excluded=st.integers(0, 8))
def test_ranking_is_sorted_unique_allowed_and_long_enough(
    name: str, seed: int, n_patches: list[int], k: int, excluded: int
) -> None:
    engine = built(name, random_database(seed, n_patches, DIM))
    is_excluded = engine.rows.slide_of_row == excluded
    hits = engine.search(query_of(seed), k, is_excluded).hits
    n_allowed = n_answers(engine, is_excluded)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    is_of_patches = engine.ranking.ranks == "patches"
    assert len({(hit.slide_id, hit.x if is_of_patches else 0) for hit in hits}) == len(hits)
    assert f"s{excluded:03d}" not in {hit.slide_id for hit in hits}
    assert len(hits) <= min(k, n_allowed)
    assert len(hits) == min(k, n_allowed) or not names_all_it_can(engine)


@every_engine
@several_databases
@given(**databases)
def test_saved_engine_answers_the_same(name: str, seed: int, n_patches: list[int], k: int) -> None:
    engine, loaded = built(name, random_database(seed, n_patches, DIM)), make(name)
    with tempfile.TemporaryDirectory() as folder:
        engine.save(Path(folder) / "index")
        loaded.load(Path(folder) / "index")
    loaded.use_labels(LABELS)
    assert loaded.search(query_of(seed), k) == engine.search(query_of(seed), k)


@every_engine
@several_databases
@given(**databases)
def test_exact_engine_answers_the_same_whatever_the_order_of_its_database(
    name: str, seed: int, n_patches: list[int], k: int
) -> None:
    if not names_all_it_can(make(name)):
        pytest.skip("approximate: fitted to the order of its database")
    slides = list(random_database(seed, n_patches, DIM).slides)
    shuffled = [slides[i] for i in np.random.default_rng(seed).permutation(len(slides))]
    query = query_of(seed)
    assert answers(built(name, MemoryStore(shuffled)), query, k) == answers(built(name, MemoryStore(slides)), query, k)


@every_engine
@several_databases
@given(**databases)
def test_exact_engine_gives_ties_to_the_smaller_slide_id(name: str, seed: int, n_patches: list[int], k: int) -> None:
    if not names_all_it_can(make(name)):
        pytest.skip("approximate: which of equal patches is found is not defined")
    patches = keyed_features(np.random.default_rng(seed), 5, DIM)
    ids = [f"s{i}" for i in np.random.default_rng(seed).permutation(len(n_patches))]
    engine = built(name, MemoryStore([slide_of(slide_id, patches) for slide_id in ids]))
    assert [slide_id for slide_id, _ in answers(engine, query_of(seed), k)] == sorted(ids)[:k]
