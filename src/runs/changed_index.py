"""An index whose slides are no longer those that it was built from, since some were added or removed.

It is never built again by itself: that would bring back slides that were removed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from src.data.cohort import Cohort
from src.errors import ConfigError
from src.index.folder import ROWS_FILE, Provenance, read_manifest
from src.index.rows_table import RowsTable
from src.runs.index_config import is_index

_SEVERAL = "src.data.cohorts.several.several_cohorts"


def changes_of(folder: str | Path | None) -> dict[str, int]:
    """How many slides were `added` and `removed` since the index was built; empty where none was, or without index."""
    if not is_index(None if folder is None else str(folder)):
        return {}
    return dict(read_manifest(Path(str(folder)))["config"].get("changes", {}))


def refuse_build(folder: str | Path | None) -> None:
    """Raise ConfigError when a build would undo changes of an index."""
    changes = changes_of(folder)
    if changes:
        raise ConfigError(
            f"{folder}: {changes['added']} slides were added and {changes['removed']} removed since it was built, and "
            "a build would undo that; change it further by add= or remove=, or choose another index_dir"
        )


def only_indexed(cohort: Cohort, folder: str | Path | None) -> Cohort:
    """The slides of a cohort that a changed index has; all of them for any other index."""
    if not changes_of(folder):
        return cohort
    indexed = RowsTable.read(Path(str(folder)) / ROWS_FILE).rows.slide_ids
    return replace(cohort, table=cohort.table[cohort.table["slide_id"].isin(indexed)])


def changed(manifest: Mapping[str, Any], added: int = 0, removed: int = 0, data: Any = None) -> Provenance:
    """What an index remembers after a change.

    Args:
        manifest: of the index before.
        added: slides that joined.
        removed: slides that left.
        data: configuration of the cohort that joined.
    """
    config = dict(manifest["config"])
    before = config.get("changes", {"added": 0, "removed": 0})
    config["changes"] = {"added": before["added"] + added, "removed": before["removed"] + removed}
    config["key"] = ""  # no build gives it
    if data is not None:
        config["data"] = _with_cohort(config["data"], data)
    return Provenance(manifest["encoder"], manifest["encoder_digest"], manifest["patching"], manifest["seed"], config)


def _with_cohort(data: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    before = data["cohorts"] if data["_target_"] == _SEVERAL else [data]
    joining = new["cohorts"] if new["_target_"] == _SEVERAL else [new]
    cohorts = [*before, *(each for each in joining if each not in before)]
    return {"_target_": _SEVERAL, "cohorts": cohorts, "label": data.get("label")}
