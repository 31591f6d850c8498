import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from src.errors import ConfigError, HistoseekError, WeightsUnavailable
from src.interfaces import Encoder
from src.models import hub
from src.models.encoders.network import NetworkEncoder
from src.models.encoders.timm_network import TimmNetwork
from src.models.transforms import ImageTransform

SMALL = {"img_size": 32, "embed_dim": 16, "depth": 1, "num_heads": 2}
NETWORK = TimmNetwork("vit_tiny_patch16_224", "cls", SMALL)
TRANSFORM = ImageTransform(32, None, "bicubic", "squash", [0.5] * 3, [0.5] * 3)


@dataclass(frozen=True)
class Mean:
    """The mean colour."""

    def load(self, path: Path) -> nn.Module:
        return nn.Linear(1, 1)

    def features(self, module: Any, images: Tensor) -> Tensor:
        return images.mean((2, 3))

    def fingerprint(self) -> dict[str, Any]:
        return {}


class Reciprocal(Mean):
    """Infinite for white."""

    def features(self, module: Any, images: Tensor) -> Tensor:
        return 1 / (1 - images.mean((2, 3)))


def patches(*shapes: tuple[int, int]) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in shapes]


def checkpoint(folder: Path, seed: int = 0) -> str:
    torch.manual_seed(seed)
    path = folder / f"{seed}.pth"
    torch.save(NETWORK.build().state_dict(), path)
    return str(path)


def encoder(path: str | None, **changes: Any) -> NetworkEncoder:
    settings: dict[str, Any] = {
        "name": "tiny",
        "dim": 16,
        "access": "open",
        "source": "hf://owner/tiny/model.pth",
        "licence": "none",
        "mpp": 0.5,
        "patch_size_px": 32,
        "network": NETWORK,
        "transform": TRANSFORM,
        "checkpoint": path,
    }
    return NetworkEncoder(**{**settings, **changes})


def test_it_is_an_encoder_and_makes_one_row_per_patch(tmp_path: Path) -> None:
    tiny = encoder(checkpoint(tmp_path))
    assert isinstance(tiny, Encoder)
    assert tiny.encode(patches((32, 32), (40, 70), (1, 1))).shape == (3, 16)


def test_no_patches_make_no_rows(tmp_path: Path) -> None:
    assert encoder(checkpoint(tmp_path)).encode([]).shape == (0, 16)


def test_nothing_is_loaded_before_it_is_needed() -> None:
    tiny = encoder("/nowhere/file.pth")
    with pytest.raises(WeightsUnavailable, match="no such file"):
        tiny.encode(patches((32, 32)))


def test_without_a_checkpoint_the_weights_come_from_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = checkpoint(tmp_path)
    monkeypatch.setattr(hub, "_cached", lambda file: None)
    monkeypatch.setattr(hub, "_answers", lambda url: True)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda repo_id, filename, repo_type: path)
    np.testing.assert_array_equal(encoder(None).encode(patches((32, 32))), encoder(path).encode(patches((32, 32))))


def test_features_do_not_depend_on_the_batch(tmp_path: Path) -> None:
    path, images = checkpoint(tmp_path), patches(*[(32, 32)] * 7)
    whole = encoder(path, batch_size=64).encode(images)
    np.testing.assert_allclose(encoder(path, batch_size=2).encode(images), whole, atol=1e-5)
    np.testing.assert_allclose(encoder(path).encode(images[::-1])[::-1], whole, atol=1e-5)


def test_patches_of_several_sizes_keep_their_order_when_nothing_resizes_them() -> None:
    images = patches((4, 4), (6, 5), (4, 4), (4, 4), (6, 5))
    mean = encoder("any", dim=3, network=Mean(), transform=replace(TRANSFORM, resize_px=None), batch_size=3)
    expected = np.stack([image.mean((0, 1)) / 255 * 2 - 1 for image in images])
    np.testing.assert_allclose(mean.encode(images), expected, atol=1e-6)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_gives_nearly_the_same_in_float32(tmp_path: Path, precision: str) -> None:
    path, images = checkpoint(tmp_path), patches((32, 32))
    half = encoder(path, precision=precision).encode(images)
    assert half.dtype == np.float32
    full = encoder(path).encode(images)
    assert 0 < np.abs(half - full).max() < 0.1


def test_another_length_than_dim_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HistoseekError, match="encoder=tiny gave 16 values per patch, its config says dim=17"):
        encoder(checkpoint(tmp_path), dim=17).encode(patches((32, 32)))


def test_nan_is_refused_and_names_the_patch() -> None:
    white, grey = np.full((8, 8, 3), 255, np.uint8), np.full((8, 8, 3), 100, np.uint8)
    reciprocal = encoder("any", dim=3, network=Reciprocal())
    assert np.isfinite(reciprocal.encode([grey, grey])).all()
    with pytest.raises(HistoseekError, match=r"encoder=tiny gave NaN or infinity for 1 patches \(first: 1\)"):
        reciprocal.encode([grey, white])


def test_the_fingerprint_names_all_that_shapes_a_feature(tmp_path: Path) -> None:
    path = checkpoint(tmp_path)
    prints = [
        encoder(path).fingerprint(),
        encoder(checkpoint(tmp_path, seed=1)).fingerprint(),
        encoder(path, transform=replace(TRANSFORM, interpolation="bilinear")).fingerprint(),
        encoder(path, network=replace(NETWORK, features_from="pooled")).fingerprint(),
        encoder(path, precision="bf16").fingerprint(),
    ]
    assert len({json.dumps(fingerprint, sort_keys=True) for fingerprint in prints}) == len(prints)
    assert encoder(path, batch_size=1, device="cpu").fingerprint() == prints[0]
    assert len(prints[0]["weights"]) == 12


def test_text_is_refused_where_there_is_none(tmp_path: Path) -> None:
    tiny = encoder(checkpoint(tmp_path))
    assert not tiny.has_text
    with pytest.raises(ConfigError, match="encoder=tiny has no text side"):
        tiny.encode_text(["tumour"])


def test_a_batch_of_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="batch_size is 0"):
        encoder(None, batch_size=0)
