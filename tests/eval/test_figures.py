from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
import PIL.Image
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from scipy.spatial.distance import pdist

from src.eval import figures

HOSTILE = "$\\frac{<b> & a name far longer than any axis has room for"

FIGURES: dict[str, Callable[[], Figure]] = {
    "bars": lambda: figures.per_class_bars("top1", {HOSTILE: 0.5, "B": 0.0}, {"B": (0.0, 0.2)}),
    "confusion": lambda: figures.confusion_matrix(np.array([[3, 1], [0, 0]]), [HOSTILE, "B"]),
    "precision": lambda: figures.precision_at_rank({HOSTILE: np.array([1.0, 0.5]), "B": np.array([0.2])}, 0.1),
    "boxes": lambda: figures.boxes_per_engine("mAP@5", {HOSTILE: np.array([0.1, 0.5]), "B": np.array([0.2])}),
    "indexes": lambda: figures.accuracy_time_and_size(
        "mAP@5",
        {HOSTILE: np.array([0.1, 0.5]), "B": np.array([0.2])},
        {HOSTILE: (1.0, 2.0), "B": (3.0, 9.0)},
        {HOSTILE: 8.0, "B": 1e4},
    ),
    "speed": lambda: figures.speed_against_accuracy("mAP@5", {HOSTILE: (3.0, 0.5), "B": (300.0, 0.6)}),
    "speed of none": lambda: figures.speed_against_accuracy("mAP@5", {}),
    "cost": lambda: figures.accuracy_against_cost(
        "mAP@5",
        {HOSTILE: np.array([0.1, 0.9]), "B": np.array([0.5]), "C": np.array([0.4])},
        {HOSTILE: 3.0, "B": 300.0, "C": None},
    ),
    "map": lambda: figures.embedding_map(np.random.default_rng(0).normal(size=(6, 4)), [HOSTILE] * 3 + ["B"] * 3),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figure_is_saved_as_a_readable_png(name: str, tmp_path: Path) -> None:
    figures.save(FIGURES[name](), tmp_path / "figure.png")
    with PIL.Image.open(tmp_path / "figure.png") as image:
        assert image.format == "PNG"
        assert np.asarray(image.convert("L")).std() > 5
    assert [file.name for file in tmp_path.iterdir()] == ["figure.png"]


def test_drawing_leaves_the_global_style_alone() -> None:
    before = dict(mpl.rcParams)
    for draw in FIGURES.values():
        draw()
    assert dict(mpl.rcParams) == before


def test_bars_have_the_given_lengths() -> None:
    axes = figures.per_class_bars("top1", {"A": 0.25, "B": 0.75}).axes[0]
    assert [round(bar.get_width(), 3) for bar in axes.containers[0]] == [0.25, 0.75]


def test_confusion_shades_are_shares_of_the_row_and_texts_are_counts() -> None:
    axes = figures.confusion_matrix(np.array([[3, 1], [0, 0]]), ["A", "B"]).axes[0]
    assert np.ravel(np.asarray(axes.collections[0].get_array())).tolist() == [0.75, 0.25, 0, 0]
    assert [text.get_text() for text in axes.texts] == ["3", "1"]


def test_map_keeps_the_distances_of_points_in_a_plane() -> None:
    plane = np.random.default_rng(0).normal(size=(8, 2))
    axes = figures.embedding_map(plane @ np.array([[0.6, 0.8, 0.0], [0.0, 0.0, 1.0]]), ["A"] * 8).axes[0]
    shown = np.asarray(axes.collections[0].get_offsets())
    np.testing.assert_allclose(pdist(shown), pdist(plane), atol=1e-9)


def test_map_names_21_labels_and_calls_the_rest_other() -> None:
    features = np.random.default_rng(0).normal(size=(60, 4))
    legend = figures.embedding_map(features, [f"label {row % 25}" for row in range(60)]).axes[0].get_legend()
    assert legend is not None
    names = [text.get_text() for text in legend.get_texts()]
    assert len(names) == 22
    assert names[-1] == "other"


@pytest.mark.parametrize(("shape", "n_labels"), [((2, 4), 2), ((5, 1), 5), ((5, 4), 4)])
def test_map_of_too_little_is_refused(shape: tuple[int, int], n_labels: int) -> None:
    with pytest.raises(ValueError, match="give at least 3 slides, 2 features and one label per slide"):
        figures.embedding_map(np.zeros(shape), ["A"] * n_labels)


def test_labels_of_near_engines_do_not_overlap() -> None:
    points = {"here": (12.0, 0.610), "patch_flat": (11.5, 0.612), "sish": (12.5, 0.606), "yottixel": (300.0, 0.4)}
    figure = figures.speed_against_accuracy("mAP@5", points)
    figure.draw_without_rendering()
    labels = [text for text in figure.axes[0].texts if isinstance(text, Annotation) and text.get_text()]
    boxes = [label.get_window_extent() for label in labels]
    assert len(boxes) == 4
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_labels_of_a_crowd_are_left_out_rather_than_written_over_each_other() -> None:
    points = {f"hnsw_ivfpq_nlist{place}": (1.0 + place / 1000, 0.5) for place in range(40)}
    figure = figures.speed_against_accuracy("mAP@5", points)
    figure.draw_without_rendering()
    labels = [text for text in figure.axes[0].texts if isinstance(text, Annotation) and text.get_text()]
    boxes = [label.get_window_extent() for label in labels]
    assert 4 < len(boxes) < 40
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert len(np.asarray(figure.axes[0].collections[0].get_offsets())) == 40
