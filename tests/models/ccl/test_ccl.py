"""CCL on pictures of two colours and a tiny network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pytest
import torch
import torchvision
from torch.nn.functional import normalize

from src.data.patching import CentredGrid
from src.errors import ConfigError
from src.models.ccl.losses import group_info_nce, groups_of, weighted_info_nce
from src.models.ccl.memory import MemoryBank
from src.models.ccl.module import Ccl
from src.models.ccl.views import RandomLooks
from src.models.encoders.timm_network import TimmNetwork
from src.models.patch_data import Patch, PatchDataModule
from tests.models.test_patch_data import SIDE_PX, cohort_of

SETTINGS: dict[str, Any] = {
    **{"backbone": "resnet10t", "dim": 8, "memory_size": 24, "memory_groups": 4, "alike_weight": 0.5},
    **{"key_momentum": 0.9, "temperature": 0.2, "groups": 3, "group_iterations": 3, "group_temperature": 0.4},
    **{"group_weight": 0.25, "official_group_labels": False, "lr": 0.05, "momentum": 0.9, "weight_decay": 1e-4},
}
VIEW: dict[str, Any] = {
    **{"size_px": 32, "n_views": 3, "min_area": 0.5, "colour": 0.2, "hue": 0.05},
    **{"p_colour": 0.5, "p_grey": 0.0, "p_blur": 0.2},
}


def unit(seed: int, n: int, dim: int = 8) -> torch.Tensor:
    return normalize(torch.randn(n, dim, generator=torch.Generator().manual_seed(seed)), dim=1)


def data_of(folder: Path, **changed: Any) -> PatchDataModule:
    settings = {"patches_per_slide": 6, "batch_size": 6, "val_fraction": 0.2, "seed": 0, **changed}
    grid = CentredGrid(SIDE_PX, 0.5, official_level0=False)
    return PatchDataModule(cohort_of(folder), grid, RandomLooks(**VIEW), **settings)


def trained(
    folder: Path, n_epochs: int, checkpoint: Path | None = None, callbacks: tuple[lightning.Callback, ...] = ()
) -> tuple[Ccl, lightning.Trainer]:
    lightning.seed_everything(0, verbose=False)
    model = Ccl(**SETTINGS)
    quiet: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    exact: dict[str, Any] = {"accelerator": "cpu", "deterministic": True, "enable_checkpointing": False}
    trainer = lightning.Trainer(max_epochs=n_epochs, callbacks=list(callbacks), **exact, **quiet)
    trainer.fit(model, data_of(folder), ckpt_path=checkpoint, weights_only=True)
    return model, trainer


class Half(lightning.Callback):
    """Writes half.ckpt after two epochs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if trainer.current_epoch == 1:
            trainer.save_checkpoint(self.folder / "half.ckpt")


def test_the_loss_falls_and_keys_are_found_better(tmp_path: Path) -> None:
    _, first = trained(tmp_path, 1)
    _, later = trained(tmp_path, 8)
    assert later.callback_metrics["train/instance_loss"] < 0.9 * first.callback_metrics["train/instance_loss"]


def test_a_training_that_was_stopped_goes_on_exactly(tmp_path: Path) -> None:
    whole, _ = trained(tmp_path, 4, callbacks=(Half(tmp_path),))
    resumed, _ = trained(tmp_path, 4, tmp_path / "half.ckpt")
    states = whole.state_dict(), resumed.state_dict()
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_the_weights_are_those_of_the_encoder_and_load_strictly(tmp_path: Path) -> None:
    model, _ = trained(tmp_path, 1)
    torch.save({"state_dict": model.encoder_state()}, tmp_path / "encoder.pth")
    network = TimmNetwork("resnet10t", "pooled")
    loaded = network.load(tmp_path / "encoder.pth").eval()
    images = torch.rand(2, 3, 32, 32)
    expected = model.query_network.backbone.eval()(images)
    torch.testing.assert_close(network.features(loaded, images), expected)


def test_resnet50_has_the_key_names_of_the_official_checkpoint() -> None:
    with torch.device("meta"):
        official = torchvision.models.resnet50(weights=None).state_dict()
        ours = TimmNetwork("resnet50", "pooled").build().state_dict()
    assert set(ours) == {name for name in official if not name.startswith("fc.")}


def test_keys_follow_the_queries_slowly(tmp_path: Path) -> None:
    model, _ = trained(tmp_path, 1)
    lightning.seed_everything(0, verbose=False)
    networks = model.key_network, model.query_network, Ccl(**SETTINGS).query_network
    mine, theirs, start = (next(iter(network.parameters())) for network in networks)
    assert 0 < (mine - start).norm() < (theirs - start).norm()
    assert not mine.requires_grad


