from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from src.errors import ConfigError, FeatureFileError
from src.interfaces import FeatureStore, SlideFeatures
from src.models.bag_data import BagDataModule
from src.models.bags import Bag, EpochSampler, SampledBags, WholeBags, seed_of
from src.models.splits import SPLITS, split_by_patient
from tests.models.bags import MemoryStore, cohort_of


def _bags(n_patients: int = 12, **settings: object) -> BagDataModule:
    labels, patients = cohort_of(n_patients)
    return BagDataModule(MemoryStore(labels, patients), labels, patients, **settings)  # type: ignore[arg-type]


def _epoch(bags: BagDataModule, epoch: int) -> list[Bag]:
    loader = bags.train_dataloader()
    assert isinstance(loader.sampler, EpochSampler)
    loader.sampler.set_epoch(epoch)
    return list(loader)


def test_memory_store_is_a_feature_store() -> None:
    assert isinstance(MemoryStore(*cohort_of(2)), FeatureStore)


@given(
    owners=st.lists(st.integers(0, 19), min_size=30, max_size=60),
    names=st.lists(st.sampled_from("abc"), min_size=60, max_size=60),
    seed=st.integers(0, 1000),
)
def test_no_patient_is_in_two_splits_and_train_has_every_class(owners: list[int], names: list[str], seed: int) -> None:
    slide_ids = [f"s{i}" for i in range(len(owners))]
    labels = pd.Series(names[: len(owners)], index=slide_ids)
    patients = pd.Series([f"p{owner}" for owner in owners], index=slide_ids)
    try:
        split = split_by_patient(labels, patients, (0.7, 0.15, 0.15), seed)
    except ConfigError:
        assert patients.nunique() < 8
        return
    assert split.groupby(patients).nunique().max() == 1
    assert set(labels[split == "train"]) == set(labels)
    assert set(split) == set(SPLITS)


def test_every_split_has_the_cohorts_mix_of_classes() -> None:
    labels, patients = cohort_of(100, ("a", "a", "a", "b", "c"))
    split = split_by_patient(labels, patients, (0.7, 0.15, 0.15), 0)
    counts = {name: Counter(labels[split == name]) for name in SPLITS}
    assert {name: count.total() // 2 for name, count in counts.items()} == {"train": 70, "val": 15, "test": 15}
    for name in ("val", "test"):
        assert [counts[name][label] // 2 for label in "abc"] == pytest.approx([9, 3, 3], abs=1)


def test_split_follows_from_the_seed_and_not_from_the_order_of_slides() -> None:
    labels, patients = cohort_of(20)
    split = split_by_patient(labels, patients, (0.7, 0.15, 0.15), 0)
    again = split_by_patient(labels[::-1], patients, (0.7, 0.15, 0.15), 0)
    other = split_by_patient(labels, patients, (0.7, 0.15, 0.15), 1)
    assert split.to_dict() == again.to_dict()
    assert split.to_dict() != other.to_dict()


def test_split_column_of_the_cohort_wins() -> None:
    labels, patients = cohort_of(6)
    split = patients.map({"p00": "train", "p01": "train", "p02": "val", "p03": "test", "p04": "train", "p05": "val"})
    bags = BagDataModule(MemoryStore(labels, patients), labels, patients, split=split)
    assert [sorted(set(patients[bags.labels_in(name).index])) for name in SPLITS] == [
        ["p00", "p01", "p04"],
        ["p02", "p05"],
        ["p03"],
    ]


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        (["train", "train", "val", "dev"], "split is 'dev'"),
        (["train", "train", "val", "val"], "no labelled slide to test"),
        (["train", "val", "test", "train"], "no slide of class 'tumour' in train"),
    ],
)
def test_split_column_that_cannot_be_trained_with_is_refused(splits: list[str], message: str) -> None:
    labels, patients = cohort_of(4, ("benign", "tumour", "benign", "benign"))
    split = patients.map(dict(zip(["p00", "p01", "p02", "p03"], splits, strict=True)))
    with pytest.raises(ConfigError, match=message):
        BagDataModule(MemoryStore(labels, patients), labels, patients, split=split)


