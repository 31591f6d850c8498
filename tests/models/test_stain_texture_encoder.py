import time

import numpy as np
import pytest

from src.errors import ConfigError
from src.interfaces import Encoder
from src.models.encoders.stain_texture import StainTexture


def encoder(dim: int = 234) -> StainTexture:
    return StainTexture("stain_texture", dim, "open", "computed", "Apache-2.0", 0.5, 256, 64)


def tissue(seed: int, nucleus_px: float, height: int = 256, width: int = 256) -> np.ndarray:
    """Pink with blue discs."""
    random = np.random.default_rng(seed)
    picture = np.full((height, width, 3), (225, 150, 190), np.float64) + random.normal(0, 8, (height, width, 3))
    rows, columns = np.mgrid[:height, :width]
    for y, x in random.uniform(0, 1, (int(40 * (5 / nucleus_px) ** 2), 2)) * (height, width):
        picture[np.hypot(rows - y, columns - x) < nucleus_px] = (90, 60, 140)
    return np.clip(picture, 0, 255).astype(np.uint8)


def test_it_is_an_encoder_whose_features_have_length_one() -> None:
    features = encoder().encode([tissue(0, 5), tissue(1, 5, 96, 130)])
    assert isinstance(encoder(), Encoder)
    assert features.shape == (2, 234)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (16, 16), (768, 1020)])
@pytest.mark.parametrize("value", [0, 255])
def test_any_size_and_blank_patches_give_finite_features(shape: tuple[int, int], value: int) -> None:
    assert np.isfinite(encoder().encode([np.full((*shape, 3), value, np.uint8)])).all()


def test_no_patches_make_no_rows() -> None:
    assert encoder().encode([]).shape == (0, 234)


def test_the_same_patch_gives_the_same_bytes_whatever_its_company() -> None:
    first, second = tissue(0, 5), tissue(1, 9)
    assert encoder().encode([first])[0].tobytes() == encoder().encode([second, first])[1].tobytes()


def test_turning_or_mirroring_a_patch_changes_little() -> None:
    patch = tissue(0, 5)
    turned = [np.ascontiguousarray(other) for other in (np.rot90(patch), patch[::-1], patch[:, ::-1])]
    features = encoder().encode([patch, *turned])
    assert (features[1:] @ features[0]).min() > 0.995


def test_patches_with_nuclei_of_one_size_are_nearer_than_others() -> None:
    features = encoder().encode([tissue(seed, size) for size in (4, 10) for seed in range(3)])
    scores = features @ features.T
    same = [scores[i, j] for i in range(6) for j in range(i) if i // 3 == j // 3]
    other = [scores[i, j] for i in range(3) for j in range(3, 6)]
    assert min(same) > max(other)


def test_another_dim_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"encoder\.dim is 512; stain_texture has 234 values"):
        encoder(512)


def test_a_patch_of_256_px_takes_milliseconds() -> None:
    patches = [tissue(0, 5)] * 8
    start = time.process_time()
    encoder().encode(patches)
    assert (time.process_time() - start) / len(patches) < 0.1
