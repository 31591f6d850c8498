"""What was said of the slides of a database, kept with the index so that a slide or words find reports.

Source: PathSearch (see `src.models.pathsearch.network`), whose `src/test/` finds reports among those of test slides.
Differs from it: a report that several slides of a patient share is one answer.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float32

from src.data.files import written_whole
from src.data.progress import tracked
from src.errors import ConfigError, IncompatibleParts
from src.index.codes.of_texts import TextCode
from src.index.folder import REPORTS_FILE, OpenedFolder
from src.index.part_name import part_name
from src.interfaces import Code, Hit, Ranking, Rows

_BATCH = 32  # texts that are encoded together
_NO_TEXTS = pd.Series(dtype=object, name="report")
_NO_VECTORS = np.zeros((0, 0), dtype=np.float32)


class SlideReports:
    """Reports as texts and as vectors among the summaries of slides.

    Args:
        texts: by slide_id.
        vectors: unit vectors in the same order.
    """

    def __init__(self, texts: pd.Series = _NO_TEXTS, vectors: Float32[np.ndarray, "slide dim"] = _NO_VECTORS) -> None:
        self.texts = texts
        self.vectors = vectors

    @classmethod
    def of(cls, texts: pd.Series, code: Code) -> SlideReports:
        """Encode reports by a code that has a side for text; equal ones once.

        Raises:
            IncompatibleParts: a code without such a side.
        """
        distinct = sorted(set(texts))
        batches = [distinct[first : first + _BATCH] for first in range(0, len(distinct), _BATCH)]
        encode = text_code(code).encode_text
        vectors = np.concatenate([encode(batch) for batch in tracked(batches, "vectors of the reports")])
        return cls(texts, vectors[np.searchsorted(distinct, texts.astype(str))])

    def without(self, slide_ids: Collection[str]) -> SlideReports:
        """The reports of the other slides."""
        is_kept = ~self.texts.index.isin(list(slide_ids))
        return SlideReports(self.texts[is_kept], self.vectors[is_kept])

    def ranking(
        self,
        query_id: str,
        vector: Float32[np.ndarray, " dim"],
        rows: Rows,
        k: int,
        is_excluded: Bool[np.ndarray, " row"] | None = None,
    ) -> Ranking:
        """The `k` reports nearest to a vector; score = cosine, ties by slide_id.

        A report that slides of one patient share is one hit, at the first of them by slide_id. It lies where the last
        row of that slide does, which its summary is a barcode of.

        Args:
            query_id: names the ranking.
            vector: at unit length.
            rows: of the index.
            k: answers wanted.
            is_excluded: rows that are left out.

        Raises:
            ConfigError: the index keeps no reports.
        """
        if not len(self.texts):
            raise ConfigError(no_reports("the index"))
        answers = self._answers(vector, rows, is_excluded)
        best = answers.sort_values(["score", "slide_id"], ascending=[False, True]).head(k)
        places = zip(best["row"], best["score"], strict=True)
        return Ranking(query_id, tuple(_hit(row, score, rows) for row, score in places))

    def _answers(
        self, vector: Float32[np.ndarray, " dim"], rows: Rows, is_excluded: Bool[np.ndarray, " row"] | None
    ) -> pd.DataFrame:
        """One line per patient and text: slide_id, score and the row where it lies."""
        _, first, of_text = np.unique(self.texts.to_numpy(str), return_index=True, return_inverse=True)
        last_row = np.searchsorted(rows.slide_of_row, np.arange(len(rows.slide_ids)), side="right") - 1
        slides = pd.DataFrame({"slide_id": rows.slide_ids, "patient": rows.patient_ids, "row": last_row})
        if is_excluded is not None:
            slides = slides[~is_excluded[last_row]]
        cosines = (self.vectors[first] @ vector)[of_text]  # of equal texts the very same
        said = pd.DataFrame({"text": of_text, "score": cosines}, index=self.texts.index)
        answers = slides.join(said, on="slide_id", how="inner").sort_values("slide_id")
        return answers.drop_duplicates(["patient", "text"])


def joined_reports(parts: Sequence[SlideReports]) -> SlideReports:
    """The reports of several databases."""
    kept = [part for part in parts if len(part.texts)]
    if not kept:
        return SlideReports()
    return SlideReports(pd.concat([part.texts for part in kept]), np.concatenate([part.vectors for part in kept]))


def text_code(code: Code) -> TextCode:
    """`code`, if it has a side for text.

    Raises:
        IncompatibleParts: it has none.
    """
    if not isinstance(code, TextCode):
        raise IncompatibleParts(
            f"code {part_name(code)} puts no reports among slides; leave out reports= and query.find=, or say "
            "engine=pathsearch"
        )
    return code


def no_reports(what: str) -> str:
    """One line that says what keeps no reports, and what to do."""
    return (
        f"query.find=reports: {what} keeps no reports; build it with reports=table reports.table=FILE, or with another "
        "option of reports="
    )


def reports_file(reports: SlideReports) -> dict[str, Callable[[Path], None]]:
    """What writes texts and vectors into an index folder, by the name of the file; nothing where there are none."""
    return {REPORTS_FILE: lambda path: _write(reports, path)} if len(reports.texts) else {}


def reports_in(opened: OpenedFolder) -> SlideReports:
    """The reports that an index folder keeps, empty where it keeps none."""
    if REPORTS_FILE not in opened.manifest["sha256"]:
        return SlideReports()
    table = pd.read_parquet(opened.folder / REPORTS_FILE).set_index("slide_id")
    return SlideReports(table["report"], np.stack(list(table["vector"])).astype(np.float32))


def _hit(row: int, cosine: float, rows: Rows) -> Hit:
    slide = int(rows.slide_of_row[row])
    x, y = rows.xy[row].tolist()
    score = float(cosine)
    return Hit(rows.slide_ids[slide], rows.patient_ids[slide], x, y, distance=1 - score, score=score)


def _write(reports: SlideReports, path: Path) -> None:
    vectors: Sequence[np.ndarray] = list(reports.vectors)
    with written_whole(path) as temporary:
        table = pd.DataFrame({"slide_id": reports.texts.index, "report": reports.texts.to_numpy(), "vector": vectors})
        table.to_parquet(temporary, index=False)
