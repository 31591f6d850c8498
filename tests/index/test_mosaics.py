from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_info, threadpool_limits

from src.data.patch_colours import histograms_of, mean_rgb
from src.errors import ConfigError, FeatureFileError
from src.index.mosaics.hshr import Hshr
from src.index.mosaics.kmeans import kmeans
from src.index.mosaics.retccl import Retccl
from src.index.mosaics.sish import Sish, share_or_all
from src.index.mosaics.spread import nearest_untaken, share_of, spread_patches
from src.index.mosaics.standing import standing_for
from src.index.mosaics.yottixel import Yottixel
from src.interfaces import Mosaic, SlideFeatures, SummaryMosaic
from tests.index.databases import plain_colours

MOSAICS: dict[str, Mosaic] = {
    "yottixel": Yottixel(9, 20.0, "mean", n_init=2, seed=0),
    "yottixel by histogram": Yottixel(9, 20.0, "histogram", n_init=2, seed=0),
    "sish": Sish(9, 5.0, 235, 0.9, n_init=2, seed=0),
    "retccl": Retccl(9, 20.0, n_init=2, seed=0),
    "hshr": Hshr(9, official_centres=True, n_init=2, seed=0),
}
every_mosaic = pytest.mark.parametrize("name", sorted(MOSAICS))


def slide_of(n_patches: int, seed: int = 0, side: int = 20) -> SlideFeatures:
    """Patches of random places on a square grid, colours and features."""
    rng = np.random.default_rng(seed)
    places = np.sort(rng.choice(side * side, n_patches, replace=False))
    coords = np.stack([places // side, places % side], axis=1).astype(np.int64) * 256
    features = rng.normal(size=(n_patches, 16)).astype(np.float32)
    return SlideFeatures("s", coords, features, (256, 256), 0.5, plain_colours(n_patches, seed, highest=230))


@every_mosaic
@settings(deadline=None, max_examples=15)
@given(n_patches=st.integers(1, 120), seed=st.integers(0, 10**6))
def test_a_mosaic_is_some_patches_of_the_slide_each_once_ascending(name: str, n_patches: int, seed: int) -> None:
    rows = MOSAICS[name].select(slide_of(n_patches, seed))
    assert 1 <= len(rows) <= n_patches
    assert (np.diff(rows) > 0).all()
    assert rows.min() >= 0
    assert rows.max() < n_patches


@every_mosaic
def test_a_slide_of_few_patches_keeps_all(name: str) -> None:
    assert MOSAICS[name].select(slide_of(7)).tolist() == list(range(7))


def test_every_colour_keeps_its_share() -> None:
    slide = slide_of(300)
    colours = slide.colours
    assert colours is not None
    labels = kmeans(mean_rgb(colours), 9, n_init=2, seed=0).labels
    kept = labels[MOSAICS["yottixel"].select(slide)]
    sizes = np.bincount(labels)
    assert np.bincount(kept).tolist() == [share_of(int(size), 20.0) for size in sizes]


def test_kept_patches_are_spread_over_the_slide() -> None:
    coords = np.array([[0, 0], [1, 0], [0, 1], [90, 90], [91, 90], [90, 91], [0, 90], [1, 90]])
    rows = spread_patches(coords, np.zeros(8, np.int64), lambda _: 3, n_init=5, seed=0)
    assert [{0: "a", 1: "a", 2: "a", 3: "b", 4: "b", 5: "b"}.get(row, "c") for row in rows.tolist()] == ["a", "b", "c"]


def test_two_centres_never_share_a_patch() -> None:
    points, centres = np.array([[0, 0], [10, 0], [30, 0]]), np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 0.0]])
    assert nearest_untaken(points, centres).tolist() == [0, 1, 2]


def test_patches_of_one_colour_and_look_are_still_spread() -> None:
    slide = replace(slide_of(50), colours=np.tile(plain_colours(1), (50, 1, 1)), features=np.ones((50, 4), np.float32))
    assert {name: len(mosaic.select(slide)) for name, mosaic in MOSAICS.items()} == {
        "yottixel": 10,
        "yottixel by histogram": 10,
        "sish": 2,
        "retccl": 10,
        "hshr": 1,
    }


