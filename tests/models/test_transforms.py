import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms as reference

from src.errors import ConfigError
from src.models.transforms import Aspect, ImageTransform, Interpolation

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def patch(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), dtype=np.uint8)


def transform(
    resize_px: int | list[int] | None, crop_px: int | None = None, aspect: Aspect = "squash"
) -> ImageTransform:
    return ImageTransform(resize_px, crop_px, "bicubic", aspect, MEAN, STD)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("shape", [(256, 256), (200, 300), (301, 97)])
def test_crop_equals_torchvisions_resize_crop_and_normalise(
    interpolation: Interpolation, shape: tuple[int, int]
) -> None:
    image = patch(*shape)
    mode = reference.InterpolationMode(interpolation)
    steps = [
        reference.Resize(256, mode),
        reference.CenterCrop(224),
        reference.ToTensor(),
        reference.Normalize(MEAN, STD),
    ]
    expected = reference.Compose(steps)(Image.fromarray(image))
    torch.testing.assert_close(ImageTransform(256, 224, interpolation, "crop", MEAN, STD)(image), expected)


def test_squash_equals_crop_on_square_patches() -> None:
    image = patch(256, 256)
    torch.testing.assert_close(transform(224, 224)(image), transform(224, 224, "crop")(image))


def test_squash_keeps_tissue_at_the_border_that_crop_cuts_off() -> None:
    image = np.full((100, 300, 3), 255, np.uint8)
    image[:, :20] = 0
    assert transform(50, 50, "squash")(image).min() < -1
    assert transform(50, 50, "crop")(image).min() > 1


def test_a_pair_is_width_then_height() -> None:
    assert transform([448, 336])(patch(768, 1020)).shape == (3, 336, 448)


def test_no_resize_keeps_the_patch_size() -> None:
    assert transform(None)(patch(30, 40)).shape == (3, 30, 40)


def test_wrong_numbers_are_refused_in_one_line() -> None:
    with pytest.raises(ConfigError, match="resize_px has 3 numbers"):
        transform([1, 2, 3])
    with pytest.raises(ConfigError, match="three numbers each"):
        ImageTransform(224, None, "bicubic", "squash", [0.5], [0.5])
