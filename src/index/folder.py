"""An index on disk: `index.faiss` (the index's own file), `rows.parquet`, and `manifest.json`, which vouches for both.

An index of several files has more of them beside the first, named `index.*`. There may be `background.npy`, and in
`background_slides.npy` whose codes they are, `head.pt`, of a code that was trained, `code.faiss`, of one that was
fitted, `predictions.parquet`, what a trained head says of each slide, `reports.parquet`, what was said of it, and
`ranking.npz`, what a ranking has found of the database. The manifest is written last and holds the SHA-256 of the other
files and of itself. Reading checks all of them before any other reader sees a byte, and nothing is ever unpickled.
"""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from src.data.files import digest, sha256_of, write_json
from src.data.whole_folder import folder_written_whole
from src.errors import ConfigError, IndexMismatch
from src.index.rows_table import RowsTable
from src.interfaces import Index

Verify = Literal["full", "sizes"]
"""How an index is looked at before it is used; see `open_folder`."""

FORMAT_VERSION = 1
_OF_INDEX = "index."
INDEX_FILE = "index.faiss"
ROWS_FILE = "rows.parquet"
BACKGROUND_FILE = "background.npy"
BACKGROUND_SLIDES_FILE = "background_slides.npy"
HEAD_FILE = "head.pt"
RANKING_FILE = "ranking.npz"
CODE_FILE = "code.faiss"
PREDICTIONS_FILE = "predictions.parquet"
REPORTS_FILE = "reports.parquet"
MANIFEST_FILE = "manifest.json"


@dataclass(frozen=True)
class Provenance:
    """What shaped the features of an index; JSON-serialisable.

    Attributes:
        encoder: name of the encoder.
        encoder_digest: digest of everything that shapes its features, weights included.
        patching: what shaped the patches.
        seed: of the run.
        config: the whole configuration of the run.
    """

    encoder: str = ""
    encoder_digest: str = ""
    patching: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class OpenedFolder:
    """A folder whose files are what its manifest says."""

    folder: Path
    manifest: dict[str, Any]
    table: RowsTable

    @property
    def index_path(self) -> Path:
        """The index's own file."""
        return self.folder / INDEX_FILE

    def expect(self, **expected: Any) -> None:
        """Compare entries of the manifest with what the caller has.

        Raises:
            IndexMismatch: the first entry that differs.
        """
        for key, value in expected.items():
            found = self.manifest.get(key)
            if found != _as_json(value):
                raise mismatch(self.folder, f"{key} is {found!r}, expected {value!r}")


def write_folder(
    folder: Path,
    index: Index,
    table: RowsTable,
    entries: Mapping[str, Any],
    more: Mapping[str, Callable[[Path], None]],
) -> None:
    """Write an index folder whole, replacing the index that is there; on failure that one stays as it was.

    Args:
        folder: where it goes.
        index: writes its own file.
        table: where each row comes from.
        entries: what else the manifest says.
        more: what writes each other file, by its name.

    Raises:
        ConfigError: a folder that holds something else than an index, which is not replaced.
    """
    _refuse_other_folders(folder)
    with folder_written_whole(folder) as partial:
        index.save(partial / INDEX_FILE)
        table.write(partial / ROWS_FILE)
        for name, write in more.items():
            write(partial / name)
        manifest = {**_counts(partial, table), **entries, "sizes_bytes": _sizes(partial), "sha256": _checksums(partial)}
        write_json(partial / MANIFEST_FILE, _signed(manifest))