def test_hshr_gives_the_mean_of_each_cluster_or_the_patch_nearest_to_it() -> None:
    slide = slide_of(120)
    mosaic = Hshr(9, official_centres=True, n_init=2, seed=0)
    rows, centres = mosaic.summarise(slide)
    labels = kmeans(slide.features, 9, n_init=2, seed=0).labels
    assert labels[rows].tolist() == list(dict.fromkeys(labels[rows]))  # one of each cluster
    for row, centre in zip(rows, centres, strict=True):
        members = np.flatnonzero(labels == labels[row])
        np.testing.assert_allclose(centre, slide.features[members].mean(axis=0), atol=1e-5)
        distances = np.linalg.norm(slide.features[members] - centre, axis=1)
        assert row == members[distances.argmin()]
    of_patches = replace(mosaic, official_centres=False).summarise(slide)
    np.testing.assert_array_equal(of_patches[0], rows)
    np.testing.assert_array_equal(of_patches[1], slide.features[rows])


def test_what_stands_for_a_slide_are_the_features_of_patches_or_the_vectors_of_a_summary() -> None:
    slide = slide_of(60)
    rows, features = standing_for(MOSAICS["retccl"], slide)
    np.testing.assert_array_equal(features, slide.features[rows])
    mosaic = MOSAICS["hshr"]
    assert isinstance(mosaic, SummaryMosaic)
    np.testing.assert_array_equal(standing_for(mosaic, slide)[1], mosaic.summarise(slide)[1])


@every_mosaic
def test_the_seed_reaches_k_means_and_the_threads_do_not(name: str) -> None:
    mosaic: Any = MOSAICS[name]
    slide = slide_of(300)
    with threadpool_limits(4):
        np.testing.assert_array_equal(mosaic.select(slide), mosaic.select(slide))
        four_threads = mosaic.select(slide)
    np.testing.assert_array_equal(mosaic.select(slide), four_threads)
    others = [replace(mosaic, seed=seed).select(slide).tolist() for seed in range(1, 4)]
    assert any(other != four_threads.tolist() for other in others)


def test_k_means_runs_on_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    n_threads: list[int] = []
    fit = KMeans.fit

    def watched(model: KMeans, *arguments: object) -> KMeans:
        n_threads.extend(pool["num_threads"] for pool in threadpool_info())
        return fit(model, *arguments)

    monkeypatch.setattr(KMeans, "fit", watched)
    with threadpool_limits(4):
        kmeans(np.eye(4), 2, n_init=1, seed=0)
    assert set(n_threads) == {1}


def test_white_patches_are_no_part_of_sish_mosaics() -> None:
    slide = slide_of(60)
    colours = plain_colours(60, highest=235)
    colours[::3] = plain_colours(20, lowest=236)
    rows = MOSAICS["sish"].select(replace(slide, colours=colours))
    assert not set(rows.tolist()) & set(range(0, 60, 3))


def test_a_slide_that_is_all_white_keeps_patches_in_sish() -> None:
    assert len(MOSAICS["sish"].select(replace(slide_of(7), colours=plain_colours(7, lowest=236)))) == 7


@pytest.mark.parametrize("name", ["yottixel", "yottixel by histogram", "sish"])
def test_a_slide_without_colours_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(FeatureFileError, match=r"^s: its feature file holds no patch colours.*mosaic=retccl[^\n]*$"):
        MOSAICS[name].select(replace(slide_of(5), colours=None))


@pytest.mark.parametrize("name", ["yottixel", "sish", "retccl"])
@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"percent": 0.0}, "percent is 0"),
        ({"percent": 101.0}, "percent is 101"),
        ({"n_clusters": 0}, "n_clusters is 0"),
    ],
)
def test_settings_that_cannot_work_are_refused(name: str, setting: dict[str, float], message: str) -> None:
    mosaic: Any = MOSAICS[name]
    with pytest.raises(ConfigError, match=f"mosaic {name}: {message}"):
        replace(mosaic, **setting)


@pytest.mark.parametrize("setting", ["n_clusters", "n_init"])
def test_no_cluster_is_refused_of_hshr(setting: str) -> None:
    with pytest.raises(ConfigError, match=f"mosaic hshr: .*{setting} (is )?0"):
        mosaic: Any = Hshr(20, official_centres=True, n_init=1, seed=0)
        replace(mosaic, **{setting: 0})


def test_an_unknown_colour_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="colour is 'hue', expected one of mean, histogram"):
        Yottixel(9, 5.0, "hue", n_init=1, seed=0)


def _same_sklearn(version: str) -> None:
    if version != sklearn.__version__:
        pytest.skip(f"k-means of scikit-learn {version} was recorded, {sklearn.__version__} is installed")


def _recorded(golden_dir: Path, name: str) -> dict[str, np.ndarray]:
    with np.load(golden_dir / f"{name}.npz", allow_pickle=False) as file:
        return dict(file)


