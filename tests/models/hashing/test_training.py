from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import lightning
import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from torch.nn import functional

from src.errors import CohortError, ConfigError
from src.interfaces import SlideFeatures
from src.models.hashing.halves import Halves, SlideHalves
from src.models.hashing.module import SlideHashing
from src.models.hashing.network import read_hash_encoder
from src.models.hashing.recipe import HashRecipe
from tests.index.databases import MemoryStore, random_database, slide_of

DIM = 12
pytestmark = pytest.mark.filterwarnings("ignore:You are trying to `self.log:UserWarning")
RECIPE = HashRecipe(
    n_bits=32, n_vectors=4, queue_size=24, key_momentum=0.9, temperature=0.1, batch_size=6, n_steps=60, lr=0.05, seed=0
)


def patches(slide: SlideFeatures) -> np.ndarray:
    return slide.features


def distinct_slides(n: int = 12) -> MemoryStore:
    """Slides that a few columns tell apart; the others are louder and say nothing."""
    rng = np.random.default_rng(0)
    spread = np.repeat([0.2, 2.0], [4, DIM - 4])
    own = np.pad(rng.normal(size=(n, 4)), ((0, 0), (0, DIM - 4)))
    return MemoryStore([slide_of(f"s{i}", own[i] + spread * rng.normal(size=(10, DIM))) for i in range(n)])


def halves(store: MemoryStore, seed: int = 0, val_fraction: float = 0.0) -> SlideHalves:
    return SlideHalves(store, patches, 4, 6, val_fraction, seed, {"features": "f"})


def vectors_of(store: MemoryStore, seed: int = 0) -> torch.Tensor:
    return halves(store, seed).slides_in("train").vectors


def module(**changes: float) -> SlideHashing:
    torch.manual_seed(0)
    settings = {"n_bits": 16, "queue_size": 8, "key_momentum": 0.9, "temperature": 0.1, "lr": 0.05, "momentum": 0.9}
    return SlideHashing(DIM, **{**settings, "weight_decay": 1e-4, "lr_decay": 0.9, "seed": 0, **changes})  # type: ignore[arg-type]


def batch(seed: int = 0, n: int = 3) -> Halves:
    generator = torch.Generator().manual_seed(seed)
    return Halves(torch.randn(n, 4, DIM, generator=generator), torch.randn(n, 4, DIM, generator=generator))


def trained(folder: Path, max_epochs: int, ckpt_path: Path | None = None, seed: int = 0) -> SlideHashing:
    lightning.seed_everything(0, verbose=False)
    model = module()
    trainer = Trainer(
        max_epochs=max_epochs,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_checkpointing=False,
        enable_model_summary=False,
    )
    trainer.fit(model, halves(distinct_slides(), seed), ckpt_path=ckpt_path, weights_only=True)
    trainer.save_checkpoint(folder / f"{max_epochs}.ckpt")
    return model


def test_halves_share_no_patch_and_hold_all_of_them() -> None:
    store = random_database(0, [8], DIM)
    vectors = vectors_of(MemoryStore([*store.slides, slide_of("other", np.ones((2, DIM)))]))[0]
    together = sorted(vectors.flatten(0, 1)[:, 0].tolist())
    assert together == pytest.approx(sorted(store.slides[0].features[:, 0].tolist()))


def test_a_half_with_few_vectors_repeats_them() -> None:
    first, _ = vectors_of(MemoryStore([slide_of("a", np.eye(4, DIM)), slide_of("b", np.ones((2, DIM)))]))[0]
    assert len(first) == 4
    assert len(np.unique(first, axis=0)) == 2


def test_slides_of_one_patch_are_left_out_and_one_slide_alone_is_refused() -> None:
    slides = random_database(0, [1, 5, 5], DIM).slides
    assert len(vectors_of(MemoryStore(slides))) == 2
    with pytest.raises(CohortError, match=r"^1 slides of two patches or more for train[^\n]*$"):
        vectors_of(MemoryStore(slides[:2]))


def test_slides_that_are_held_back_are_not_learnt_from() -> None:
    data = halves(distinct_slides(), val_fraction=0.25)
    learnt, held_back = ({float(x) for x in data.slides_in(split).vectors.flatten()} for split in ("train", "val"))
    assert len(data.slides_in("val")) == 3
    assert not learnt & held_back


