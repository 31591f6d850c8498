"""The engine: mosaic, code, index and ranking, joined. Every published method is an instance with other parts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float32

from src.errors import ConfigError, FeatureFileError, IncompatibleParts, IndexMismatch, SlideError
from src.index.background import Background, significance_of_hits
from src.index.codes.fitted import fit_code, fitted_file, load_fitted
from src.index.codes.learned import expect_weights, weights_digest, weights_file
from src.index.codes.of_slides import with_places
from src.index.folder import OpenedFolder, Provenance, Verify, mismatch, open_folder, write_folder
from src.index.indexes.finishing import finish
from src.index.indexes.joined import joined_index
from src.index.indexes.removal import remove_rows
from src.index.mosaics.standing import standing_for
from src.index.part_checks import check_parts
from src.index.rankers.classes import report_unlabelled
from src.index.rankers.fitted import CodesForRanking, codes_seen, fitted_settings, ranking_file, restore_fitted
from src.index.removed_slides import check_removal, codes_left
from src.index.rows_table import EMPTY_ROWS, IndexedSlide, RowsTable, check_distinct
from src.index.significance import Significance
from src.index.slide_predictions import SlidePredictions
from src.index.slide_records import SlideRecords, joined_records, records_in
from src.index.slide_reports import SlideReports
from src.index.training_sample import Sampling
from src.index.widening import neighbours_for
from src.interfaces import Code, Codes, FeatureStore, Index, Mosaic, Ranker, Ranking, SlideFeatures, joined

Coded = TypeVar("Coded")
log = logging.getLogger(__name__)


class RetrievalEngine:
    """Builds a database and ranks it for a query.

    Args:
        name: of the engine, as its YAML is named.
        mosaic: which patches stand for a slide.
        code: what is stored of a patch, and what is searched for.
        index: where codes are found.
        ranking: how hits become an order.
        training_sample: the patches that the index is fitted on.
        background: how many of their codes are kept to tell what chance gives; None keeps none.
        official_squared_score: judge hits by their squared distance, as HERE's portal does; see `significance`.
        query_mosaic: which patches stand for a query; as the database's when None.

    Raises:
        IncompatibleParts: the code gives another kind than the index takes, or the index states another distance than
            the ranking can judge, or the ranking counts what the code does not give.
    """

    def __init__(
        self,
        name: str,
        mosaic: Mosaic,
        code: Code,
        index: Index,
        ranking: Ranker,
        training_sample: Sampling,
        background: Background | None = None,
        official_squared_score: bool = False,
        query_mosaic: Mosaic | None = None,
    ) -> None:
        check_parts(code, index, ranking)
        self.name = name
        self.mosaic = mosaic
        self.code = code
        self.index = index
        self.ranking = ranking
        self.training_sample = training_sample
        self.background = background
        self.official_squared_score = official_squared_score
        self.query_mosaic = query_mosaic or mosaic
        self.rows = EMPTY_ROWS
        self._records: SlideRecords | None = None
        self._feature_dim = 0
        self._code_dim = 0

    def build(
        self,
        database: FeatureStore,
        on_slide: Callable[[str], None] | None = None,
        slide_ids: Sequence[str] | None = None,
    ) -> None:
        """Fit the engine, then add the slides one by one; one slide is in memory at a time.

        Slides without patches are left out, counted and named in a warning.

        Args:
            database: the features of the cohort.
            on_slide: called with each slide_id once it is added, for a progress bar.
            slide_ids: of the database, those that are added now, where `add` does the others; the sample is of all.

        Raises:
            ConfigError: an engine that holds a database already, or a database without patches.
        """
        self.fit(database)
        for_ranking = CodesForRanking(self.ranking)
        slides = self._add_all(database, database.slide_ids if slide_ids is None else slide_ids, for_ranking, on_slide)
        finish(self.index)
        self._keep(replace(self.records, table=RowsTable.of(slides)))
        for_ranking.fit(self.index, self.rows)

    def fit(self, database: FeatureStore) -> None:
        """Fit the code and the index on a sample, and draw the background; `add` does the slides.

        Args:
            database: the features of the whole cohort.

        Raises:
            ConfigError: an engine that holds a database already, or a database without patches.
        """
        if len(self.index):
            raise ConfigError(
                f"engine {self.name}: holds {len(self.index)} rows already, expected none; use a new engine"
            )
        sample, sampled = self._sample(database)
        self.index.train(sample)
        self._feature_dim = database.dim
        self._code_dim = _dim_of(sample)
        background = None if self.background is None else self.background.draw(sample, sampled)
        self._keep(SlideRecords(background=background))

    @property
    def is_fitted(self) -> bool:
        """Whether slides can be added; a loaded engine is."""
        return self._records is not None

    @property
    def records(self) -> SlideRecords:
        """What is kept of the slides.

        Raises:
            ConfigError: an engine without a database.
        """
        if self._records is None:
            raise ConfigError(f"engine {self.name}: no database yet, build or load one first")
        return self._records

    @property
    def predictions(self) -> SlidePredictions:
        """What the trained head says of each slide."""
        return self.records.predictions

    @property
    def reports(self) -> SlideReports:
        """What was said of the slides."""
        return self.records.reports

    def add(
        self,
        database: FeatureStore,
        on_slide: Callable[[str], None] | None = None,
        slide_ids: Sequence[str] | None = None,
    ) -> tuple[str, ...]:
        """Append the slides that the index lacks; what was fitted stays as it is, but a fitted ranking looks again.

        Args:
            database: features of the same encoder; slides that are in the index already are skipped.
            on_slide: called with each slide_id once it is added.
            slide_ids: of the database, those that are looked at; all of them by default.

        Returns:
            The slides that were appended.

        Raises:
            IndexMismatch: features of another dimension.
            ConfigError: a slide that is named twice, or a ranking that has to see all codes, which the index does not
                keep.
        """
        records, known = self.records, set(self.rows.slide_ids)
        asked = database.slide_ids if slide_ids is None else slide_ids
        new = [slide_id for slide_id in asked if slide_id not in known]
        check_distinct(new)
        self._check_dim(database.slide_ids[0], database.dim)
        for_ranking = CodesForRanking(self.ranking)
        for_ranking.add(codes_seen(self.ranking, self.index))
        added = self._add_all(database, new, for_ranking, on_slide)
        if added:
            self._keep(replace(records, table=RowsTable.joined([records.table, RowsTable.of(added)])))
            for_ranking.fit(self.index, self.rows)
        return tuple(slide.slide_id for slide in added)

    def remove(self, slide_ids: Collection[str]) -> None:
        """Take slides out, and all that is kept of them; what was fitted to them and to others stays as it is.

        Raises:
            ConfigError: a slide that is not there, no slide that would be left, or a part that cannot let slides go.
        """
        records, rows = self.records, self.rows
        check_removal(slide_ids, rows)
        is_removed = np.isin(np.array(rows.slide_ids), list(slide_ids))
        is_removed_row = is_removed[rows.slide_of_row]
        seen = codes_seen(self.ranking, self.index)
        left_records = records.without(slide_ids)
        remove_rows(self.index, is_removed_row)
        self._keep(left_records)
        left = None if seen is None else codes_left(seen, is_removed_row, is_removed)
        for_ranking = CodesForRanking(self.ranking)
        for_ranking.add(left)
        for_ranking.fit(self.index, self.rows)

    def join(self, others: Sequence[RetrievalEngine]) -> None:
        """Search the databases of other engines too; a fitted ranking looks at all of them together.

        Args:
            others: of the same parts, without a slide of this one; they are used up.

        Raises:
            IncompatibleParts: indexes whose distances cannot be compared.
            ConfigError: a slide that two of them have.
        """
        engines = [self, *others]
        records = joined_records([engine.records for engine in engines])
        for_ranking = CodesForRanking(self.ranking)
        for engine in engines:
            for_ranking.add(codes_seen(engine.ranking, engine.index))
        self.index = joined_index([engine.index for engine in engines])
        self._keep(records)
        for_ranking.fit(self.index, self.rows)

    def search(self, query: SlideFeatures, k: int, is_excluded: Bool[np.ndarray, " row"] | None = None) -> Ranking:
        """The `k` best answers among the rows that are not excluded; fewer when there are fewer.

        Raises:
            ConfigError: `k` below 1, a mask of another length, or an engine without a database.
            IndexMismatch: features of another dimension than the database.
            SlideError: a query without patches.
        """
        self._check_query(query, k, is_excluded)
        if is_excluded is not None and is_excluded.all():
            return Ranking(query.slide_id, ())
        codes = self.query_codes(query)
        neighbours = neighbours_for(self.ranking, self.index, self.rows, codes, k, is_excluded)
        summary = None if codes.summaries is None else codes.summaries[0]
        neighbours = replace(neighbours, query_weights=codes.weights, query_summary=summary)
        return self.ranking.rank(query.slide_id, neighbours, self.rows, k)

    def keep_reports(self, texts: pd.Series) -> None:
        """Keep what was said of the slides of the database, and a vector of it, so that reports can be found.

        Args:
            texts: by slide_id; those of other slides are left out.

        Raises:
            IncompatibleParts: a code without a side for text.
            ConfigError: no slide of the database has a report.
        """
        kept = texts[texts.index.isin(self.rows.slide_ids)]
        if not len(kept):
            raise ConfigError(f"engine {self.name}: none of the {len(texts)} reports is of a slide of its database")
        self._records = replace(self.records, reports=SlideReports.of(kept, self.code))

    def search_reports(
        self, query: SlideFeatures, k: int, is_excluded: Bool[np.ndarray, " row"] | None = None
    ) -> Ranking:
        """The `k` reports nearest to a slide as a whole, of slides that are not excluded; raises as `search` does."""
        self._check_query(query, k, is_excluded)
        summaries = self.query_codes(query).summaries
        assert summaries is not None  # a code that reports were encoded by codes slides as a whole
        return self.reports.ranking(query.slide_id, summaries[0], self.rows, k, is_excluded)

    def significance_of(self, query: SlideFeatures, ranking: Ranking) -> Significance | None:
        """How unusual each hit of a ranking is, in its order; see `significance_of_hits`.

        A hit's distance is that of its nearest patch to the nearest query code. None without a background, as of an
        index that was built without one.

        Args:
            query: what was searched for.
            ranking: what `search` answered.
        """
        background = self.records.background
        if background is None:
            return None
        codes = self.query_codes(query)
        return significance_of_hits(codes, background.codes, ranking, self.index, self.official_squared_score)

    def save(self, folder: Path, provenance: Provenance | None = None) -> None:
        """Write the index folder, whole or not at all.

        Args:
            folder: where it goes; an index that is there is replaced.
            provenance: what shaped the features, for the manifest.

        Raises:
            ConfigError: an engine without a database.
        """
        records = self.records
        entries = self._entries() | asdict(provenance or Provenance())
        more = records.files() | weights_file(self.code) | fitted_file(self.code) | ranking_file(self.ranking)
        write_folder(folder, self.index, records.table, entries, more)

    def load(self, folder: Path, expected: Provenance | None = None, verify: Verify = "full") -> None:
        """Read an index folder after checking it.

        Args:
            folder: what `save` wrote.
            expected: the encoder that queries will come from; not compared when None.
            verify: see `open_folder`.

        Raises:
            IndexMismatch: a damaged folder, or one that was built with other parts or another encoder.
        """
        opened = open_folder(folder, verify)
        opened.expect(**self._parts())
        expect_weights(opened, self.code)
        if expected is not None:
            opened.expect(encoder=expected.encoder, encoder_digest=expected.encoder_digest)
        load_fitted(opened, self.code)
        self._load_index(opened)
        self._feature_dim = opened.manifest["feature_dim"]
        self._code_dim = opened.manifest["dim"]
        self._keep(records_in(opened, self._code_dim if self.code.kind != "float" else 0))
        restore_fitted(self.ranking, opened)

    def use_labels(self, labels: Mapping[str, pd.Series]) -> None:
        """Hand the database's labels to rankings that weigh them; slides that such a ranking cannot name are counted.

        Args:
            labels: column -> label by slide_id; NaN where a slide has none.
        """
        slide_ids = list(self.rows.slide_ids)
        known = {column: tuple(map(_label, values.reindex(slide_ids))) for column, values in labels.items()}
        self.rows = replace(self.rows, labels=known)
        report_unlabelled(self.ranking, self.rows)

    def query_codes(self, query: SlideFeatures) -> Codes:
        """What is searched for: the codes of the patches that stand for the query.

        Raises:
            IndexMismatch: barcodes of another length than the database's, though they may fill as many bytes.
        """
        codes = _encoded(self.code.encode_query, query.slide_id, standing_for(self.query_mosaic, query)[1])
        if codes.n_bits not in (0, self._code_dim):
            raise IndexMismatch(
                f"{query.slide_id}: barcodes have {codes.n_bits} bits, the index was built with {self._code_dim}; "
                "use the code it was built with, or rebuild it with build_index.py"
            )
        return codes

    def patch_size_of(self, slide_id: str) -> tuple[int, int]:
        """Width and height of the indexed patches of a slide, level-0 pixels."""
        if slide_id not in self.rows.slide_ids:
            raise ConfigError(f"engine {self.name}: {slide_id} is not in its database")
        width, height = self.records.table.patch_sizes[self.rows.slide_ids.index(slide_id)].tolist()
        return width, height

    def _sample(self, database: FeatureStore) -> tuple[Codes, list[str]]:
        """Codes that the index is fitted on, and the slide of each."""
        slides = self.training_sample.draw(database)
        fit_code(self.code, np.concatenate([features for _, features in slides]))
        parts = [_encoded(self.code.encode, *drawn) for drawn in slides]
        return joined(parts), [slides[i][0] for i, part in enumerate(parts) for _ in range(len(part))]

    def _add_all(
        self,
        database: FeatureStore,
        slide_ids: Sequence[str],
        for_ranking: CodesForRanking,
        on_slide: Callable[[str], None] | None,
    ) -> list[IndexedSlide]:
        slides, bare = [], []
        for slide_id in slide_ids:
            slide = database.load(slide_id)
            if len(slide.features):
                slides.append(self._add(slide, database.patient_of(slide_id), for_ranking))
            else:
                bare.append(slide_id)
            if on_slide is not None:
                on_slide(slide_id)
        if bare:
            log.warning(
                "engine %s: left out %d of %d slides, which have no patches: %s",
                *(self.name, len(bare), len(slide_ids), ", ".join(bare)),
            )
        return slides

    def _add(self, slide: SlideFeatures, patient_id: str, for_ranking: CodesForRanking) -> IndexedSlide:
        kept, features = standing_for(self.mosaic, slide)
        places, codes = _encoded(partial(with_places, self.code), slide.slide_id, features)
        self.index.add(codes)
        for_ranking.add(codes)
        self.predictions.add(slide.slide_id, self.code, features)
        self._code_dim = _dim_of(codes)
        return IndexedSlide(slide.slide_id, patient_id, slide.coords[kept[places]], slide.patch_size_level0)

    def _keep(self, records: SlideRecords) -> None:
        self._records = records
        self.rows = records.table.rows

    def _check_query(self, query: SlideFeatures, k: int, is_excluded: Bool[np.ndarray, " row"] | None) -> None:
        n_rows = len(self.records.table.rows)
        if k < 1:
            raise ConfigError(f"engine {self.name}: k is {k}, expected at least 1")
        if is_excluded is not None and len(is_excluded) != n_rows:
            raise ConfigError(
                f"engine {self.name}: the exclusion mask has {len(is_excluded)} rows, the database has {n_rows}"
            )
        if len(query.features) == 0:
            raise SlideError(f"{query.slide_id}: no patches to search with; check its tissue and its size")
        self._check_dim(query.slide_id, query.features.shape[1])

    def _check_dim(self, slide_id: str, dim: int) -> None:
        if dim != self._feature_dim:
            raise IndexMismatch(
                f"{slide_id}: features have {dim} columns, the index was built with {self._feature_dim}; use the "
                "encoder it was built with, or rebuild it with build_index.py"
            )

    def _load_index(self, opened: OpenedFolder) -> None:
        self.index.load(opened.index_path)
        if len(self.index) != len(opened.table.rows):
            raise mismatch(opened.folder, f"the index has {len(self.index)} rows, its table {len(opened.table.rows)}")
        opened.expect(index_settings=self.index.describe())

    def _entries(self) -> dict[str, Any]:
        return {
            "engine": self.name,
            **self._parts(),
            "weights": weights_digest(self.code),
            "index_settings": self.index.describe(),
            "ranking_fitted": fitted_settings(self.ranking),
            "dim": self._code_dim,
            "feature_dim": self._feature_dim,
        }

    def _parts(self) -> dict[str, str]:
        parts = {"mosaic": self.mosaic, "code": self.code, "index": self.index}
        return {name: _type_name(part) for name, part in parts.items()} | {"code_kind": self.code.kind}


def _dim_of(codes: Codes) -> int:
    """Bits of a barcode, or columns of a vector."""
    return codes.n_bits or codes.values.shape[1]


def _encoded(
    encode: Callable[[Float32[np.ndarray, "patch feature"]], Coded],
    slide_id: str,
    features: Float32[np.ndarray, "patch feature"],
) -> Coded:
    """The codes of a slide; what is wrong with its features is said with its name."""
    try:
        return encode(features)
    except (FeatureFileError, IncompatibleParts) as error:
        raise type(error)(f"{slide_id}: {error}") from None


def _label(value: Any) -> str | None:
    return None if pd.isna(value) else str(value)


def _type_name(part: object) -> str:
    return f"{type(part).__module__}.{type(part).__qualname__}"
