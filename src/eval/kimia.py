"""The eta of Kimia Path24C: the share of test patches whose scan is found, by three rules that give other numbers.

eta_p is the share of the patches, eta_W the mean of the scans' shares, eta_tot their product. The rules:

kimia                each test patch asks the training patches, and its nearest is of its scan or not (Babaie et al.,
                     CVPR Workshops 2017). DenseNet-121 (91.62) and MA + MS-loss (94.95) were measured so. eval=kimia
kimia_leave_one_out  each test patch asks the other test patches. eval=kimia_leave_one_out, as the next one
kimia_notebook       LGFFEM's own rule (camilo-nunez/ffnir at cac8757, ntbk_02), by which its 98.87 was measured. Only
                     the first patch of each scan asks. Counted are the patches of its scan, itself included, among as
                     many neighbours as this scan and those before it have patches; for the last scan these are all,
                     so that all are found. A random ranking has eta_p .525, eta_W .526 and eta_tot .276, and one query
                     stands for a whole scan: its numbers do not belong beside those of the other two.
"""

from __future__ import annotations

import numpy as np

from src.errors import ConfigError
from src.eval.judged import Judged
from src.eval.metrics import Values
from src.eval.statistics import Average

ETA: dict[str, Average] = {"eta_p": "queries", "eta_W": "classes", "eta_tot": "queries times classes"}
"""How the values of all queries become each eta."""


def notebook_shares(judged: Judged) -> Values:
    """The share of its scan that the first patch of each scan finds, repeated for every patch of the scan.

    So the mean over patches is the sum of all patches found over that of all patches.

    Args:
        judged: rankings of all test patches among the others, in the order of the scans.

    Raises:
        ConfigError: rankings that are too short.
    """
    scans, first, of_query = np.unique(judged.query_label, return_index=True, return_inverse=True)
    sizes = np.bincount(of_query)
    shares = np.empty(len(scans))
    n_before = 0
    for scan in np.argsort(first):
        n_before += sizes[scan]
        shares[scan] = _found(judged, int(first[scan]), int(n_before) - 1) / sizes[scan]
    return shares[of_query]


def _found(judged: Judged, query: int, n_neighbours: int) -> int:
    """Patches of the query's scan among its neighbours and itself."""
    hits = judged.hit_label[query, :n_neighbours]
    if len(hits) < min(n_neighbours, int(judged.n_allowed[query])):
        raise ConfigError(
            f"kimia_notebook: {judged.query_ids[query]} needs {n_neighbours} hits, its ranking has {len(hits)}; set "
            f"eval.depth={len(judged)}"
        )
    return 1 + int((hits == judged.query_label[query]).sum())