def test_halves_follow_from_the_seed() -> None:
    store = distinct_slides()
    same, again, other = (vectors_of(store, seed) for seed in (0, 0, 1))
    torch.testing.assert_close(same, again, rtol=0, atol=0)
    assert not torch.equal(same, other)


def test_loss_is_that_of_finding_the_second_half_among_the_queue() -> None:
    model, some = module(), batch()
    queue = model.queue.clone()
    loss = model.training_step(some, 0)
    queries, keys = (functional.normalize(model.encoder_q(half), dim=1) for half in some)
    expected = [
        -torch.log_softmax(torch.cat([(q * k).sum()[None], queue @ q]) / 0.1, dim=0)[0]
        for q, k in zip(queries, keys, strict=True)  # at first the copy gives the same keys
    ]
    torch.testing.assert_close(loss, torch.stack(expected).mean())


def test_the_queue_keeps_the_latest_keys_and_the_copy_follows() -> None:
    model = module()
    for step in range(4):  # 12 keys for 8 places
        with torch.no_grad():
            model.encoder_q.fc.bias.add_(1.0)
        before = model.encoder_k.fc.bias.clone()
        model.training_step(batch(step), 0)
        torch.testing.assert_close(model.encoder_k.fc.bias, 0.9 * before + 0.1 * model.encoder_q.fc.bias)
    latest = functional.normalize(model.encoder_k(batch(3).second), dim=1)
    torch.testing.assert_close(model.queue[[1, 2, 3]], latest)
    assert model.queue_ptr.item() == 4


def test_a_batch_larger_than_the_queue_leaves_its_last_keys() -> None:
    model = module()
    model.training_step(batch(n=11), 0)
    latest = functional.normalize(model.encoder_k(batch(n=11).second), dim=1)[-8:]
    torch.testing.assert_close(model.queue[(torch.arange(8) + 3) % 8], latest)


def test_a_stopped_training_goes_on_exactly(tmp_path: Path) -> None:
    whole = trained(tmp_path, 4)
    trained(tmp_path, 2)
    resumed = trained(tmp_path, 4, tmp_path / "2.ckpt")
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value, rtol=0, atol=0, msg=name)


def test_other_halves_are_refused_on_resume(tmp_path: Path) -> None:
    trained(tmp_path, 1)
    with pytest.raises(ConfigError, match="trained with other slides, features or halves"):
        trained(tmp_path, 2, tmp_path / "1.ckpt", seed=1)


def test_the_recipe_learns_to_tell_slides_apart(tmp_path: Path) -> None:
    store = distinct_slides()
    data = RECIPE.data(store, patches, {})
    RECIPE.train(data, tmp_path / "trained.ckpt")
    replace(RECIPE, n_steps=1).train(data, tmp_path / "first.ckpt")
    first, learnt = (_share_found(tmp_path / f"{name}.ckpt", data) for name in ("first", "trained"))
    assert first < 0.5
    assert learnt > 0.8


def test_the_recipe_gives_the_same_weights_again_and_leaves_random_numbers_alone(tmp_path: Path) -> None:
    recipe = replace(RECIPE, n_steps=5)
    train = partial(recipe.train, recipe.data(distinct_slides(), patches, {}))
    torch.manual_seed(3)
    train(tmp_path / "a.ckpt")
    drawn = torch.rand(1)
    train(tmp_path / "b.ckpt")
    a, b = (read_hash_encoder(tmp_path / f"{name}.ckpt").state_dict() for name in "ab")
    assert all(torch.equal(a[name], b[name]) for name in a)
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.rand(1))


@pytest.mark.parametrize("setting", [{"n_bits": 0}, {"queue_size": 0}, {"key_momentum": 1.0}, {"temperature": 0.0}])
def test_settings_out_of_range_are_refused(setting: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=f"model hshr: .*{next(iter(setting))}"):
        module(**setting)


def _share_found(path: Path, data: SlideHalves) -> float:
    """Slides whose halves are most similar to each other."""
    encoder = read_hash_encoder(path)
    first, second = (functional.normalize(encoder(data.slides_in("train").vectors[:, i]), dim=1) for i in (0, 1))
    return float(((first @ second.T).argmax(1) == torch.arange(len(first))).float().mean())
