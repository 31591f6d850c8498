import numpy as np
import pytest

from src.errors import ConfigError
from src.index.reservoir_sample import ReservoirSample
from tests.index.databases import MemoryStore, random_database
from tests.index.test_training_sample import marked_database


def drawn(sample: ReservoirSample, store: MemoryStore) -> np.ndarray:
    return np.concatenate([features for _, features in sample.draw(store)])


def test_so_many_different_patches_are_drawn_or_all() -> None:
    store = marked_database([50, 3, 0, 700])
    for n, expected in ((1, 1), (100, 100), (752, 752), (5000, 753)):
        assert len(np.unique(drawn(ReservoirSample(n, 0), store), axis=0)) == expected


def test_every_patch_is_as_likely_as_any_other() -> None:
    store = marked_database([40, 160])
    counts = np.zeros((2, 160))
    for seed in range(300):
        slide, patch = drawn(ReservoirSample(50, seed), store).astype(int)[:, :2].T
        np.add.at(counts, (slide, patch), 1)
    each = np.concatenate([counts[0, :40], counts[1]]) / 300
    assert abs(counts[0].sum() / counts.sum() - 0.2) < 0.01
    assert each.min() > 0.25 - 0.13
    assert each.max() < 0.25 + 0.13


def test_the_order_of_the_slides_does_not_matter() -> None:
    store = random_database(0, [30, 9, 80, 41])
    turned = MemoryStore(store.slides[::-1])
    one, other = (dict(ReservoirSample(37, 5).draw(each)) for each in (store, turned))
    assert one.keys() == other.keys()
    assert all(np.array_equal(one[slide_id], other[slide_id]) for slide_id in one)
    assert sum(map(len, one.values())) == 37


def test_each_part_says_which_slide_it_is_of() -> None:
    for slide_id, features in ReservoirSample(60, 0).draw(marked_database([150, 120, 100])):
        assert {f"s{value:.0f}" for value in features[:, 0]} == {slide_id}


def test_the_seed_decides_the_sample() -> None:
    store = random_database(0, [20] * 9)
    draws = [drawn(ReservoirSample(40, seed), store) for seed in (1, 1, 2)]
    assert np.array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(ConfigError, match="no slide has patches"):
        ReservoirSample(9, 0).draw(MemoryStore([]))
    with pytest.raises(ConfigError, match="n_patches is 0"):
        ReservoirSample(0, 0)
