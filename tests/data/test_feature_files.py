from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from src.data.feature_files import PatchGeometry, read_features, read_geometry, read_provenance, write_features
from src.errors import FeatureFileError

GEOMETRY_20X = PatchGeometry((256, 256), (256, 256), 0.5, (2048, 1024), 0.5, "file", (1.0, 4.0))
GEOMETRY_40X = PatchGeometry((512, 512), (256, 256), 0.5, (4096, 2048), 0.25, "table", (1.0, 4.0, 16.0))


def _write(path: Path, geometry: PatchGeometry = GEOMETRY_20X, dtype: str = "float32") -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    coords = rng.integers(0, 2048, (5, 2))
    features = rng.normal(size=(5, 7)).astype(np.float32)
    write_features(path, coords, features, geometry, {"key": "abc", "left_out": ""}, dtype)  # type: ignore[arg-type]
    return coords, features


def test_features_come_back_as_written(tmp_path: Path) -> None:
    coords, features = _write(tmp_path / "s.h5")
    slide = read_features(tmp_path / "s.h5", "s")
    np.testing.assert_array_equal(slide.coords, coords)
    np.testing.assert_array_equal(slide.features, features)
    assert slide.patch_size_level0 == (256, 256)
    assert slide.mpp == 0.5
    assert read_provenance(tmp_path / "s.h5")["key"] == "abc"
    assert read_geometry(tmp_path / "s.h5").size_level0 == (256, 256)


def test_half_precision_halves_the_file_and_loads_as_float32(tmp_path: Path) -> None:
    _, features = _write(tmp_path / "s.h5", dtype="float16")
    slide = read_features(tmp_path / "s.h5", "s")
    assert slide.features.dtype == np.float32
    np.testing.assert_array_equal(slide.features, features.astype(np.float16).astype(np.float32))


def test_the_same_slide_gives_the_same_bytes(tmp_path: Path) -> None:
    _write(tmp_path / "a" / "s.h5")
    _write(tmp_path / "b" / "s.h5")
    assert (tmp_path / "a" / "s.h5").read_bytes() == (tmp_path / "b" / "s.h5").read_bytes()


def test_datasets_are_contiguous(tmp_path: Path) -> None:
    _write(tmp_path / "s.h5")
    with h5py.File(tmp_path / "s.h5") as file:
        assert file["features"].chunks is None
        assert file["coords"].chunks is None


def test_trident_finds_its_attributes(tmp_path: Path) -> None:
    _write(tmp_path / "s.h5", GEOMETRY_40X)
    with h5py.File(tmp_path / "s.h5") as file:
        attributes = dict(file["coords"].attrs)
    assert attributes["patch_size"] == 256
    assert attributes["patch_size_level0"] == 512
    assert attributes["level0_magnification"] == pytest.approx(40)
    assert attributes["target_magnification"] == pytest.approx(20)
    assert (attributes["level0_width"], attributes["level0_height"], attributes["overlap"]) == (4096, 2048, 0)
    assert attributes["name"] == "s"


def test_clam_reads_the_same_pixels_where_a_level_fits(tmp_path: Path) -> None:
    _write(tmp_path / "fits.h5", PatchGeometry((1024, 1024), (256, 256), 1.0, (4096, 2048), 0.25, "file", (1.0, 4.0)))
    _write(tmp_path / "resized.h5", GEOMETRY_40X)
    with h5py.File(tmp_path / "fits.h5") as fits, h5py.File(tmp_path / "resized.h5") as resized:
        assert fits["coords"].attrs["clam_reads_these_pixels"]
        assert fits["coords"].attrs["patch_level"] == 1
        assert fits["coords"].attrs["patch_size"] == 256
        assert not resized["coords"].attrs["clam_reads_these_pixels"]


def test_no_path_of_this_machine_is_written(tmp_path: Path) -> None:
    _write(tmp_path / "s.h5")
    assert str(tmp_path).encode() not in (tmp_path / "s.h5").read_bytes()


def test_colours_come_back_as_written_and_other_readers_find_what_they_know(tmp_path: Path) -> None:
    colours = np.random.default_rng(0).integers(0, 4096, (300, 4, 256)).astype(np.uint16)
    coords, features = np.zeros((300, 2), np.int64), np.ones((300, 7), np.float32)
    write_features(tmp_path / "s.h5", coords, features, GEOMETRY_20X, {}, colours=colours)
    np.testing.assert_array_equal(read_features(tmp_path / "s.h5", "s").colours, colours)
    with h5py.File(tmp_path / "s.h5") as file:
        assert set(file) == {"coords", "features", "colours"}
        assert file["features"].chunks is None


def test_files_of_other_tools_have_no_colours(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["features"], file["coords"] = np.ones((3, 4), np.float32), np.zeros((3, 2), np.int32)
        file["colours"] = np.ones(3, np.float32)
    assert read_features(tmp_path / "s.h5", "s").colours is None


def test_clam_files_load_with_the_grid_step_as_patch_size(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file.create_dataset("features", data=np.ones((3, 4), np.float32), chunks=(1, 4), maxshape=(None, 4))
        file.create_dataset("coords", data=np.array([[0, 0], [512, 0], [0, 512]], np.int32), chunks=(1, 2))
    slide = read_features(tmp_path / "s.h5", "s")
    assert slide.features.shape == (3, 4)
    assert slide.patch_size_level0 == (512, 512)
    assert slide.mpp is None


def test_trident_files_load(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file.create_dataset("features", data=np.ones((1, 2, 4), np.float32))
        coords = file.create_dataset("coords", data=np.array([[0, 0], [483, 0]], np.int64))
        coords.attrs.update({"patch_size": 256, "patch_size_level0": 483, "level0_magnification": 40})
    slide = read_features(tmp_path / "s.h5", "s")
    assert slide.patch_size_level0 == (483, 483)
    assert slide.features.shape == (2, 4)


def test_stamp_coordinates_in_microns_become_pixels_only_with_mpp(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file.create_dataset("feats", data=np.ones((2, 4), np.float16))
        file.create_dataset("coords", data=np.array([[0.0, 0.0], [256.0, 0.0]]))
        file.attrs.update({"unit": "um", "tile_size_um": 256.0})
    slide = read_features(tmp_path / "s.h5", "s", mpp=0.25)
    assert slide.coords.tolist() == [[0, 0], [1024, 0]]
    assert slide.patch_size_level0 == (1024, 1024)
    with pytest.raises(FeatureFileError, match="microns; set the cohort table's column mpp"):
        read_features(tmp_path / "s.h5", "s")


def test_non_finite_features_are_never_written(tmp_path: Path) -> None:
    features = np.ones((2, 3), np.float32)
    features[1, 0] = 1e6
    with pytest.raises(FeatureFileError, match="1 patches are not finite in float16"):
        write_features(tmp_path / "s.h5", np.zeros((2, 2), np.int64), features, GEOMETRY_20X, {}, "float16")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["truncated", "text", "no_coords", "wrong_rows"])
def test_damaged_file_is_one_line_naming_slide_and_file(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "s.h5"
    _write(path)
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:900])
    elif damage == "text":
        path.write_text("not HDF5")
    else:
        with h5py.File(path, "a") as file:
            del file["coords"]
            if damage == "wrong_rows":
                file["coords"] = np.zeros((4, 2), np.int64)
    with pytest.raises(FeatureFileError, match=r"^s: .*s\.h5[^\n]*$"):
        read_features(path, "s")