def test_the_memory_is_bounded_and_forgets_the_oldest() -> None:
    torch.manual_seed(0)
    memory = MemoryBank(10, 8, 3)
    batches = [unit(seed, 4) for seed in range(4)]
    for batch in batches:
        memory.add(batch)
    assert memory.keys.shape == (10, 8)
    kept = torch.cat(batches)[-10:]
    assert (memory.keys @ kept.T).max(0).values.tolist() == pytest.approx([1.0] * 10)
    assert (memory.keys @ batches[0].T).max() < 0.999


def test_a_batch_larger_than_the_memory_leaves_its_last_keys() -> None:
    memory = MemoryBank(3, 8, 2)
    batch = unit(0, 5)
    memory.add(batch)
    assert (memory.keys @ batch[-3:].T).max(0).values.tolist() == pytest.approx([1.0] * 3)


def test_groups_of_the_memory_find_directions() -> None:
    torch.manual_seed(0)
    memory = MemoryBank(40, 8, 4)
    directions = unit(0, 2)
    for seed in range(20):
        memory.add(normalize(directions.repeat(4, 1) + 0.05 * unit(seed, 8), dim=1))
    one, other = memory.group_of(directions).tolist()
    assert one != other
    nearest = (memory.keys @ directions.T).argmax(1)
    for direction, group in enumerate((one, other)):
        assert set(memory.groups()[nearest == direction].tolist()) & {one, other} <= {group}


def test_the_instance_loss_is_its_formula_and_mocos_where_no_key_is_alike() -> None:
    queries, keys, negatives = unit(1, 3), unit(2, 3), unit(3, 5)
    is_alike = torch.rand(3, 5, generator=torch.Generator().manual_seed(4)) < 0.5
    loss = weighted_info_nce(queries, keys, negatives, is_alike, 0.3, 0.1)
    expected = 0.0
    for q, k, alike in zip(queries, keys, is_alike, strict=True):
        positive = torch.exp(q @ k / 0.1)
        others = torch.exp(torch.where(alike, 0.3, 1.0) * (negatives @ q) / 0.1).sum()
        expected -= float(torch.log(positive / (positive + others))) / 3
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    moco = weighted_info_nce(queries, keys, negatives, torch.zeros_like(is_alike), 0.3, 0.1)
    assert torch.equal(moco, weighted_info_nce(queries, keys, negatives, is_alike, 1.0, 0.1))


def test_alike_keys_are_pushed_away_less() -> None:
    query = unit(1, 1).requires_grad_()
    negative = unit(1, 1)
    pushes = []
    for weight in (1.0, 0.2):
        loss = weighted_info_nce(query, unit(2, 1), negative, torch.ones(1, 1, dtype=torch.bool), weight, 1.0)
        (gradient,) = torch.autograd.grad(loss, query)
        pushes.append(float(gradient @ negative.T))
    assert pushes[1] < pushes[0]


def test_groups_of_a_batch_are_those_of_k_means() -> None:
    directions = unit(0, 3)
    vectors = normalize(directions.repeat(5, 1) + 0.1 * unit(1, 15), dim=1)
    groups = groups_of(vectors, 3, 5)
    assert groups.labels.tolist() == [0, 1, 2] * 5
    assert groups.centroids.norm(dim=1).tolist() == pytest.approx([1.0] * 3)
    assert len(groups_of(vectors[:2], 100, 5).centroids) == 2


@pytest.mark.parametrize("official", [False, True])
def test_the_group_loss_takes_its_label_from_the_centroid_or_from_the_other_look(official: bool) -> None:
    other = groups_of(unit(0, 6), 3, 4)
    vectors = unit(5, 6)
    scores = vectors @ other.centroids.T / 0.4
    labels = other.labels if official else scores.argmax(1)
    expected = -torch.log_softmax(scores, 1)[torch.arange(6), labels].mean()
    assert float(group_info_nce(vectors, other, 0.4, official)) == pytest.approx(float(expected), rel=1e-5)


def test_looks_differ_follow_from_the_seed_and_stay_colours() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 56, 3)).astype(np.uint8)
    looks, again, others = (RandomLooks(**VIEW)(image, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert looks.shape == (3, 3, 32, 32)
    assert torch.equal(looks, again)
    assert not torch.equal(looks, others)
    assert not torch.equal(looks[0], looks[1])
    assert looks.min() >= 0
    assert looks.max() <= 1


def test_grey_looks_have_no_colour() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    looks = RandomLooks(**{**VIEW, "p_grey": 1.0})(image, np.random.default_rng(0))
    assert torch.equal(looks[:, 0], looks[:, 1])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"alike_weight": 1.5}, "alike_weight is 1.5"),
        ({"key_momentum": 1.0}, "key_momentum 1.0"),
        ({"groups": 0}, "groups is 0"),
        ({"memory_groups": 30}, "memory_groups is 30, expected 1 to memory_size = 24"),
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Ccl(**{**SETTINGS, **wrong})


def test_another_number_of_views_is_refused() -> None:
    with pytest.raises(ConfigError, match="takes 3 views of a patch, got 1"):
        Ccl(**SETTINGS).training_step(Patch(torch.zeros(2), torch.rand(2, 1, 3, 32, 32)), 0)
