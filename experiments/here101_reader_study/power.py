"""How often a study finds a difference that is there: its own key, scored by three readers who are made up.

An answer's true similarity is normal (mean 3, standard deviation 0.8), higher by the effect for one method; each reader
sees it with an error of 0.6 and rounds to 1 ... 5.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from src.eval.reader_study.scores import comparisons, unblind
from src.eval.reader_study.sheets import Sheet
from src.eval.reader_study.study import Study, load_study

N_STUDIES = 200
EFFECTS = (0.0, 0.25, 0.5, 0.75, 1.0)


def readings(study: Study, effect: float, seed: int) -> list[Sheet]:
    """The sheets of three readers."""
    rng = np.random.default_rng(seed)
    better = sorted(set(study.items["method"]))[0]
    truth = rng.normal(3.0, 0.8, len(study.items)) + effect * (study.items["method"] == better).to_numpy()
    seen = np.clip(np.rint(truth + rng.normal(0, 0.6, (3, len(truth)))), 1, 5)
    items = study.items["item"]
    return [Sheet(f"r{n}", pd.DataFrame({"overall": scores}, items), (), ()) for n, scores in enumerate(seen)]


def main(folder: Path) -> None:
    """Print the share of studies with p < 0.05, by effect and test."""
    study = load_study(folder)
    for effect in EFFECTS:
        tests = [comparisons(unblind(study.items, readings(study, effect, seed))).iloc[0] for seed in range(N_STUDIES)]
        p = pd.DataFrame(tests)[["wilcoxon_p", "patient_p"]]
        shares = (p < 0.05).mean()
        print(f"effect {effect:.2f}: Wilcoxon {shares['wilcoxon_p']:.3f}, by patient {shares['patient_p']:.3f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