def open_folder(folder: Path, verify: Verify = "full") -> OpenedFolder:
    """Check every file of an index folder against its manifest, then read the rows.

    Args:
        folder: what `write_folder` wrote.
        verify: `full` reads every file; `sizes` looks only at the sizes of those of the index itself, so that a mapped
            one is opened at once. It does not see a byte that was changed.

    Raises:
        IndexMismatch: a missing, damaged or foreign file, or another format version.
    """
    manifest = read_manifest(folder)
    for name in dict.fromkeys((INDEX_FILE, ROWS_FILE, *manifest["sha256"])):
        if verify == "sizes" and name in manifest.get("sizes_bytes", {}):
            _check_size(folder, name, manifest["sizes_bytes"][name])
        else:
            _check_file(folder, name, manifest["sha256"].get(name))
    table = RowsTable.read(folder / ROWS_FILE)
    if len(table.rows) != manifest["n_rows"]:
        raise mismatch(folder, f"{ROWS_FILE} has {len(table.rows)} rows, expected the manifest's {manifest['n_rows']}")
    return OpenedFolder(folder, manifest, table)


def head_in(folder: Path) -> Path | None:
    """The weights that an index folder keeps, checked; None where it keeps none.

    Raises:
        IndexMismatch: a damaged folder.
    """
    checksums = read_manifest(folder)["sha256"]
    if HEAD_FILE not in checksums:
        return None
    _check_file(folder, HEAD_FILE, checksums[HEAD_FILE])
    return folder / HEAD_FILE


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of an index folder, itself checked; the files it vouches for are not read.

    Raises:
        IndexMismatch: no manifest, a damaged or edited one, or another format version.
    """
    path = folder / MANIFEST_FILE
    if not path.is_file():
        raise mismatch(folder, f"there is no {MANIFEST_FILE}, expected an index folder")
    try:
        manifest = dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise mismatch(folder, f"{MANIFEST_FILE} is damaged, expected JSON") from error
    if manifest.pop("manifest_digest", None) != digest(manifest):
        raise mismatch(folder, f"{MANIFEST_FILE} was changed after it was written, its digest does not fit")
    if manifest["format_version"] != FORMAT_VERSION:
        raise mismatch(folder, f"format version is {manifest['format_version']}, expected {FORMAT_VERSION}")
    return manifest


def mismatch(folder: Path, what: str) -> IndexMismatch:
    """The error of an index folder, with the command that makes a new one."""
    return IndexMismatch(f"{folder}: {what}; rebuild it: python build_index.py index_dir={folder}")


def _refuse_other_folders(folder: Path) -> None:
    if folder.exists() and not (folder / MANIFEST_FILE).exists() and any(folder.iterdir()):
        raise ConfigError(f"{folder}: holds other files, expected an index folder or none; choose another index_dir")


def _counts(folder: Path, table: RowsTable) -> dict[str, Any]:
    return {
        "format_version": FORMAT_VERSION,
        "histoseek_version": importlib.metadata.version("histoseek"),
        "n_rows": len(table.rows),
        "n_slides": len(table.rows.slide_ids),
        "index_size_bytes": sum(path.stat().st_size for path in folder.glob(f"{_OF_INDEX}*")),
    }


def _checksums(folder: Path) -> dict[str, str]:
    return {path.name: sha256_of(path) for path in sorted(folder.iterdir())}


def _sizes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in sorted(folder.glob(f"{_OF_INDEX}*"))}


def _signed(manifest: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = _as_json(manifest)
    return {**plain, "manifest_digest": digest(plain)}


def _as_json(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))


def _check_size(folder: Path, name: str, expected: int) -> None:
    found = _existing(folder, name).stat().st_size
    if found != expected:
        raise mismatch(folder, f"{name} has {found} bytes, expected {expected} by {MANIFEST_FILE}")


def _existing(folder: Path, name: str) -> Path:
    if not (folder / name).is_file():
        raise mismatch(folder, f"{name} is missing, expected beside {MANIFEST_FILE}")
    return folder / name


def _check_file(folder: Path, name: str, expected: str | None) -> None:
    found = sha256_of(_existing(folder, name))
    if found != expected:
        raise mismatch(folder, f"{name} has SHA-256 {found[:12]}, expected {str(expected)[:12]} by {MANIFEST_FILE}")
