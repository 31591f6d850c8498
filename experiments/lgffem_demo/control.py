"""`python -m experiments.lgffem_demo.control LEARNT SEARCHED LGFFEM`: a linear map learnt from the same labels.

Linear discriminants of the backbone's pooled features, with the shrinkage of Ledoit and Wolf, are fitted on the patches
of a run over the half that is learnt from, and search those of a run over the other half by cosine, the query's patient
left out. LGFFEM is a run over that half too, with which the top-1 is compared.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from hydra.utils import instantiate
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from src.eval.statistics import bootstrap_interval, paired_permutation_test
from src.runs.encoders import encoder_of
from src.runs.prepare import find_features
from src.runs.reader_study.finished_run import FinishedRun, open_runs


def main(learnt: str, searched: str, lgffem: Path) -> None:
    """Print the top-1 of the control, and how far LGFFEM is from it."""
    features, table = _patches(open_runs([learnt])[0])
    discriminants = LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto").fit(features, table["tissue"])
    asked, table = _patches(open_runs([searched])[0])
    mapped = discriminants.transform(asked)
    mapped /= np.linalg.norm(mapped, axis=1, keepdims=True)
    patients, tissues = table["patient_id"].to_numpy(), table["tissue"].to_numpy()
    cosine = np.where(patients[:, None] == patients[None], -np.inf, mapped @ mapped.T)
    top_1 = pd.Series((tissues[cosine.argmax(axis=1)] == tissues).astype(np.float64), table.index)
    _print("linear discriminants, top1", top_1.to_numpy(), table)
    other = pd.read_parquet(lgffem / "per_query.parquet").set_index("query_id")["top1"].loc[table.index].to_numpy()
    _print("LGFFEM minus these, top1", other - top_1.to_numpy(), table)
    print(f"p {paired_permutation_test(other, top_1.to_numpy(), table['patient_id'].tolist()):.4f}")


def _patches(run: FinishedRun) -> tuple[np.ndarray, pd.DataFrame]:
    """Features, and tissue and patient of each patch by its name in the rankings."""
    store = find_features(
        run.config, run.cohort, encoder_of(run.config), instantiate(run.config.patching, _convert_="all")
    )
    assert store is not None
    slides = [store.load(slide_id) for slide_id in store.slide_ids]
    names = [f"{slide.slide_id}@{x},{y}" for slide in slides for x, y in slide.coords.tolist()]
    of_slide = run.cohort.table.set_index("slide_id")
    rows = of_slide.loc[[name.partition("@")[0] for name in names], ["patient_id", "tissue"]]
    return np.concatenate([slide.features for slide in slides]), rows.set_axis(names)


def _print(name: str, values: np.ndarray, table: pd.DataFrame) -> None:
    interval = bootstrap_interval(values, np.zeros(len(values), np.int64), table["patient_id"].tolist())
    assert interval is not None
    print(f"{name}: {values.mean():.3f} [{interval[0]:.3f}, {interval[1]:.3f}]")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
