from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from src.data.spatial.expression import normalise
from src.data.spatial.her2st import read_her2st
from src.data.spatial.space_ranger import read_space_ranger
from src.data.spatial.spot_patches import patch_size_level0_px, spot_patches
from src.errors import CohortError, ConfigError
from tests.data.sections import GENES, SIDE, write_her2st, write_space_ranger
from tests.eval.report_data import ArraySlide, noise


@pytest.mark.golden
def test_patch_size_is_that_of_the_official_code(golden_dir: Path) -> None:
    recorded = json.loads((golden_dir / "here_st_patch_size.json").read_text())
    assert [patch_size_level0_px(mpp) for mpp in recorded["mpp"]] == recorded["patch_size"]


@pytest.mark.parametrize("mpp", [0.0, -0.5, float("nan"), float("inf")])
def test_patch_size_needs_a_resolution(mpp: float) -> None:
    with pytest.raises(ConfigError, match="microns per pixel above 0"):
        patch_size_level0_px(mpp)


def test_her2st_spots_are_the_selected_ones_with_counts(tmp_path: Path) -> None:
    counts = write_her2st(tmp_path / "B4", pitch_px=100.0)
    section = read_her2st(tmp_path / "B4")
    assert (section.name, section.genes) == ("B4", tuple(GENES))
    assert len(section.spots) == SIDE**2 - 1
    assert section.spots[0] == "1x2"
    np.testing.assert_array_equal(section.counts.toarray(), counts[1:])
    np.testing.assert_array_equal(section.centres[0], [100, 200])
    assert section.array_mpp == pytest.approx(2.0)  # 200 um are 100 px
    assert section.spot_diameter_px == pytest.approx(50.0)


@pytest.mark.parametrize("is_version_2", [False, True])
def test_space_ranger_spots_are_those_under_tissue_and_genes_of_one_name_are_summed(
    tmp_path: Path, is_version_2: bool
) -> None:
    counts = write_space_ranger(tmp_path / "outs", column_px=100.0, is_version_2=is_version_2)
    section = read_space_ranger(tmp_path / "outs", tmp_path / "slide.tif")
    assert section.genes == tuple(GENES)
    expected = counts[:, : len(GENES)].copy()
    expected[:, 1] += counts[:, -1]
    np.testing.assert_array_equal(section.counts.toarray(), expected)
    np.testing.assert_allclose(section.centres[:2], [[0, 0], [200, 0]])
    assert section.array_mpp == pytest.approx(0.5, rel=0.02)  # two columns are 100 um


def test_spots_are_scaled_to_the_images_of_space_ranger(tmp_path: Path) -> None:
    write_space_ranger(tmp_path / "outs")
    full = read_space_ranger(tmp_path / "outs", tmp_path / "slide.tif")
    hires = read_space_ranger(tmp_path / "outs")
    assert hires.image.name == "tissue_hires_image.png"
    np.testing.assert_allclose(hires.centres, full.centres / 2)
    assert hires.array_mpp == pytest.approx(2 * full.array_mpp)


def test_files_that_are_missing_or_broken_are_one_line(tmp_path: Path) -> None:
    write_her2st(tmp_path / "B4")
    (tmp_path / "B4" / "spots.tsv").write_text("x\ty\n1\t2\n")
    write_space_ranger(tmp_path / "outs")
    (tmp_path / "outs" / "filtered_feature_bc_matrix.h5").write_bytes(b"no HDF5")
    for read, folder in ((read_her2st, "B4"), (read_her2st, "nowhere"), (read_space_ranger, "outs")):
        with pytest.raises(CohortError) as raised:
            read(tmp_path / folder)
        assert "\n" not in str(raised.value)


def test_counts_of_other_spots_than_the_places_are_refused(tmp_path: Path) -> None:
    write_her2st(tmp_path / "B4")
    header, *rows = (tmp_path / "B4" / "spots.tsv").read_text().splitlines()
    (tmp_path / "B4" / "spots.tsv").write_text("\n".join([header, *rows[-1:]]) + "\n")
    with pytest.raises(CohortError, match="no spot has both"):
        read_her2st(tmp_path / "B4")


def test_a_spot_is_the_centre_of_its_patch(tmp_path: Path) -> None:
    write_her2st(tmp_path / "B4")
    section = read_her2st(tmp_path / "B4")
    patches = spot_patches(section, ArraySlide(noise(800), mpp=2.0))
    assert (patches.size_px, patches.size_level0, patches.mpp) == ((32, 32), (32, 32), 2.0)
    np.testing.assert_array_equal(patches.coords[0], [100 - 16, 200 - 16])


def test_expression_is_log_of_shares_with_mean_zero_per_gene(tmp_path: Path) -> None:
    counts = write_her2st(tmp_path / "B4")[1:]
    expression = normalise(read_her2st(tmp_path / "B4"), min_genes=1, min_spots=1)
    logged = np.log1p(10_000 * counts / counts.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(expression.values, logged - logged.mean(axis=0))


def test_poor_spots_and_rare_genes_are_left_out(tmp_path: Path) -> None:
    write_her2st(tmp_path / "B4")
    section = read_her2st(tmp_path / "B4")
    counts = section.counts.toarray()
    expression = normalise(section, min_genes=29, min_spots=25)
    kept = (counts > 0).sum(axis=1) >= 29
    assert 0 < kept.sum() < len(counts)
    np.testing.assert_array_equal(expression.rows, np.flatnonzero(kept))
    common = (counts[kept] > 0).sum(axis=0) >= 25
    assert expression.genes == tuple(np.array(GENES)[common])


def test_leaving_out_every_spot_says_what_to_lower(tmp_path: Path) -> None:
    write_her2st(tmp_path / "B4")
    with pytest.raises(CohortError, match="0 of 35 spots have 500 genes or more"):
        normalise(read_her2st(tmp_path / "B4"))


@pytest.mark.real
def test_real_sections_have_the_known_number_of_spots(real_dir: Path) -> None:
    section = read_her2st(real_dir / "her2st" / "B4")
    assert (len(section.spots), len(section.genes)) == (283, 15289)
    assert section.array_mpp == pytest.approx(0.69, abs=0.01)
    visium = read_space_ranger(real_dir / "visium_toy")
    assert (len(visium.spots), len(visium.genes)) == (100, 100)
