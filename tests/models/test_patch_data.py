"""Patches of a cohort of small pictures, each of one colour."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import PIL.Image
import pytest
import torch

from src.data.cohort import Cohort
from src.data.patching import CentredGrid, WholeImage
from src.errors import CohortError, ConfigError
from src.models.bags import EpochSampler
from src.models.patch_data import Patch, PatchDataModule
from src.models.patch_views import RandomCrop

SIDE_PX = 32


def cohort_of(folder: Path, n: int = 6, broken: tuple[int, ...] = ()) -> Cohort:
    """Pictures of 4 x 3 patches of n patients; the red of picture i is 10 i."""
    for i in range(n):
        path = folder / f"s{i}.png"
        PIL.Image.fromarray(np.full((3 * SIDE_PX, 4 * SIDE_PX, 3), (10 * i, 0, 255), np.uint8)).save(path)
        if i in broken:
            path.write_bytes(b"no picture")
    names = [f"s{i}" for i in range(n)]
    table = pd.DataFrame({"slide_id": names, "path": [str(folder / f"{name}.png") for name in names]})
    return Cohort("tiny", "regions", table.assign(patient_id=[f"p{i}" for i in range(n)], mpp=0.5), folder)


def module_of(cohort: Cohort, **settings: object) -> PatchDataModule:
    defaults = {"patches_per_slide": 5, "batch_size": 4, "val_fraction": 0.2, "seed": 0}
    grid = CentredGrid(SIDE_PX, 0.5, official_level0=False)
    return PatchDataModule(cohort, grid, RandomCrop(16), **{**defaults, **settings})  # type: ignore[arg-type]


def epoch_of(module: PatchDataModule, epoch: int) -> list[Patch]:
    loader = module.train_dataloader()
    assert isinstance(loader.sampler, EpochSampler)
    loader.sampler.set_epoch(epoch)
    return list(loader)


def patients(module: PatchDataModule, split: str) -> set[str]:
    return {place.record.patient_id for place in module.patches_in(split).places}


def test_each_slide_gives_as_many_patches_as_asked(tmp_path: Path) -> None:
    places = module_of(cohort_of(tmp_path)).places
    assert len(places) == len(set(places)) == 6 * 5
    assert len(module_of(cohort_of(tmp_path), patches_per_slide=None).places) == 6 * 12


def test_no_patient_is_learnt_from_and_validated_with(tmp_path: Path) -> None:
    module = module_of(cohort_of(tmp_path))
    assert len(patients(module, "val")) == 1
    assert len(patients(module, "train")) == 5
    assert not patients(module, "train") & patients(module, "val")


def test_all_patients_are_learnt_from_when_none_is_held_back(tmp_path: Path) -> None:
    module = module_of(cohort_of(tmp_path), val_fraction=0.0)
    assert len(patients(module, "train")) == 6
    assert module.val_dataloader() == []


def test_a_batch_holds_pixels_of_the_patches_it_names(tmp_path: Path) -> None:
    module = module_of(cohort_of(tmp_path), batch_size=8)
    places = module.patches_in("train").places
    for batch in epoch_of(module, 0):
        assert batch.views.shape == (8, 1, 3, 16, 16)
        assert isinstance(batch.row, torch.Tensor)
        reds = [10 * int(places[row].record.slide_id[1:]) / 255 for row in batch.row.tolist()]
        assert batch.views[:, 0, 0].mean((1, 2)).tolist() == pytest.approx(reds)
        assert batch.views[:, 0, 2].min() == 1


def test_an_epoch_can_be_repeated_and_the_next_is_another(tmp_path: Path) -> None:
    module = module_of(cohort_of(tmp_path))
    rows = [[batch.row.tolist() for batch in epoch_of(module, epoch)] for epoch in (3, 3, 4)]  # type: ignore[union-attr]
    assert rows[0] == rows[1] != rows[2]


def test_views_follow_from_epoch_and_patch_whatever_the_order(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (3 * SIDE_PX, 4 * SIDE_PX, 3)).astype(np.uint8)
    cohort = cohort_of(tmp_path)
    PIL.Image.fromarray(noise).save(tmp_path / "s0.png")
    patches = module_of(cohort, val_fraction=0.0).patches_in("train")
    later, first = patches[2, 0].views, patches[0, 0].views
    assert torch.equal(patches[0, 0].views, first)
    assert not torch.equal(later, first)


def test_a_slide_that_does_not_open_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    module = module_of(cohort_of(tmp_path, broken=(2,)))
    assert {place.record.slide_id for place in module.places} == {"s0", "s1", "s3", "s4", "s5"}
    assert "not learnt from: s2" in caplog.text


def test_a_slide_that_cannot_be_cut_is_left_out(tmp_path: Path) -> None:
    module = module_of(cohort_of(tmp_path, n=2))
    PIL.Image.fromarray(np.zeros((8, 9000, 3), np.uint8)).save(tmp_path / "s0.png")
    module.patcher = WholeImage(max_side_px=8192)
    assert {place.record.slide_id for place in module.places} == {"s1"}


def test_a_cohort_without_patches_is_refused(tmp_path: Path) -> None:
    module = module_of(cohort_of(tmp_path, n=2, broken=(0, 1)))
    with pytest.raises(CohortError, match="tiny: no slide has a patch to learn from"):
        module.places  # noqa: B018


def test_other_slides_cannot_go_on_from_a_checkpoint(tmp_path: Path) -> None:
    cohort = cohort_of(tmp_path)
    state = module_of(cohort).state_dict()
    module_of(cohort).load_state_dict(state)
    PIL.Image.fromarray(np.zeros((3 * SIDE_PX, 4 * SIDE_PX, 3), np.uint8)).save(tmp_path / "s0.png")
    with pytest.raises(ConfigError, match="trained with other slides or patches"):
        module_of(cohort).load_state_dict(state)


@pytest.mark.parametrize("wrong", [{"batch_size": 0}, {"patches_per_slide": 0}, {"val_fraction": 1.0}])
def test_settings_out_of_range_are_refused(tmp_path: Path, wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        module_of(cohort_of(tmp_path), **wrong)


def test_a_crop_lies_within_its_patch_and_is_turned() -> None:
    image = np.arange(24 * 24 * 3, dtype=np.uint32).reshape(24, 24, 3).astype(np.uint8)
    rng = np.random.default_rng(0)
    crops = torch.stack([RandomCrop(24)(image, rng)[0] for _ in range(64)])
    assert len(torch.unique(crops, dim=0)) == 8
    assert RandomCrop(40)(image, rng).shape == (1, 3, 40, 40)


def test_a_window_lies_within_its_patch(tmp_path: Path) -> None:
    cohort = cohort_of(tmp_path, n=1)
    picture = np.zeros((3 * SIDE_PX, 4 * SIDE_PX, 3), np.uint8)
    picture[:SIDE_PX, :SIDE_PX] = 200
    PIL.Image.fromarray(picture).save(tmp_path / "s0.png")
    module = module_of(cohort, patches_per_slide=None, val_fraction=0.0, window_px=16)
    patches = module.patches_in("train")
    bright = [place.x == place.y == 0 for place in patches.places]
    for row, is_bright in enumerate(bright):
        views = patches[0, row].views
        assert views.min() == views.max() == pytest.approx(200 / 255 if is_bright else 0.0)
