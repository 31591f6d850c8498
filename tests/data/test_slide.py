from __future__ import annotations

import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest

from src.data.openslide_pixels import OpenSlidePixels
from src.data.slide import open_slide
from src.errors import CorruptTiles, MppMissing, UnreadableSlide
from src.interfaces import Slide
from tests.data.make_slides import Compression, claim_size, corrupt_tile, glass, noise, write_pyramid


@pytest.fixture
def picture() -> np.ndarray:
    return noise(320, 256)


@pytest.fixture
def smooth() -> np.ndarray:
    return cv2.GaussianBlur(noise(512, 512), (0, 0), 12)


def _png(path: Path, image: np.ndarray, dpi: tuple[int, int] = (72, 72)) -> Path:
    PIL.Image.fromarray(image).save(path, dpi=dpi)
    return path


def test_a_slide_satisfies_the_protocol_and_states_its_scale(tmp_path: Path, picture: np.ndarray) -> None:
    slide = open_slide(write_pyramid(tmp_path / "a.tif", picture, mpp=0.25, n_levels=2), "a")
    assert isinstance(slide, Slide)
    assert (slide.width_px, slide.height_px, slide.is_pyramid) == (320, 256, True)
    assert slide.mpp == pytest.approx(0.25)
    assert slide.mpp_source == "file"
    assert slide.level_downsamples == (1.0, 2.0)


def test_a_plain_image_is_no_pyramid_and_its_dpi_is_no_mpp(tmp_path: Path, picture: np.ndarray) -> None:
    path = _png(tmp_path / "a.png", picture, dpi=(25400, 25400))
    with pytest.raises(MppMissing):
        open_slide(path, "a")
    slide = open_slide(path, "a", default_mpp=0.5)
    assert (slide.is_pyramid, slide.mpp, slide.mpp_source) == (False, 0.5, "default")


@pytest.mark.parametrize("name", ["a.tif", "a.png"])
def test_pixels_at_scale_one_are_the_stored_ones(tmp_path: Path, picture: np.ndarray, name: str) -> None:
    path = tmp_path / name
    write_pyramid(path, picture) if name.endswith("tif") else _png(path, picture)
    slide = open_slide(path, "a", mpp=0.5)
    assert np.array_equal(slide.read(37, 11, (100, 90), 0.5), picture[11:101, 37:137])
    assert np.array_equal(slide.overview(1.0), picture)


@pytest.mark.parametrize("name", ["a.tif", "a.png"])
def test_outside_the_slide_is_background(tmp_path: Path, picture: np.ndarray, name: str) -> None:
    path = tmp_path / name
    write_pyramid(path, picture) if name.endswith("tif") else _png(path, picture)
    slide = open_slide(path, "a", mpp=0.5, background=(10, 20, 30))
    framed = cv2.copyMakeBorder(picture, 40, 40, 40, 40, cv2.BORDER_CONSTANT, value=(10, 20, 30))
    assert np.array_equal(slide.read(-40, -40, (400, 336), 0.5), framed)
    assert np.array_equal(slide.read(5000, 5000, 8, 0.5), np.full((8, 8, 3), (10, 20, 30), np.uint8))


def test_transparent_pixels_are_background(tmp_path: Path) -> None:
    image = np.zeros((32, 32, 4), np.uint8)
    image[:, 16:] = (200, 100, 50, 255)
    slide = open_slide(_png(tmp_path / "a.png", image), "a", mpp=0.5, background=(1, 2, 3))
    patch = slide.read(0, 0, 32, 0.5)
    assert (patch[:, :16] == (1, 2, 3)).all()
    assert (patch[:, 16:] == (200, 100, 50)).all()


def test_a_coarser_patch_is_the_area_average(tmp_path: Path, picture: np.ndarray) -> None:
    slide = open_slide(write_pyramid(tmp_path / "a.tif", picture), "a")
    expected = picture[:240, :240].reshape(60, 4, 60, 4, 3).mean(axis=(1, 3))
    assert np.abs(slide.read(0, 0, 60, 2.0) - expected).max() <= 0.5


def test_the_stored_level_is_read_when_it_is_as_coarse_as_asked(tmp_path: Path, picture: np.ndarray) -> None:
    path = write_pyramid(tmp_path / "a.tif", picture, n_levels=2)
    expected = cv2.resize(picture, (160, 128), interpolation=cv2.INTER_AREA)
    assert np.array_equal(open_slide(path, "a").read(20, 10, 64, 1.0), expected[5:69, 10:74])


def test_a_level_of_rounded_size_counts_as_the_power_of_two_it_stands_for(tmp_path: Path) -> None:
    odd = noise(321, 257)
    slide = open_slide(write_pyramid(tmp_path / "a.tif", odd, n_levels=2), "a")
    assert 2.0 < slide.level_downsamples[1] < 2.02
    stored = cv2.resize(odd, (160, 128), interpolation=cv2.INTER_AREA)
    assert np.array_equal(slide.read(0, 0, 64, 1.0), stored[:64, :64])


