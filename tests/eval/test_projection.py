"""Features in two dimensions, and the grid of Grad-CAM++."""

from __future__ import annotations

import numpy as np
import pytest

from src.eval import projection
from src.eval.cam_figure import cam_grid, overlay
from src.eval.projection import project, projection_figure


def groups(n: int = 20) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.concatenate([rng.normal(10 * group, 1, (n, 5)) for group in range(3)]).astype(np.float32)


def test_groups_stay_together_and_the_seed_repeats_the_points() -> None:
    points, method = project(groups(), seed=1)
    assert method == "UMAP"
    assert np.array_equal(points, project(groups(), seed=1)[0])
    centres = points.reshape(3, 20, 2).mean(1)
    nearest = ((points[:, None] - centres[None]) ** 2).sum(2).argmin(1)
    assert (nearest == np.repeat([0, 1, 2], 20)).all()


def test_few_patches_or_no_umap_give_principal_components(monkeypatch: pytest.MonkeyPatch) -> None:
    assert project(groups(2))[1] == "PCA"
    monkeypatch.setattr(projection, "_umap", lambda: None)
    points, method = project(groups())
    assert (points.shape, method) == ((60, 2), "PCA")


@pytest.mark.parametrize("n_classes", [3, 24])
def test_the_legend_names_every_class_in_the_order_of_its_number(n_classes: int) -> None:
    classes = [f"s{row % n_classes}" for row in range(48)]
    figure = projection_figure(np.zeros((48, 2), np.float32), classes, "PCA", "t")
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == [f"s{number}" for number in range(n_classes)]
    colours = {str(points.get_facecolor()) for points in figure.axes[0].collections}
    assert len(colours) == n_classes


def test_points_of_one_class_are_drawn_as_they_are_marked() -> None:
    figure = projection_figure(np.zeros((4, 2), np.float32), ["a", "b"] * 2, "PCA", "t", ["o", "o", "x", "x"])
    assert len(figure.axes[0].collections) == 4
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]


def test_the_grid_has_a_picture_per_node_the_query_and_the_hit() -> None:
    picture = np.full((16, 16, 3), 100, np.uint8)
    heats = {(layer, node): np.eye(8, dtype=np.float32) for layer in (1, 2, 3) for node in ("P1_2", "all four")}
    figure = cam_grid(picture, picture, heats)
    titles = [axes.get_title(loc="left") for axes in figure.axes if axes.images]
    assert titles == [
        *("query", "layer 1, P1_2", "layer 1, all four", "hit", "layer 2, P1_2", "layer 2, all four"),
        *("layer 3, P1_2", "layer 3, all four"),
    ]


def test_heat_is_red_where_it_is_high() -> None:
    picture = np.full((8, 8, 3), 100, np.uint8)
    heat = np.zeros((8, 8), np.float32)
    heat[:, 4:] = 0.95
    tinted = overlay(picture, heat).astype(int)
    assert tinted[0, 7, 0] > tinted[0, 7, 2]
    assert tinted[0, 0, 0] < tinted[0, 7, 0]
