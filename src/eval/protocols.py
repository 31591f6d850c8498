"""Which queries are asked, and what of the database each may not see.

A protocol is one rule, used twice: as a mask over index rows while searching, and over a table of items while judging.
Whatever it leaves out is named by a group: the patch itself, all of its slide, all slides of its patient, or those that
share a column such as a case. A split adds that only its database part can be found, `within` that only slides of the
query's own site (or another column) can: Yottixel's vertical search, where the whole archive is horizontal search.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Bool

from src.errors import CohortError, ConfigError
from src.eval.belonging import belonging, column_of, slides_of_same
from src.eval.rankings import Unit, patch_id
from src.eval.statistics import Bootstrap
from src.eval.variants import metrics_at
from src.interfaces import Rows

Unlabelled = Literal["drop", "wrong"]


@dataclass(frozen=True)
class Split:
    """A cohort divided in a part that is asked and a part that is searched; other slides take no part.

    Attributes:
        column: of the cohort table.
        query: its values that make a slide a query.
        database: its values that make a slide part of the database.
        is_optional: a cohort without the column is both asked and searched as a whole; else it is refused.
    """

    column: str
    query: Sequence[str]
    database: Sequence[str]
    is_optional: bool = False

    def part(self, cohort: pd.DataFrame, values: Sequence[str]) -> pd.Series:
        """Which rows of the table belong to the part.

        Raises:
            CohortError: the column is not there, or no slide belongs to the part.
        """
        if self.is_optional and self.column not in cohort:
            return pd.Series(True, cohort.index)
        if self.column not in cohort:
            raise CohortError(f"cohort: column '{self.column}' is missing, which eval.split names; add it to the table")
        is_member = cohort[self.column].isin(list(values))
        if not is_member.any():
            there = ", ".join(sorted(map(str, cohort[self.column].dropna().unique()))) or "nothing"
            raise CohortError(f"cohort: no slide has {self.column} = {' or '.join(values)}; the column has {there}")
        return is_member


@dataclass(frozen=True)
class RetrievalProtocol:
    """How a cohort is asked and how the answers are measured.

    Attributes:
        name: as in conf/eval.
        unit: what is ranked and counted, slides or patches.
        leave_out: what of the query's own is left out of its database: `patch`, `slide`, `patient`, or a column.
        label: column of the cohort table that says what is relevant; None has to be set before judging.
        k: cut-offs of the metrics.
        depth: how many hits are ranked and saved; at least the largest `k`.
        metrics: names in src/eval/variants.py; the first is what the leaderboard is sorted by.
        unlabelled: hits without a label are removed before ranks are counted, or stay and are wrong.
        bootstrap: of the intervals.
        split: None where every slide is both asked and searched.
        recall_against_exact: how many exact nearest rows the index should find; None measures no recall.
        ignored_labels: classes that say that nothing is known, such as `2` of a gene that was not sequenced; slides
            of them have no label.
        within: column of which a query can only find slides of its own value (vertical search); a slide without a value
            is not found and finds nothing. None searches the whole database (horizontal search).
        aggregate: `slide`, `patient`, or a column: each counts once, by its best hit. None counts every hit. It is done
            while judging; saved rankings name what was searched.
    """

    name: str
    unit: Unit
    leave_out: str
    label: str | None
    k: Sequence[int]
    depth: int
    metrics: Sequence[str]
    unlabelled: Unlabelled
    bootstrap: Bootstrap
    split: Split | None = None
    recall_against_exact: int | None = None
    ignored_labels: Sequence[str | int] = ()
    within: str | None = None
    aggregate: str | None = None

    def __post_init__(self) -> None:
        if self.leave_out == "patch" and self.unit == "slide":
            raise ConfigError("eval.leave_out is patch while eval.unit is slide; rank patches, or leave out slides")
        if self.aggregate == "patch":
            raise ConfigError("eval.aggregate is patch; expected slide, patient or a column, or null for every hit")
        if not self.k or min(self.k) < 1 or max(self.k) > self.depth:
            raise ConfigError(f"eval.k is {list(self.k)}; expected numbers from 1 to eval.depth = {self.depth}")
        if not self.metrics:
            raise ConfigError("eval.metrics is empty; name at least one metric")
        metrics_at(self.metrics, self.k)

    def queries(self, cohort: pd.DataFrame) -> list[str]:
        """Slides that are asked, in cohort order; where patches are ranked, each patch of theirs is a query.

        Slides without a label are asked too, so that another label can be judged later without a search.
        """
        asked = cohort if self.split is None else cohort[self.split.part(cohort, self.split.query)]
        return [str(slide_id) for slide_id in asked["slide_id"]]

    def is_excluded(
        self, slide_id: str, patient_id: str, rows: Rows, cohort: pd.DataFrame, query_row: int | None = None
    ) -> Bool[np.ndarray, " row"]:
        """The rows of an index that a query may not find.

        Args:
            slide_id: the query's slide.
            patient_id: its owner.
            rows: of the index.
            cohort: the cohort table; its split is read from here.
            query_row: row of the query itself, None where it is not in the index; used where a patch is left out.
        """
        hidden = self._own(slide_id, patient_id, rows, cohort) | self._outside(slide_id, rows, cohort)
        of_slide = [slide in hidden for slide in rows.slide_ids]
        excluded: Bool[np.ndarray, " row"] = np.array(of_slide, dtype=bool)[rows.slide_of_row]
        if self.leave_out == "patch" and query_row is not None:
            excluded[query_row] = True
        return excluded

    def items(self, table: pd.DataFrame) -> pd.DataFrame:
        """The same rule over a table, one row per item.

        Columns: `item_id`, `slide_id`, the `group` that is left out together, `is_database`, the `scope` outside of
        which a query finds nothing, the `answer` that the item counts as.

        Args:
            table: one row per slide that has features, or per patch of the index (see `patch_table`), with the
                columns of the cohort table.
        """
        slide_id = belonging(table, "slide")
        item_id = slide_id if self.unit == "slide" else _patch_ids(table)
        columns = {
            "item_id": item_id,
            "slide_id": slide_id,
            "group": item_id if self.leave_out == "patch" else belonging(table, self.leave_out),
            "is_database": True if self.split is None else self.split.part(table, self.split.database),
            "scope": "" if self.within is None else column_of(table, self.within),
            "answer": item_id if self.aggregate is None else belonging(table, self.aggregate),
        }
        items = pd.DataFrame(columns)
        if items["item_id"].duplicated().any():
            twice = items.loc[items["item_id"].duplicated(), "item_id"].iloc[0]
            raise CohortError(f"cohort: {twice} stands twice; give every {self.unit} its own row")
        return items.reset_index(drop=True)

    def answer_of(self, table: pd.DataFrame) -> dict[str, str] | None:
        """What each item counts as, by its id; None where every hit counts. `table` as of `items`."""
        if self.aggregate is None:
            return None
        items = self.items(table)
        return dict(zip(items["item_id"], items["answer"], strict=True))

    def narrowed(self) -> dict[str, str]:
        """`within` and `aggregate`, where they are set."""
        named = {"within": self.within, "aggregate": self.aggregate}
        return {name: column for name, column in named.items() if column is not None}

    def check(self, cohort: pd.DataFrame) -> None:
        """Raise a CohortError when the cohort lacks a column that the protocol needs, before anything is searched."""
        for name in {"patient", self.leave_out, self.aggregate} - {"patch", None}:
            belonging(cohort, str(name))
        if self.within is not None:
            column_of(cohort, self.within)

    def labels(self, cohort: pd.DataFrame) -> pd.Series:
        """The label of each slide, indexed by slide_id; NaN for a class that is ignored."""
        if self.label is None or self.label not in cohort:
            raise CohortError(f"cohort: no column '{self.label}' to judge by; it has {', '.join(map(str, cohort))}")
        by_slide = cohort.drop_duplicates("slide_id")
        labels = pd.Series(by_slide[self.label].to_numpy(), index=by_slide["slide_id"].astype(str))
        return labels.mask(labels.map(_class_name).isin([str(label) for label in self.ignored_labels]))

    def _own(self, slide_id: str, patient_id: str, rows: Rows, cohort: pd.DataFrame) -> set[str]:
        """Slides that are left out with the query's own."""
        if self.leave_out == "patch":
            return set()
        if self.leave_out == "patient":
            owned = zip(rows.slide_ids, rows.patient_ids, strict=True)
            return {slide for slide, patient in owned if patient == patient_id}
        return {slide_id} if self.leave_out == "slide" else slides_of_same(cohort, self.leave_out, slide_id)

    def _outside(self, slide_id: str, rows: Rows, cohort: pd.DataFrame) -> set[str]:
        """Slides of the index that a query of this slide cannot find, whoever owns them."""
        if self.split is None and self.within is None:
            return set()
        findable = set(self._database(cohort)["slide_id"].astype(str))
        if self.within is not None:
            findable &= slides_of_same(cohort, self.within, slide_id)
        return set(rows.slide_ids) - findable

    def _database(self, cohort: pd.DataFrame) -> pd.DataFrame:
        return cohort if self.split is None else cohort[self.split.part(cohort, self.split.database)]


def patch_table(rows: Rows, cohort: pd.DataFrame) -> pd.DataFrame:
    """The cohort table with one row per patch of the index, `x` and `y` added; for `RetrievalProtocol.items`."""
    slide_of_row = np.array(rows.slide_ids, dtype=object)[rows.slide_of_row]
    by_slide = cohort.set_index(cohort["slide_id"].astype(str))
    missing = set(rows.slide_ids) - set(by_slide.index)
    if missing:
        raise CohortError(
            f"cohort: {min(missing)} is in the index but not in the table; add it, or build the index again"
        )
    table: pd.DataFrame = by_slide.loc[slide_of_row].assign(x=rows.xy[:, 0], y=rows.xy[:, 1])
    return table.reset_index(drop=True)


def _class_name(label: object) -> str:
    """A gap turns a column of whole numbers into floats: 2.0 is class 2."""
    return f"{label:g}" if isinstance(label, float) else str(label).strip()


def _patch_ids(table: pd.DataFrame) -> pd.Series:
    patches = zip(table["slide_id"], table["x"], table["y"], strict=True)
    return pd.Series([patch_id(slide_id, x, y) for slide_id, x, y in patches], index=table.index)
