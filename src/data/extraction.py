"""Slides become feature files: resumable, past every broken slide, with a status for each.

A slide's file carries a key made of everything that shaped it (the slide's bytes, its mpp, patching, encoder with the
digest of its weights, number format). A file with the right key is reused, any other is made again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout

from src.data.cohort import Cohort, SlideRecord
from src.data.encoding import CorruptTilesPolicy, encode_patches
from src.data.feature_files import (
    FORMAT_VERSION,
    FeatureDtype,
    PatchGeometry,
    read_geometry,
    read_provenance,
    write_features,
)
from src.data.files import digest, slide_digest, written_whole
from src.data.patching import Patcher, Patches
from src.data.preview import write_previews
from src.data.progress import progress_bar
from src.data.slide import PyramidSlide, open_slide
from src.errors import SlideError, UnreadableSlide
from src.interfaces import Encoder

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SlideStatus:
    """One line of the status table.

    Attributes:
        status: ok, no_tissue, unreadable, mpp_missing, corrupt_tiles or failed.
        n_left_out: patches that could not be decoded and were left out (`corrupt_tiles=skip`).
    """

    slide_id: str
    status: str
    reason: str = ""
    n_patches: int = 0
    n_left_out: int = 0
    patch_size_level0: int = 0
    mpp: float | None = None
    mpp_source: str = ""
    is_reused: bool = False

    @property
    def is_failure(self) -> bool:
        """True when the slide should have features and has none."""
        return self.status not in ("ok", "no_tissue") and self.n_patches == 0


@dataclass(frozen=True)
class Extraction:
    """Everything that shapes the features of a cohort, and where they go.

    Attributes:
        root: the cohort's cache folder; features go to `root/features/<encoder>-<key>`, previews to
            `root/patches/<key>`.
        corrupt_tiles: `fail` gives a slide with an undecodable patch no features; `skip` leaves such patches out and
            lists them. No undecodable patch ever reaches the encoder.
        dtype: how features are stored.
        previews: write mask, stitch and GeoJSON of every slide whose tissue was searched for.
    """

    cohort: Cohort
    encoder: Encoder
    patcher: Patcher
    root: Path
    corrupt_tiles: CorruptTilesPolicy = "fail"
    dtype: FeatureDtype = "float32"
    previews: bool = True

    @cached_property
    def key(self) -> str:
        """Names what all slides share."""
        return digest({**self.shaped_by(), "format": FORMAT_VERSION})

    def shaped_by(self) -> dict[str, object]:
        """What `key` is the digest of."""
        return {
            "encoder": self.encoder.fingerprint(),
            "patching": self.patcher.fingerprint(),
            "corrupt_tiles": self.corrupt_tiles,
            "dtype": self.dtype,
        }

    @property
    def folder(self) -> Path:
        """Where the feature files and status.csv go."""
        return self.root / "features" / f"{self.encoder.name}-{self.key}"

    @property
    def preview_folder(self) -> Path:
        """Where masks, stitches and GeoJSON go; shared by all encoders."""
        return self.root / "patches" / digest(self.patcher.fingerprint())

    def run(self) -> list[SlideStatus]:
        """Extract every slide that has no valid file yet; write and return the status table.

        Several processes may run at once: each slide is made by one of them. What another is at is left for the end.
        """
        records = list(self.cohort.records())
        done: dict[str, SlideStatus] = {}
        with progress_bar(f"features, {self.encoder.name}", len(records)) as step:
            for wait in (False, True):
                for record in records:
                    if record.slide_id not in done and (status := self._claimed(record, wait)):
                        done[record.slide_id] = status
                        step()
        statuses = [done[record.slide_id] for record in records]
        write_status_table(self.folder / "status.csv", statuses)
        return statuses

    def _claimed(self, record: SlideRecord, wait: bool) -> SlideStatus | None:
        """The status of a slide; None while another process is at it, unless it is waited for."""
        locks = self.root / ".locks" / self.folder.name
        locks.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(locks / f"{record.slide_id}.lock", timeout=-1 if wait else 0):
                return self._extract(record)
        except Timeout:
            return None

    def _extract(self, record: SlideRecord) -> SlideStatus:
        path = self.folder / f"{record.slide_id}.h5"
        try:
            slide_key = self._slide_key(record)
            return self._reused(path, slide_key) or self._made(record, path, slide_key)
        except SlideError as error:
            status = SlideStatus(record.slide_id, error.status, str(error))
        except Exception as error:  # whatever a damaged file does to a library, the other slides go on
            log.debug("%s", record.slide_id, exc_info=True)
            status = SlideStatus(record.slide_id, "failed", f"{type(error).__name__}: {error}".splitlines()[0])
        path.unlink(missing_ok=True)
        log.warning("%s %s", status.status, status.reason)
        return status

    def _slide_key(self, record: SlideRecord) -> str:
        try:
            content = slide_digest(Path(record.path))
        except OSError as error:
            raise UnreadableSlide(f"{record.slide_id}: {record.path} cannot be read ({error.strerror})") from error
        return digest({"all": self.key, "slide": content, "mpp": record.mpp, "default_mpp": self.cohort.default_mpp})

    def _reused(self, path: Path, slide_key: str) -> SlideStatus | None:
        written = read_provenance(path)
        if written.get("key") != slide_key:
            return None
        return _status(path, int(written["n_patches"]), _left_out(written["left_out"]), is_reused=True)

    def _made(self, record: SlideRecord, path: Path, slide_key: str) -> SlideStatus:
        slide = open_slide(Path(record.path), record.slide_id, record.mpp, self.cohort.default_mpp)
        try:
            patches = self.patcher.patches(slide)
            if self.previews and patches.tissue:
                write_previews(slide, patches, self.preview_folder)
            encoded = encode_patches(slide, patches, self.encoder, self.corrupt_tiles)
        finally:
            slide.close()
        left_out = np.delete(patches.coords, encoded.rows, axis=0)
        provenance = {
            "encoder": self.encoder.name,
            "encoder_digest": digest(self.encoder.fingerprint()),
            "key": slide_key,
            "left_out": " ".join(f"{x},{y}" for x, y in left_out),
        }
        coords, geometry = patches.coords[encoded.rows], _geometry(slide, patches)
        write_features(path, coords, encoded.features, geometry, provenance, self.dtype, encoded.colours)
        return _status(path, len(coords), len(left_out), is_reused=False)


def _status(path: Path, n_patches: int, n_left_out: int, is_reused: bool) -> SlideStatus:
    geometry = read_geometry(path)
    status, reason = ("ok", "") if n_patches else ("no_tissue", "no tissue was found")
    if n_left_out:
        status, reason = "corrupt_tiles", f"{n_left_out} patches cannot be decoded and were left out"
    return SlideStatus(
        path.stem,
        status,
        reason,
        n_patches,
        n_left_out,
        geometry.size_level0[0],
        geometry.slide_mpp,
        geometry.mpp_source,
        is_reused,
    )


def _left_out(coordinates: str) -> int:
    return len(coordinates.split())


def _geometry(slide: PyramidSlide, patches: Patches) -> PatchGeometry:
    return PatchGeometry(
        size_level0=patches.size_level0,
        size_px=patches.size_px,
        target_mpp=patches.mpp,
        slide_wh=(slide.width_px, slide.height_px),
        slide_mpp=slide.mpp,
        mpp_source=slide.mpp_source,
        level_downsamples=slide.level_downsamples,
    )


def write_status_table(path: Path, statuses: Sequence[SlideStatus]) -> None:
    """Write the statuses as a CSV table, whole or not at all."""
    table = pd.DataFrame([asdict(status) for status in statuses]).drop(columns="is_reused")
    with written_whole(path) as temporary:
        table.to_csv(temporary, index=False)
