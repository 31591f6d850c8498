"""Finished runs become a study's folder."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from src.data.progress import progress_bar
from src.data.whole_folder import folder_written_whole
from src.errors import ConfigError
from src.eval.reader_study.blinding import Rated, blind
from src.eval.reader_study.page import ShownAnswer, ShownHit, ShownQuery, StudyPage, write_page
from src.eval.reader_study.sheets import check_aspects, write_blank_sheets
from src.eval.reader_study.study import FOR_READERS, Study, save_study
from src.runs.reader_study.finished_run import FinishedRun, open_runs
from src.runs.reader_study.pictures import StudyPictures, View

log = logging.getLogger(__name__)

_WHOLE_NOTE = "Every picture is a whole region."
_PATCH_NOTE = (
    "A hit is one patch of a slide, {patch_px} px at {mpp:g} µm per pixel, and its surroundings with the patch "
    "outlined: {field} patches wide, or the whole image where that is smaller."
)


@dataclass(frozen=True)
class StudyOptions:
    """What a study shows and asks; see `blind` for `rated`, `n_hits`, `n_queries` and `seed`."""

    rated: Rated = "answers"
    aspects: tuple[str, ...] = ("overall",)
    n_hits: int = 5
    n_queries: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class Made:
    """A study, and what could not be shown.

    Attributes:
        left_out: one line per query or hit that is not in the study because its file cannot be read.
    """

    study: Study
    left_out: tuple[str, ...]


def make_study(runs: Sequence[str], folder: Path, options: StudyOptions) -> Made:
    """Write the folder of a study of finished runs, whole or not at all.

    Args:
        runs: `NAME=FOLDER` or `FOLDER` of each.
        folder: the study's; it may not exist yet, as scores are given for a study as it is.
        options: what is shown and asked.

    Raises:
        ConfigError: the folder exists, the runs do not belong together, or nothing of them can be shown.
    """
    check_aspects(options.aspects)
    if folder.exists():
        raise ConfigError(f"{folder} exists; give a new folder, as scores belong to a study as it was made")
    opened = open_runs(runs)
    rankings = {run.name: run.rankings for run in opened}
    key = blind(rankings, options.rated, options.n_hits, options.n_queries, options.seed)
    with folder_written_whole(folder) as partial:
        return _write(partial, key, opened, options)


def _write(folder: Path, key: pd.DataFrame, runs: Sequence[FinishedRun], options: StudyOptions) -> Made:
    view = View(is_whole=any(run.is_by_region for run in runs))
    pictures = StudyPictures(folder / FOR_READERS, runs[0].cohort, view)
    shown = _Shown(key, pictures, {run.name: run for run in runs})
    queries = shown.queries()
    study = Study(shown.kept(), options.rated, options.aspects, _facts(runs, options, view, shown.left_out))
    note = _WHOLE_NOTE if view.is_whole else _PATCH_NOTE.format(**vars(view))
    page = StudyPage(f"Reader study {study.name}", options.rated, options.aspects, queries, note)
    write_page(folder / FOR_READERS / "index.html", page)
    write_blank_sheets(folder / FOR_READERS, study.items, options.aspects)
    save_study(folder, study)
    return Made(study, tuple(shown.left_out))


class _Shown:
    """The hits of a key that have pictures, and why the others have none."""

    def __init__(self, key: pd.DataFrame, pictures: StudyPictures, runs: dict[str, FinishedRun]) -> None:
        self.left_out: list[str] = []
        self._key = key
        self._pictures = pictures
        self._runs = runs
        self._kept: list[int] = []

    def queries(self) -> list[ShownQuery]:
        shown = []
        by_query = self._key.groupby("query")
        with progress_bar("pictures", by_query.ngroups) as step:
            for number, hits in by_query:
                shown += self._query(int(str(number)), hits)
                step()
        return shown

    def kept(self) -> pd.DataFrame:
        """The key of what is shown."""
        if not self._kept:
            raise ConfigError(f"no hit can be shown: {self.left_out[0]}")
        return self._key.loc[self._kept].reset_index(drop=True)

    def _query(self, number: int, hits: pd.DataFrame) -> list[ShownQuery]:
        query_id = str(hits["query_id"].iloc[0])
        try:
            pictures = self._query_pictures(query_id, hits["method"].iloc[0])
        # Whatever a broken file raises, the others are shown.
        except Exception as error:
            self._leave_out(f"query {number}: {error}")
            return []
        answers = [self._answer(str(letter), of_answer) for letter, of_answer in hits.groupby("answer")]
        return [ShownQuery(number, pictures, tuple(answer for answer in answers if answer.hits))]

    def _query_pictures(self, query_id: str, method: str) -> tuple[str, ...]:
        slide_id, _, corner = query_id.partition("@")
        if not corner:
            return self._pictures.whole(slide_id)
        x, y = map(int, corner.split(","))
        return self._pictures.patch(slide_id, x, y, self._runs[method].patch_size_level0)

    def _answer(self, letter: str, hits: pd.DataFrame) -> ShownAnswer:
        shown = []
        for row in hits.index:
            hit = hits.loc[row]
            size_of = self._runs[hit["method"]].patch_size_level0
            try:
                files = self._pictures.patch(hit["hit_slide"], int(hit["x"]), int(hit["y"]), size_of)
            except Exception as error:
                self._leave_out(f"a hit of query {hit['query']}: {error}")
                continue
            self._kept.append(row)
            shown.append(ShownHit(hit["item"], int(hit["place"]), files))
        return ShownAnswer(letter, tuple(shown))

    def _leave_out(self, why: str) -> None:
        log.warning("left out: %s", why)
        self.left_out.append(why)


def _facts(
    runs: Sequence[FinishedRun], options: StudyOptions, view: View, left_out: Sequence[str]
) -> dict[str, object]:
    return {
        "cohort": runs[0].cohort.name,
        "methods": {run.name: str(run.folder.absolute()) for run in runs},
        "n_hits": options.n_hits,
        "seed": options.seed,
        "view": vars(view),
        "left_out": list(left_out),
    }