def test_split_column_that_tears_a_patient_apart_is_refused() -> None:
    labels, patients = cohort_of(4)
    split = patients.map({"p00": "train", "p01": "train", "p02": "val", "p03": "test"})
    split["p00-s0"] = "test"
    with pytest.raises(ConfigError, match=r"1 patients have slides in several splits \(p00"):
        BagDataModule(MemoryStore(labels, patients), labels, patients, split=split)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fractions": (0.7, 0.2, 0.2)}, "shares that sum to 1"),
        ({"fractions": (0.8, 0.2)}, "shares that sum to 1"),
        ({"max_patches": 0}, "give at least 1"),
        ({"seed": -1}, "give 0 or more"),
        ({"n_patients": 3}, "3 patients with 2 classes are too few"),
    ],
)
def test_setting_out_of_range_is_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _bags(**settings)  # type: ignore[arg-type]


def test_sampled_patches_are_new_in_every_epoch_and_the_same_again() -> None:
    labels, patients = cohort_of(2)
    bags = SampledBags(WholeBags(MemoryStore(labels, patients), labels), max_patches=5, seed=0)
    whole = bags.bags[1].features
    first, second = bags[0, 1].features, bags[1, 1].features
    assert len(first) == 5
    assert len(np.unique(first.numpy(), axis=0)) == 5
    assert (first[:, None] == whole[None]).all(2).any(1).all()
    assert not torch.equal(first, second)
    assert torch.equal(first, bags[0, 1].features)


def test_small_bag_is_not_sampled() -> None:
    labels, patients = cohort_of(2)
    bags = SampledBags(WholeBags(MemoryStore(labels, patients), labels), max_patches=1000, seed=0)
    assert torch.equal(bags[0, 1].features, bags.bags[1].features)


def test_randomness_differs_between_seeds_epochs_and_slides() -> None:
    assert len({seed_of(0, 0, "a"), seed_of(1, 0, "a"), seed_of(0, 1, "a"), seed_of(0, 0, "b")}) == 4


def test_epochs_see_every_slide_once_in_another_order() -> None:
    bags = _bags()
    orders = [[bag.slide_id for bag in _epoch(bags, epoch)] for epoch in (0, 1, 0)]
    assert sorted(orders[0]) == sorted(bags.labels_in("train").index)
    assert orders[0] != orders[1]
    assert orders[0] == orders[2]


def test_workers_read_the_same_bags() -> None:
    here, there = _epoch(_bags(max_patches=4), 3), _epoch(_bags(max_patches=4, num_workers=1), 3)
    assert all(
        a.slide_id == b.slide_id and torch.equal(a.features, b.features) for a, b in zip(here, there, strict=True)
    )


def test_validation_and_test_see_all_patches_in_cohort_order() -> None:
    bags = _bags(max_patches=2)
    loaded = list(bags.test_dataloader())
    assert [bag.slide_id for bag in loaded] == list(bags.labels_in("test").index)
    assert min(len(bag.features) for bag in loaded) >= 12


def test_nothing_is_read_before_it_is_asked_for() -> None:
    labels, patients = cohort_of(12)
    store = MemoryStore(labels, patients)
    batches = iter(BagDataModule(store, labels, patients).val_dataloader())
    assert store.n_loads == 0
    next(batches)
    assert store.n_loads == 1


def test_slide_with_nan_is_refused_by_name() -> None:
    class Broken(MemoryStore):
        def load(self, slide_id: str) -> SlideFeatures:
            slide = super().load(slide_id)
            slide.features[0, 0] = np.nan
            return slide

    labels, patients = cohort_of(2)
    with pytest.raises(FeatureFileError, match="p00-s1: features hold NaN"):
        WholeBags(Broken(labels, patients), labels)[1]


def test_checkpoint_of_another_split_is_refused() -> None:
    state = _bags(seed=0).state_dict()
    _bags(seed=0).load_state_dict(state)
    with pytest.raises(ConfigError, match="trained with other slides, labels, splits"):
        _bags(seed=1).load_state_dict(state)