def test_a_coarser_level_is_never_enlarged(tmp_path: Path, picture: np.ndarray) -> None:
    path = write_pyramid(tmp_path / "a.tif", picture, n_levels=2)
    single = write_pyramid(tmp_path / "b.tif", picture)
    assert np.array_equal(open_slide(path, "a").read(8, 8, 64, 0.9), open_slide(single, "b").read(8, 8, 64, 0.9))


@pytest.mark.parametrize("scale", [0.7, 1.3, 1.97, 2.5, 3.7])
@pytest.mark.parametrize("n_levels", [1, 3])
def test_a_patch_shows_the_field_that_was_asked_for(
    tmp_path: Path, smooth: np.ndarray, scale: float, n_levels: int
) -> None:
    slide = open_slide(write_pyramid(tmp_path / "a.tif", smooth, n_levels=n_levels), "a")
    patch = slide.read(33, 21, 100, 0.5 * scale)
    centre = (np.arange(100, dtype=np.float32) + 0.5) * scale - 0.5
    x, y = np.meshgrid(centre + 33, centre + 21)
    expected = cv2.remap(smooth, x.astype(np.float32), y.astype(np.float32), cv2.INTER_CUBIC)
    assert np.abs(patch.astype(int) - expected.astype(int)).mean() < 1.0


def test_a_slide_coarser_than_asked_is_enlarged(tmp_path: Path, smooth: np.ndarray) -> None:
    slide = open_slide(write_pyramid(tmp_path / "a.tif", smooth, mpp=1.0), "a")
    expected = cv2.resize(smooth[50:150, 50:150], (200, 200), interpolation=cv2.INTER_CUBIC)
    assert np.array_equal(slide.read(50, 50, 200, 0.5), expected)


def test_a_large_field_read_block_by_block_has_no_seams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = cv2.GaussianBlur(noise(700, 500), (0, 0), 3)
    slide = open_slide(write_pyramid(tmp_path / "a.tif", image), "a")
    whole = slide.overview(2.0)
    monkeypatch.setattr("src.data.slide._BLOCK_PX", 96)
    assert np.abs(slide.overview(2.0).astype(int) - whole.astype(int)).max() <= 1
    assert (
        np.abs(slide.overview(3.3).astype(int) - cv2.resize(image, (212, 152), interpolation=cv2.INTER_AREA)).max() < 8
    )


def test_an_overview_has_the_size_asked_for(tmp_path: Path, picture: np.ndarray) -> None:
    slide = open_slide(write_pyramid(tmp_path / "a.tif", picture, n_levels=3), "a")
    assert slide.overview(3.0).shape == (85, 107, 3)
    assert slide.overview(1000.0).shape == (1, 1, 3)


@pytest.mark.parametrize("compression", ["jpeg", "adobe_deflate"])
def test_a_corrupt_tile_is_an_error_and_the_slide_stays_usable(tmp_path: Path, compression: Compression) -> None:
    image = noise(256, 256)
    path = write_pyramid(tmp_path / "a.tif", image, compression=compression)
    good = open_slide(path, "a").read(0, 128, 128, 0.5)
    corrupt_tile(path, 1)
    slide = open_slide(path, "TCGA-A1")
    for _ in range(2):
        with pytest.raises(CorruptTiles, match=r"^TCGA-A1: the patch at x=70, y=3 ") as failure:
            slide.read(70, 3, 32, 0.5)
        assert "\n" not in str(failure.value)
        assert np.array_equal(slide.read(0, 128, 128, 0.5), good)


def test_a_corrupt_tile_makes_the_overview_unreadable(tmp_path: Path) -> None:
    path = write_pyramid(tmp_path / "a.tif", noise(256, 256))
    corrupt_tile(path, 5)
    with pytest.raises(UnreadableSlide, match=r"^a: the overview"):
        open_slide(path, "a").overview(4.0)


def test_a_patch_of_a_file_that_went_away_is_an_error_not_a_crash(tmp_path: Path) -> None:
    path = write_pyramid(tmp_path / "a.tif", noise(256, 256))
    corrupt_tile(path, 0)
    slide = open_slide(path, "a")
    path.unlink()
    for _ in range(2):
        with pytest.raises(CorruptTiles):
            slide.read(0, 0, 32, 0.5)


