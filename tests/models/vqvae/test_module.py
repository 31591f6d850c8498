"""The VQ-VAE learns, and what it learnt is read again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from src.data.patching import CentredGrid
from src.errors import ConfigError
from src.models.patch_data import Patch
from src.models.vqvae.module import VqVae
from src.models.vqvae.recipe import VqVaeRecipe
from src.models.weights import read_state
from tests.models.test_patch_data import SIDE_PX, cohort_of

SETTINGS: dict[str, Any] = {"n_channels": 8, "n_codewords": 16, "lr": 3e-3, "start_codebook": True, "seed": 0}
RECIPE: dict[str, Any] = {**SETTINGS, "crop_px": 32, "patches_per_slide": 4, "batch_size": 4, "n_steps": 3}


class Stripes(lightning.LightningDataModule):
    """The same 16 patches in every epoch: stripes of one of four colours."""

    def train_dataloader(self) -> DataLoader[Patch]:
        colours = torch.rand((4, 3), generator=torch.Generator().manual_seed(0))
        picture = torch.zeros(16, 1, 3, 32, 32)
        for row in range(16):
            picture[row, 0] = colours[row % 4][:, None, None]
            picture[row, 0, :, :, 16 * (row % 2) :] *= 0.3
        return DataLoader([Patch(row, picture[row]) for row in range(16)], batch_size=8)  # type: ignore[arg-type]


def trained(n_steps: int, **changed: Any) -> tuple[VqVae, dict[str, float]]:
    lightning.seed_everything(0, verbose=False)
    model = VqVae(**{**SETTINGS, **changed})
    quiet: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = lightning.Trainer(
        max_steps=n_steps, max_epochs=-1, accelerator="cpu", enable_model_summary=False, **quiet
    )
    trainer.fit(model, Stripes())
    return model, {name: float(value) for name, value in trainer.callback_metrics.items()}


def test_patches_are_rebuilt_better_after_training() -> None:
    _, first = trained(2)
    _, later = trained(60)
    assert later["train/pixel_loss"] < 0.5 * first["train/pixel_loss"]


def test_a_codebook_started_from_data_uses_more_codewords() -> None:
    started, from_zero = (trained(2, start_codebook=start)[1]["train/codewords_used"] for start in (True, False))
    assert started > from_zero


def test_the_same_seed_gives_the_same_weights() -> None:
    first, second = trained(3)[0].state_dict(), trained(3)[0].state_dict()
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_a_recipe_writes_weights_under_the_official_names(tmp_path: Path) -> None:
    path = tmp_path / "vqvae.ckpt"
    recipe = VqVaeRecipe(**RECIPE)
    data = recipe.data(cohort_of(tmp_path), CentredGrid(SIDE_PX, 0.5, official_level0=False))
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    recipe.train(data, path)
    assert torch.equal(torch.rand(1), expected), "the caller's random numbers were used up"
    assert set(read_state(path)) == set(VqVae(**SETTINGS).state_dict())
    assert torch.load(path, weights_only=True)["hyper_parameters"] == SETTINGS


@pytest.mark.parametrize("wrong", [{"crop_px": 40}, {"n_steps": 0}, {"n_codewords": 0}])
def test_recipes_out_of_range_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        VqVaeRecipe(**{**RECIPE, **wrong})


def test_codewords_are_drawn_from_the_first_batch_alone() -> None:
    model = VqVae(**SETTINGS)
    pixels = 2 * next(iter(Stripes().train_dataloader())).views.flatten(0, 1) - 1
    model._draw_codewords(pixels)
    places = model.encoder(pixels).movedim(1, -1).flatten(0, -2)
    nearest = torch.cdist(model.codebook.embedding.weight, places).min(1).values
    assert np.allclose(nearest.detach(), 0, atol=1e-3)
