"""Which slides are learnt from, chosen on and tested on: a patient is in one split only."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool

from src.errors import ConfigError

log = logging.getLogger(__name__)

SPLITS = ("train", "val", "test")


def split_by_patient(labels: pd.Series, patients: pd.Series, fractions: Sequence[float], seed: int) -> pd.Series:
    """Draw a split of patients in which train has every class and each split has about the same mix of classes.

    Args:
        labels: class of each slide, by slide_id.
        patients: owner of each slide, by slide_id.
        fractions: share of the patients in train, val and test; val and test have at least one patient.
        seed: draws another split.

    Returns:
        `train`, `val` or `test`, by slide_id.

    Raises:
        ConfigError: fractions that are no shares of one whole, or too few patients.
    """
    _check_fractions(fractions)
    rng = np.random.default_rng(seed)
    owners = patients[labels.index]
    classes_of = {str(patient): set(group) for patient, group in labels.groupby(owners)}
    shuffled = [str(patient) for patient in rng.permutation(sorted(classes_of))]
    first_of_class = {next(p for p in shuffled if name in classes_of[p]) for name in set(labels)}
    free = _mixed([p for p in shuffled if p not in first_of_class], classes_of, rng)
    n_val, n_test = (max(1, round(share * len(shuffled))) for share in fractions[1:])
    if len(free) < n_val + n_test:
        raise ConfigError(
            f"{len(shuffled)} patients with {labels.nunique()} classes are too few for train, val and test; "
            "give the cohort more patients, or a split column"
        )
    split_of = dict.fromkeys(shuffled, "train")
    split_of.update(dict.fromkeys(free[-n_test - n_val :], "val"))
    split_of.update(dict.fromkeys(free[-n_test:], "test"))
    return owners.map(split_of)


def checked_split(split: pd.Series, labels: pd.Series, patients: pd.Series) -> pd.Series:
    """The cohort's own split of the labelled slides, if it can be trained with.

    Raises:
        ConfigError: another word than train, val and test, an empty split, a patient in two, a class missing in train.
    """
    split = split[labels.index]
    strange = split[~split.isin(SPLITS)]
    if len(strange):
        raise ConfigError(
            f"{strange.index[0]}: split is {strange.iloc[0]!r}; a split column holds train, val and test only"
        )
    missing = [name for name in SPLITS if name not in set(split)]
    if missing:
        raise ConfigError(f"the cohort's split column gives no labelled slide to {', '.join(missing)}; add some")
    n_splits = split.groupby(patients[labels.index]).nunique()
    torn = [str(patient) for patient in n_splits.index[n_splits > 1]]
    if torn:
        raise ConfigError(f"{len(torn)} patients have slides in several splits ({torn[0]} is one); keep each in one")
    return split


def refuse_unseen_classes(split: pd.Series, labels: pd.Series) -> None:
    """Raise ConfigError when a class is in val or test, but not in train."""
    unseen = sorted(set(labels) - set(labels[split == "train"]))
    if unseen:
        raise ConfigError(f"the cohort's split column has no slide of class {unseen[0]!r} in train; move one there")


def split_with_every_class(
    classes: pd.DataFrame, patients: pd.Series, fractions: Sequence[float], seed: int, n_draws: int = 1000
) -> pd.Series:
    """Draw splits of patients until each of the three has every class of every column, as HERE does.

    Where no draw has, the one that has most is taken, and what it lacks is counted on the log.

    Args:
        classes: of each slide, by slide_id; NaN where unknown.
        patients: owner of each slide, by slide_id.
        fractions: share of the patients in train, val and test; each split has at least one patient.
        seed: draws another split.
        n_draws: when to give up.

    Returns:
        `train`, `val` or `test`, by slide_id.

    Raises:
        ConfigError: fractions that are no shares of one whole, or fewer than three patients.
    """
    _check_fractions(fractions)
    owners = patients[classes.index]
    has_class = _has_class(classes).groupby(owners).any()
    n_val, n_test = (max(1, round(share * len(has_class))) for share in fractions[1:])
    if len(has_class) < n_val + n_test + 1:
        raise ConfigError(f"{len(has_class)} patients are too few for train, val and test; give the cohort more")
    rng = np.random.default_rng(seed)
    kind = np.array([SPLITS[2]] * n_test + [SPLITS[1]] * n_val + [SPLITS[0]] * (len(has_class) - n_val - n_test))
    drawn, n_lacking = _best_draw(has_class.to_numpy(dtype=bool), kind, rng, n_draws)
    if n_lacking:
        log.warning("%d of %d classes are missing in a split and cannot be judged there", n_lacking, has_class.shape[1])
    return owners.map(dict(zip(has_class.index, drawn, strict=True)))


def _check_fractions(fractions: Sequence[float]) -> None:
    if len(fractions) != 3 or min(fractions) <= 0 or not np.isclose(sum(fractions), 1):
        raise ConfigError(f"fractions are {list(fractions)}; train, val and test need positive shares that sum to 1")


def _has_class(classes: pd.DataFrame) -> pd.DataFrame:
    """One column per column and class."""
    flags = {(column, name): classes[column] == name for column in classes for name in set(classes[column].dropna())}
    return pd.DataFrame(dict(sorted(flags.items())), index=classes.index, dtype=bool)


def _best_draw(
    has_class: Bool[np.ndarray, "patient class"], kind: np.ndarray, rng: np.random.Generator, n_draws: int
) -> tuple[np.ndarray, int]:
    """The split of each patient, and how many classes one of the splits lacks; train comes before val and test."""
    best, fewest = kind, (has_class.shape[1] + 1,) * 2
    for _ in range(n_draws):
        drawn = rng.permutation(kind)
        in_split = {name: has_class[drawn == name].any(axis=0) for name in SPLITS}
        is_complete = np.logical_and.reduce(list(in_split.values()))
        lacking = (int((~in_split["train"]).sum()), int((~is_complete).sum()))
        if lacking < fewest:
            best, fewest = drawn, lacking
        if fewest[1] == 0:
            break
    return best, fewest[1]


def _mixed(patients: Sequence[str], classes_of: Mapping[str, set[str]], rng: np.random.Generator) -> list[str]:
    """Patients in an order of which every stretch has about the same mix of classes.

    The i-th of a class's n patients stands at (i + offset) / n of the way. A patient of several classes counts as its
    rarest.
    """
    counts = pd.Series([name for patient in patients for name in classes_of[patient]], dtype=str).value_counts()
    strata: dict[str, list[str]] = {}
    for patient in patients:
        rarest = min(classes_of[patient], key=lambda name: (counts[name], name))
        strata.setdefault(rarest, []).append(patient)
    places: dict[str, float] = {}
    for _, members in sorted(strata.items()):
        offset = rng.random()
        places.update({patient: (i + offset) / len(members) for i, patient in enumerate(members)})
    return sorted(places, key=places.__getitem__)