yottixel_recordings = pytest.mark.parametrize("name", [f"g7b_yottixel_mosaic_{part}" for part in "abc"])


@pytest.mark.golden
@yottixel_recordings
def test_yottixel_takes_the_recorded_patches_of_recorded_centres(golden_dir: Path, name: str) -> None:
    recorded = _recorded(golden_dir, name)
    selected = np.flatnonzero(recorded["coverage"] >= recorded["tissue_threshold"])
    np.testing.assert_array_equal(selected, recorded["selected"])
    places, taken = recorded["wsi_loc_hw"][selected], []
    for label in range(recorded["color_label"].max() + 1):
        rows = np.flatnonzero(recorded["color_label"] == label)
        centres = recorded["centers_hw"][recorded["center_cluster"] == label]
        assert share_of(len(rows), float(recorded["percentage"])) == len(centres)
        taken += selected[rows[nearest_untaken(places[rows], centres)]].tolist()
    assert taken == recorded["mosaic_patch"].tolist()


@pytest.mark.golden
@yottixel_recordings
def test_yottixel_clusters_as_recorded(golden_dir: Path, name: str) -> None:
    recorded = _recorded(golden_dir, name)
    _same_sklearn(str(recorded["sklearn"]))
    selected = recorded["selected"]
    labels = kmeans(recorded["rgb_mean"][selected], 9, n_init=1, seed=724).labels
    np.testing.assert_array_equal(labels, recorded["color_label"])
    share = float(recorded["percentage"])
    rows = spread_patches(recorded["wsi_loc_hw"][selected], labels, lambda n: share_of(n, share), n_init=1, seed=724)
    assert selected[rows].tolist() == sorted(recorded["mosaic_patch"].tolist())


@pytest.mark.golden
def test_retccl_takes_the_recorded_patches(golden_dir: Path) -> None:
    recorded = _recorded(golden_dir, "g7d_retccl_mosaic")
    _same_sklearn(str(recorded["sklearn"]))
    taken = []
    for slide in np.unique(recorded["slide"]):
        rows = np.flatnonzero(recorded["slide"] == slide)
        features = SlideFeatures("s", recorded["coord_xy"][rows], recorded["feature"][rows], (1024, 1024), 0.5)
        np.testing.assert_array_equal(kmeans(features.features, 9, 10, 0).labels, recorded["cluster"][rows])
        taken += rows[Retccl(9, 20.0, n_init=10, seed=0).select(features)].tolist()
    assert sorted(taken) == sorted(recorded["mosaic_row"].tolist())


@pytest.mark.golden
def test_sish_clusters_as_recorded_and_takes_the_patches_nearest_to_the_recorded_centres(golden_dir: Path) -> None:
    recorded = _recorded(golden_dir, "g7c_sish_mosaic")
    _same_sklearn(str(recorded["versions"][0]))
    slide = _sish_slide(recorded)
    clean, colour = np.flatnonzero(recorded["nonwhite"]), recorded["color_label"]
    np.testing.assert_array_equal(kmeans(recorded["rgb_hist"], 9, n_init=1, seed=0).labels, colour)
    assert [share_or_all(int(n), 5.0) for n in np.bincount(colour)] == recorded["clusters_per_color"].tolist()
    centres_of = np.split(recorded["centers_float"], np.cumsum(recorded["clusters_per_color"])[:-1])
    expected = []
    for label, centres in enumerate(centres_of):
        rows = clean[colour == label]
        found = kmeans(slide.coords[rows], len(centres), n_init=1, seed=0).centres
        np.testing.assert_allclose(found, centres)
        expected += rows[nearest_untaken(slide.coords[rows], centres)].tolist()
    np.testing.assert_array_equal(recorded["centers_float"].astype(np.int64), recorded["mosaic_xy"])
    assert Sish(9, 5.0, 235, 0.9, n_init=1, seed=0).select(slide).tolist() == sorted(expected)


def _sish_slide(recorded: dict[str, np.ndarray]) -> SlideFeatures:
    """The recorded image as a slide; Pillow's bicubic is the official resize."""
    image, size = PIL.Image.fromarray(recorded["image"]), int(recorded["patch_size"])
    coords = recorded["coords_xy"]
    small = [image.crop((x, y, x + size, y + size)).resize((256, 256)) for x, y in coords.tolist()]
    colours = np.stack([histograms_of(np.asarray(patch)) for patch in small])
    return SlideFeatures("s", coords, np.zeros((len(coords), 1), np.float32), (size, size), 0.5, colours)
