from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest

from src.data.patch_colours import bright_fraction, colours_of, histograms_of, mean_rgb, rgb_histogram
from tests.data.make_slides import noise


def test_counts_are_those_of_numpy_histograms() -> None:
    image = noise(40, 30)
    expected = [np.histogram(image[..., channel], bins=256, range=(0, 256))[0] for channel in range(3)]
    np.testing.assert_array_equal(histograms_of(image)[:3], expected)
    assert histograms_of(image)[3].sum() == 40 * 30


def test_mean_is_that_of_the_pixels() -> None:
    image = noise(64, 64)
    np.testing.assert_allclose(mean_rgb(histograms_of(image)[None])[0], image.mean(axis=(0, 1)) / 255)


@pytest.mark.parametrize(("mpp", "n_pixels"), [(0.5, 64 * 32), (0.25, 32 * 16), (2.0, 256 * 128), (4.0, 256 * 128)])
def test_a_patch_is_counted_at_5x(mpp: float, n_pixels: int) -> None:
    assert colours_of(noise(256, 128), mpp).sum(axis=1).tolist() == [n_pixels] * 4


def test_a_large_patch_is_counted_at_256_pixels_and_one_colour_everywhere_fits() -> None:
    colours = colours_of(np.full((2048, 2048, 3), 200, np.uint8), 2.0)
    assert colours.max(axis=1).tolist() == [65535] * 4
    np.testing.assert_allclose(mean_rgb(colours[None]), 200 / 255)


def test_the_mean_hardly_depends_on_the_resolution_that_is_read() -> None:
    fine = cv2.GaussianBlur(noise(512, 512), (0, 0), 4)
    coarse = cv2.resize(fine, (256, 256), interpolation=cv2.INTER_AREA)
    means = [mean_rgb(colours_of(patch, mpp)[None]) for patch, mpp in ((fine, 0.25), (coarse, 0.5))]
    np.testing.assert_allclose(means[0], means[1], atol=0.5 / 255)


@pytest.mark.golden
def test_sish_counts_the_same_and_finds_the_same_patches_white(golden_dir: Path) -> None:
    recorded = np.load(golden_dir / "g7c_sish_mosaic.npz", allow_pickle=False)
    image, size = PIL.Image.fromarray(recorded["image"]), int(recorded["patch_size"])
    corners = recorded["coords_xy"].tolist()
    # Pillow's bicubic is the official resize.
    small = [image.crop((x, y, x + size, y + size)).resize((256, 256)) for x, y in corners]
    colours = np.stack([histograms_of(np.asarray(patch)) for patch in small])
    is_kept = bright_fraction(colours, above=235) <= 0.9
    np.testing.assert_array_equal(is_kept, recorded["nonwhite"])
    np.testing.assert_array_equal(rgb_histogram(colours[is_kept]), recorded["rgb_hist"])
