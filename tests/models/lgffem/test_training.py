"""LGFFEM learns the colours of small pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pandas as pd
import pytest
import torch

from src.data.cohort import Cohort
from src.data.patching import CentredGrid
from src.errors import CohortError, ConfigError
from src.models.lgffem.design import LgffemDesign
from src.models.lgffem.module import LgffemLearner
from src.models.lgffem.views import PublishedLook
from src.models.patch_data import Patch, PatchDataModule
from tests.models.test_patch_data import SIDE_PX, cohort_of

VIEW: dict[str, Any] = {
    **{"size_px": 32, "min_area": None, "p_upside_down": 0.6, "p_mirrored": 0.6, "p_turned": 0.6},
    **{"p_gaussian": 0.5, "p_median": 0.6},
}
LOSS: dict[str, Any] = {"margin_degrees": 17.2, "max_margin_degrees": 57.3, "scale": 64.0, "sub_centers": 2}
RATES: dict[str, Any] = {
    **{"lr": 0.01, "min_lr": 0.001, "restart_epochs": 3, "weight_decay": 1e-5, "amsgrad": True, "loss_lr": 0.01},
    **{"clip_norm": 1.0, "mean": [0.5] * 3, "std": [0.5] * 3, "official_scale_is_margin": False},
}


def labelled(folder: Path) -> Cohort:
    cohort = cohort_of(folder)
    shades = pd.Series(["dark", "dark", "dark", "bright", "bright", None], dtype=object)
    table = cohort.table.assign(shade=shades, split=["train"] * 5 + ["test"])
    return Cohort(cohort.name, cohort.kind, table, cohort.root)


def data_of(folder: Path, **changed: Any) -> PatchDataModule:
    settings = {"patches_per_slide": 4, "batch_size": 5, "val_fraction": 0.3, "seed": 0, "label": "shade", **changed}
    grid = CentredGrid(SIDE_PX, 0.5, official_level0=False)
    return PatchDataModule(labelled(folder), grid, PublishedLook(**VIEW), **settings)


def design_of(folder: Path) -> LgffemDesign:
    file = folder / "backbone.pth"
    settings: dict[str, Any] = {"n_channels": 8, "n_layers": 2, "grn_mean_dim": "channel", "gem_power": 4.6}
    design = LgffemDesign("mobilenetv2_035", "none", dropout=0.1, backbone_checkpoint=str(file), **settings)
    if not file.exists():
        torch.manual_seed(0)
        torch.save(design.build().backbone.state_dict(), file)
    return design


def learner(folder: Path, n_classes: int = 2, **changed: Any) -> LgffemLearner:
    design = design_of(folder)
    lightning.seed_everything(0, verbose=False)
    return LgffemLearner(n_classes, design, **{**LOSS, **RATES, **changed})


def fitted(
    model: LgffemLearner, data: PatchDataModule, n_epochs: int, checkpoint: Path | None = None
) -> lightning.Trainer:
    quiet: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    exact: dict[str, Any] = {"accelerator": "cpu", "deterministic": True, "enable_checkpointing": False}
    trainer = lightning.Trainer(max_epochs=n_epochs, **exact, **quiet)
    trainer.fit(model, data, ckpt_path=checkpoint, weights_only=True)
    return trainer


def test_classes_are_learnt_and_the_backbone_stays(tmp_path: Path) -> None:
    model = learner(tmp_path)
    before = {name: value.clone() for name, value in model.network.backbone.state_dict().items()}
    first = fitted(learner(tmp_path), data_of(tmp_path, val_fraction=0.0), 1).callback_metrics["train/loss"]
    metrics = fitted(model, data_of(tmp_path, val_fraction=0.0), 12).callback_metrics
    assert metrics["train/loss"] < 0.7 * first
    assert all(torch.equal(value, before[name]) for name, value in model.network.backbone.state_dict().items())


def test_a_training_that_was_stopped_goes_on_exactly(tmp_path: Path) -> None:
    states = []
    for path in (None, tmp_path / "half.ckpt"):
        model, data = learner(tmp_path), data_of(tmp_path)
        if path:
            half = fitted(learner(tmp_path), data, 2)
            half.save_checkpoint(path)
        fitted(model, data, 4, path)
        states.append(model.state_dict())
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_a_strategy_starts_from_the_one_before_with_centres_of_its_own(tmp_path: Path) -> None:
    before = learner(tmp_path)
    fitted(before, data_of(tmp_path), 1)
    torch.save({"state_dict": before.encoder_state()}, tmp_path / "encoder.pth")
    after = learner(tmp_path, n_classes=5, start_from=str(tmp_path / "encoder.pth"))
    states = before.network.state_dict(), after.network.state_dict()
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    assert after.loss.W.shape == (32, 10)


def test_the_rates_are_those_of_two_groups_and_begin_anew(tmp_path: Path) -> None:
    model = learner(tmp_path)
    seen: list[list[float]] = []

    class Rates(lightning.Callback):
        def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
            seen.append([group["lr"] for group in trainer.optimizers[0].param_groups])

    quiet: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = lightning.Trainer(
        max_epochs=4, callbacks=[Rates()], enable_checkpointing=False, accelerator="cpu", **quiet
    )
    trainer.fit(model, data_of(tmp_path, val_fraction=0.0))
    n_steps = len(seen) // 4
    rates = [rate for rate, _ in seen]
    assert rates[0] == rates[3 * n_steps] == pytest.approx(0.01)
    assert rates[: 3 * n_steps] == sorted(rates[: 3 * n_steps], reverse=True)
    assert min(rates) > 0.001
    assert {rate for _, rate in seen} == {0.01}
    groups = trainer.optimizers[0].param_groups
    assert [group["amsgrad"] for group in groups] == [True, False]
    assert sum(len(group["params"]) for group in groups) == len(model.network.learnt()) + 1


def test_labels_of_a_batch_are_those_of_its_slides(tmp_path: Path) -> None:
    data = data_of(tmp_path, val_fraction=0.0)
    assert data.classes == ("bright", "dark")
    patches = data.patches_in("train")
    assert {place.record.slide_id for place in patches.places} == {f"s{i}" for i in range(5)}  # s5 has no label
    for batch in data.whole("train"):
        assert isinstance(batch.row, torch.Tensor)
        slides = [int(patches.places[row].record.slide_id[1:]) for row in batch.row.tolist()]
        assert batch.label.tolist() == [int(slide < 3) for slide in slides]


def test_only_the_part_that_was_named_is_learnt_from(tmp_path: Path) -> None:
    data = data_of(tmp_path, label=None, part="test", val_fraction=0.0)
    assert {place.record.slide_id for place in data.places} == {"s5"}
    with pytest.raises(CohortError, match=r"no slide has split = val; it has test, train"):
        data_of(tmp_path, part="val").places  # noqa: B018


def test_other_labels_cannot_go_on_from_a_checkpoint(tmp_path: Path) -> None:
    state = data_of(tmp_path).state_dict()
    with pytest.raises(ConfigError, match="trained with other slides or patches"):
        data_of(tmp_path, label="split").load_state_dict(state)


def test_patches_without_a_class_are_refused(tmp_path: Path) -> None:
    batch = Patch(torch.zeros(2), torch.rand(2, 1, 3, 32, 32), torch.full((2,), -1))
    with pytest.raises(ConfigError, match=r"set patches.label to a column"):
        learner(tmp_path).training_step(batch, 0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"min_lr": 0.1}, "min_lr 0.1"), ({"restart_epochs": 0}, "restart_epochs 0"), ({"margin_degrees": 60.0}, "57.3")],
)
def test_settings_out_of_range_are_refused(tmp_path: Path, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        learner(tmp_path, **wrong)


def noise(rows: int = 40, columns: int = 56) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (rows, columns, 3)).astype(np.uint8)


@pytest.mark.parametrize("min_area", [None, 0.08])
def test_looks_follow_from_the_seed_and_stay_colours(min_area: float | None) -> None:
    look = PublishedLook(**{**VIEW, "min_area": min_area})
    one, again, other = (look(noise(), np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one.shape == (1, 3, 32, 32)
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert 0 <= one.min() <= one.max() <= 1


def test_without_chance_the_whole_patch_is_resized() -> None:
    never = dict.fromkeys(["p_upside_down", "p_mirrored", "p_turned", "p_gaussian", "p_median"], 0.0)
    look = PublishedLook(**{**VIEW, **never})
    image = noise(32, 32)
    expected = torch.from_numpy(image.transpose(2, 0, 1)[None]).float() / 255
    assert torch.equal(look(image, np.random.default_rng(0)), expected)


@pytest.mark.parametrize("name", ["p_gaussian", "p_median"])
def test_blurs_take_noise_away(name: str) -> None:
    never = dict.fromkeys(["p_upside_down", "p_mirrored", "p_turned", "p_gaussian", "p_median"], 0.0)
    views: list[dict[str, Any]] = [{**VIEW, **never, name: p} for p in (0.0, 1.0)]
    plain, blurred = (PublishedLook(**view)(noise(), np.random.default_rng(0)) for view in views)
    assert blurred.std() < 0.8 * plain.std()


def test_turned_looks_hold_the_same_pixels() -> None:
    always: dict[str, Any] = {
        **VIEW,
        "p_upside_down": 1.0,
        "p_mirrored": 1.0,
        "p_turned": 1.0,
        "p_gaussian": 0.0,
        "p_median": 0.0,
    }
    image = noise(32, 32)
    looks = [PublishedLook(**always)(image, np.random.default_rng(seed)) for seed in range(8)]
    plain = torch.from_numpy(image).permute(2, 0, 1).float() / 255
    assert len({tuple(look.flatten().tolist()) for look in looks}) > 1
    assert all(torch.equal(look.flatten().sort().values, plain.flatten().sort().values) for look in looks)


def test_sides_that_the_network_cannot_halve_are_refused() -> None:
    with pytest.raises(ConfigError, match="size_px is 48"):
        PublishedLook(**{**VIEW, "size_px": 48})
