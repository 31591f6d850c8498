from __future__ import annotations

import pandas as pd
import pytest
import torch

from src.errors import ConfigError
from src.models.pathsearch.pairs import Pairs, SlideReportPairs
from tests.models.pathsearch.reports import pairs


def epoch(data: SlideReportPairs, number: int) -> dict[str, torch.Tensor]:
    loader = data.train_dataloader()
    loader.sampler.set_epoch(number)  # type: ignore[attr-defined]
    return {slide: bag for batch in loader for slide, bag in zip(batch.slide_ids, batch.bags, strict=True)}


def test_batches_hold_samples_of_one_size_and_the_reports_of_their_slides() -> None:
    data = pairs()
    batch: Pairs = next(iter(data.train_dataloader()))
    assert {tuple(bag.shape) for bag in batch.bags} == {(8, 8)}
    assert batch.reports == data.reports[batch.slide_ids].tolist()
    assert set(batch.slide_ids) <= set(data.reports_in("train").index)


def test_samples_are_drawn_anew_in_each_epoch_or_once() -> None:
    for official, same in ((False, False), (True, True)):
        first, second = (epoch(pairs(official_cached_sample=official), number) for number in (0, 1))
        both = sorted(set(first) & set(second))
        assert both
        assert all(torch.equal(first[slide], second[slide]) for slide in both) == same


def test_val_and_test_see_all_patches_and_patients_of_no_other_split() -> None:
    data = pairs()
    owners = {split: set(data.patients[list(data.reports_in(split).index)]) for split in ("train", "val", "test")}
    assert not owners["train"] & owners["val"]
    assert not owners["test"] & (owners["train"] | owners["val"])
    for batch in data.val_dataloader():
        for slide, bag in zip(batch.slide_ids, batch.bags, strict=True):
            assert len(bag) == len(data.store.load(slide).features)


def test_official_selection_calls_the_test_slides_val() -> None:
    data, official = pairs(), pairs(official_test_selection=True)
    assert official.reports_in("val").index.tolist() == data.reports_in("test").index.tolist()
    assert official.reports_in("train").index.tolist() == data.reports_in("train").index.tolist()


def test_processes_learn_from_other_slides_and_judge_the_same() -> None:
    seen = []
    for rank in (0, 1):
        data = pairs(batch_size=4)
        data.trainer = type("Two", (), {"global_rank": rank, "world_size": 2})()
        seen.append(set(epoch(data, 0)))
        assert sum(len(batch.slide_ids) for batch in data.val_dataloader()) == len(data.reports_in("val"))
    assert not seen[0] & seen[1]


def test_slides_without_a_label_are_learnt_from_too() -> None:
    data = pairs()
    unlabelled = SlideReportPairs(
        data.store,
        data.reports,
        pd.Series(dtype=object),
        data.patients,
        None,
        8,
        2,
        8,
        (0.5, 0.25, 0.25),
        0,
        0,
        official_cached_sample=False,
        official_test_selection=False,
        official_leave_out=False,
        num_workers=0,
    )
    assert len(unlabelled.split) == len(data.reports)


def test_other_data_is_refused_on_resume() -> None:
    with pytest.raises(ConfigError, match="trained with other slides, reports, splits or samples"):
        pairs(n_patches=9).load_state_dict(pairs().state_dict())


@pytest.mark.parametrize("setting", [{"n_clusters": 0}, {"n_patches": 1}, {"batch_size": 1}])
def test_settings_out_of_range_are_refused(setting: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=r"^pairs: n_patches is [^\n]*$"):
        pairs(**setting)
