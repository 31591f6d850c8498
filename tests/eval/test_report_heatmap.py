from __future__ import annotations

import numpy as np
import pytest

from src.eval.report.heatmap import PatchScores, heat_colours, heat_map, percentiles
from tests.eval.report_data import noise


def painted(boxes: list[list[int]], scores: list[float], side_px: int = 40, downsample: float = 1.0) -> np.ndarray:
    return heat_map(noise(side_px), PatchScores(np.array(boxes), np.array(scores)), downsample)


def blended(height: float, side_px: int = 40) -> np.ndarray:
    return np.asarray(np.rint(0.6 * noise(side_px) + 0.4 * heat_colours(np.array([height]))).astype(np.uint8))


def test_patch_is_blended_with_the_colour_of_its_percentile() -> None:
    picture = painted([[0, 0, 20, 40], [20, 0, 20, 40]], [0.9, 0.1])
    assert np.array_equal(picture[:, :20], blended(1.0)[:, :20])
    assert np.array_equal(picture[:, 20:], blended(0.5)[:, 20:])


def test_overlap_has_the_mean_of_its_patches() -> None:
    picture = painted([[0, 0, 30, 40], [10, 0, 30, 40]], [3.0, 2.0])
    assert np.array_equal(picture[:, 12:28], blended(0.75)[:, 12:28])


def test_slide_between_the_patches_stays_as_it_is() -> None:
    picture = painted([[0, 0, 10, 10]], [1.0])
    assert np.array_equal(picture[10:], noise(40)[10:])
    assert np.array_equal(picture[:, 10:], noise(40)[:, 10:])


@pytest.mark.parametrize("downsample", [1.0, 2.7, 64.0])
def test_every_pixel_has_the_mean_percentile_of_the_patches_over_it(downsample: float) -> None:
    rng = np.random.default_rng(1)
    side = int(40 * downsample)
    boxes = np.stack([*rng.integers(-20, side, (2, 60)), *rng.integers(1, side // 2, (2, 60))], axis=1)
    scores = rng.normal(size=60)
    total, n = np.zeros((40, 40)), np.zeros((40, 40))
    for (x, y, width, height), percentile in zip(boxes.tolist(), percentiles(scores), strict=True):
        left, right = (int(np.clip(np.rint(edge / downsample), 0, 40)) for edge in (x, x + width))
        top, bottom = (int(np.clip(np.rint(edge / downsample), 0, 40)) for edge in (y, y + height))
        block = np.s_[top : max(bottom, top + 1), left : max(right, left + 1)]
        total[block] += percentile
        n[block] += 1
    covered = n > 0
    expected = noise(40)
    expected[covered] = np.rint(0.6 * expected[covered] + 0.4 * heat_colours(total[covered] / n[covered]))
    picture = heat_map(noise(40), PatchScores(boxes, scores), downsample)
    assert np.abs(picture.astype(int) - expected).max() <= 3  # rounding can choose the next of 256 colours


def test_patch_smaller_than_a_pixel_is_seen() -> None:
    picture = painted([[200, 300, 5, 5]], [1.0], downsample=10.0)
    assert np.argwhere((picture != noise(40)).any(axis=2)).tolist() == [[30, 20]]


def test_only_the_order_of_the_scores_counts() -> None:
    boxes = [[0, 0, 20, 20], [20, 0, 20, 20], [0, 20, 40, 20]]
    assert np.array_equal(painted(boxes, [0.1, 0.2, 0.3]), painted(boxes, [-5.0, 0.0, 1e6]))


def test_overview_is_left_as_it_was() -> None:
    overview = noise(40)
    heat_map(overview, PatchScores(np.array([[0, 0, 40, 40]]), np.array([1.0])), 1.0)
    assert np.array_equal(overview, noise(40))
