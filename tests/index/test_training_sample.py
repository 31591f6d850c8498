import numpy as np
import pytest

from src.errors import ConfigError
from src.index.training_sample import TrainingSample
from tests.index.databases import MemoryStore, random_database, slide_of

HERE = TrainingSample(n_slides=500, n_patches=100, min_patches=100, seed=0)


def drawn(sample: TrainingSample, store: MemoryStore) -> np.ndarray:
    return np.concatenate([features for _, features in sample.draw(store)])


def marked_database(n_patches: list[int]) -> MemoryStore:
    """Features say which slide they come from, and which patch."""
    return MemoryStore(
        [slide_of(f"s{i}", np.stack([np.full(n, i), np.arange(n)], axis=1)) for i, n in enumerate(n_patches)]
    )


def test_each_drawn_slide_gives_so_many_different_patches() -> None:
    sample = drawn(TrainingSample(n_slides=2, n_patches=5, min_patches=5, seed=0), marked_database([50, 60, 70]))
    assert len(np.unique(sample[:, 0])) == 2
    assert len(np.unique(sample, axis=0)) == len(sample) == 10


def test_small_slides_are_left_out_when_most_are_large() -> None:
    sample = drawn(HERE, marked_database([150, 99, 120, 100]))
    assert set(sample[:, 0]) == {0, 2, 3}
    assert len(sample) == 300


def test_small_slides_take_part_when_most_are_small() -> None:
    assert len(drawn(HERE, marked_database([9] * 20 + [150]))) == 20 * 9 + 100


def test_a_cohort_of_single_patches_gives_as_many_patches_as_slides_would() -> None:
    sample = drawn(TrainingSample(n_slides=3, n_patches=4, min_patches=100, seed=0), marked_database([1] * 40))
    assert len(np.unique(sample[:, 0])) == 12


def test_each_part_says_which_slide_it_is_of() -> None:
    for slide_id, features in HERE.draw(marked_database([150, 120, 100])):
        assert {f"s{value:.0f}" for value in features[:, 0]} == {slide_id}


def test_the_seed_decides_the_sample() -> None:
    store = random_database(0, [20] * 9)
    draws = [drawn(TrainingSample(4, 5, 10, seed), store) for seed in (1, 1, 2)]
    assert np.array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])


def test_a_database_without_slides_is_refused() -> None:
    with pytest.raises(ConfigError, match="no slide has patches"):
        HERE.draw(MemoryStore([]))


def test_a_sample_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="n_slides is 0"):
        TrainingSample(0, 100, 100, 0)