def _bomb(path: Path) -> None:
    """A PNG of 60,000 x 60,000 px in few bytes."""
    header = (60_000).to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b"")]
    body = b"".join(
        len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big") for kind, data in chunks
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def _large_png(path: Path) -> None:
    PIL.Image.new("1", (12_000, 12_000)).save(path)


def _truncated_png(path: Path) -> None:
    _png(path, noise(64, 64))
    path.write_bytes(path.read_bytes()[:3000])


def _text(path: Path) -> None:
    path.write_text("this is not a slide\n")


def _postscript(path: Path) -> None:
    path.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n")


def _sixteen_bits(path: Path) -> None:
    PIL.Image.fromarray(np.zeros((8, 8), np.uint16)).save(path)


def _truncated_tiff(path: Path) -> None:
    write_pyramid(path, noise(256, 256))
    path.write_bytes(path.read_bytes()[:200])


def _huge_tiff(path: Path) -> None:
    write_pyramid(path, noise(64, 64))
    claim_size(path, 2**31 - 1, 2**31 - 1)


def _folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("missing.svs", lambda path: None),
        ("empty.svs", lambda path: path.touch()),
        ("folder.svs", _folder),
        ("text.svs", _text),
        ("bomb.png", _bomb),
        ("large.png", _large_png),
        ("truncated.png", _truncated_png),
        ("sixteen.png", _sixteen_bits),
        ("truncated.tif", _truncated_tiff),
        ("huge.tif", _huge_tiff),
    ],
)
def test_what_is_no_readable_slide_is_refused_in_one_line(tmp_path: Path, name: str, make: object) -> None:
    assert callable(make)
    make(tmp_path / name)
    with pytest.raises(UnreadableSlide, match=f"^slide-7: .*{name}") as refusal:
        open_slide(tmp_path / name, "slide-7", mpp=0.5)
    assert "\n" not in str(refusal.value)


def test_a_postscript_program_is_never_run(tmp_path: Path) -> None:
    _postscript(tmp_path / "a.png")
    with pytest.raises(UnreadableSlide, match="cannot identify image file"):
        open_slide(tmp_path / "a.png", "a", mpp=0.5)


def test_a_refused_mpp_closes_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[OpenSlidePixels] = []
    monkeypatch.setattr(OpenSlidePixels, "close", lambda pixels: closed.append(pixels))
    with pytest.raises(MppMissing):
        open_slide(write_pyramid(tmp_path / "a.tif", glass(128, 128, []), mpp=None), "a")
    assert len(closed) == 1


def test_the_overview_of_a_large_single_level_slide_fits_in_little_memory(tmp_path: Path) -> None:
    path = write_pyramid(tmp_path / "a.tif", np.full((9000, 9000, 3), 240, np.uint8), tile=512)
    code = f"""
import resource
from pathlib import Path
from src.data.openslide_pixels import OpenSlidePixels
from src.data.slide import open_slide
slide = open_slide(Path({str(path)!r}), "a")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert slide.overview(9.0).mean() == 240
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    root = Path(__file__).parents[2]
    grown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=root).stdout
    assert int(grown) < 150_000  # KiB; the slide itself is 243 MB


@pytest.mark.real
def test_real_slides_open_with_their_levels_and_mpp(real_dir: Path) -> None:
    wsi = real_dir / "wsi"
    cmu = open_slide(wsi / "CMU-1-Small-Region.svs", "cmu")
    assert (cmu.width_px, cmu.height_px, cmu.mpp, cmu.mpp_source) == (2220, 2967, 0.499, "file")
    with pytest.raises(MppMissing):
        open_slide(wsi / "TCGA-CR-7395-01A-01-TS1.svs", "tcga")
    tcga = open_slide(wsi / "TCGA-CR-7395-01A-01-TS1.svs", "tcga", default_mpp=0.5)
    assert (len(tcga.level_downsamples), tcga.mpp_source) == (2, "default")
    assert len(open_slide(wsi / "derived_pyramids" / "her2st_B4.tif", "b4").level_downsamples) == 3


@pytest.mark.real
def test_the_edge_cases_each_get_their_status(real_dir: Path) -> None:
    cases = real_dir / "wsi" / "edge_cases"
    for name in ("broken.svs", "unopenable.tiff"):
        with pytest.raises(UnreadableSlide):
            open_slide(cases / name, "x")
    with pytest.raises(MppMissing, match="352"):
        open_slide(cases / "boxes_pyramid.tiff", "boxes")
    with pytest.raises(CorruptTiles):
        open_slide(cases / "unreadable.svs", "x").read(0, 0, 16, 0.499)
    with pytest.raises(UnreadableSlide):
        open_slide(cases / "unreadable.svs", "x").overview(1.0)
    dicom = open_slide(cases / "boxes_dicom" / "boxes_0.dcm", "dicom")
    assert dicom.is_pyramid
    assert dicom.read(0, 0, 16, dicom.mpp).shape == (16, 16, 3)


@pytest.mark.real
def test_a_jpeg_section_reads_as_its_pyramid_does(real_dir: Path) -> None:
    plain = open_slide(real_dir / "her2st" / "B4" / "he.jpg", "plain", mpp=0.69)
    pyramid = open_slide(real_dir / "wsi" / "derived_pyramids" / "her2st_B4.tif", "pyramid")
    ours, theirs = (s.read(3000, 6000, 256, 0.69).astype(int) for s in (plain, pyramid))
    assert np.abs(ours - theirs).mean() < 4
