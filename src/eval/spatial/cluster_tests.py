"""Genes that a cluster of spots expresses more, or less, than the other spots of its slide.

Source: HERE (data2intelligence/HERE_training, `generate_data_for_hereapp.py`): per cluster and gene Wilcoxon's rank-sum
test (normal approximation without correction for ties), Cohen's d, and the false discovery rate over the genes of the
cluster (Benjamini and Hochberg, 1995).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float64, Int64
from scipy import stats

from src.errors import ConfigError

_OFFICIAL_WEB_FDR = 0.1


def cluster_gene_tests(
    values: Float64[np.ndarray, "spot gene"], clusters: Int64[np.ndarray, " spot"], genes: Sequence[str]
) -> pd.DataFrame:
    """Compare each cluster's spots with all others, gene by gene.

    Args:
        values: expression.
        clusters: cluster of each spot.
        genes: name of each column.

    Returns:
        Columns cluster, gene, n_spots, cohens_d (the cluster's mean minus the others', in pooled standard deviations;
        NaN for a gene that does not vary), z, p (two-sided), fdr.

    Raises:
        ConfigError: there is only one cluster.
    """
    found = np.unique(clusters)
    if len(found) < 2:
        raise ConfigError(f"{len(found)} cluster of {len(clusters)} spots; there is nothing to compare it with")
    ranks = stats.rankdata(values, axis=0)
    return pd.concat([_test(values, ranks, clusters == cluster, int(cluster), genes) for cluster in found])


def query_genes(
    tests: pd.DataFrame,
    genes: Collection[str] | None = None,
    min_cohens_d: float = 1.0,
    max_fdr: float = 0.05,
    official_web_fdr: bool = False,
    limit: int | None = 100,
) -> pd.DataFrame:
    """The clusters that express a gene more than other spots, largest effect first.

    Args:
        tests: as `cluster_gene_tests` gives them, of one slide or several.
        genes: only these; all when None.
        min_cohens_d: d has to be larger.
        max_fdr: the false discovery rate has to be smaller; 0.05 in the paper.
        official_web_fdr: 0.1 instead, where the web portal starts.
        limit: rows at most; None gives all.
    """
    largest = _OFFICIAL_WEB_FDR if official_web_fdr else max_fdr
    is_found = (tests["cohens_d"] > min_cohens_d) & (tests["fdr"] < largest)
    if genes is not None:
        is_found &= tests["gene"].isin(list(genes))
    return tests[is_found].sort_values("cohens_d", ascending=False, kind="stable")[:limit]


def _test(
    values: Float64[np.ndarray, "spot gene"],
    ranks: Float64[np.ndarray, "spot gene"],
    is_in: Bool[np.ndarray, " spot"],
    cluster: int,
    genes: Sequence[str],
) -> pd.DataFrame:
    z = _rank_sum_z(ranks, is_in)
    p = 2 * stats.norm.sf(np.abs(z))
    columns = {"cohens_d": _cohens_d(values[is_in], values[~is_in]), "z": z, "p": p}
    fdr = stats.false_discovery_control(p, method="bh")
    return pd.DataFrame({"cluster": cluster, "gene": list(genes), "n_spots": int(is_in.sum()), **columns, "fdr": fdr})


def _rank_sum_z(
    ranks: Float64[np.ndarray, "spot gene"], is_in: Bool[np.ndarray, " spot"]
) -> Float64[np.ndarray, " gene"]:
    n_in, n_out = int(is_in.sum()), int((~is_in).sum())
    expected = n_in * (n_in + n_out + 1) / 2
    spread = np.sqrt(n_in * n_out * (n_in + n_out + 1) / 12)
    z: np.ndarray = (ranks[is_in].sum(axis=0) - expected) / spread
    return z


def _cohens_d(
    inside: Float64[np.ndarray, "spot gene"], outside: Float64[np.ndarray, "other gene"]
) -> Float64[np.ndarray, " gene"]:
    squares = sum(np.square(part - part.mean(axis=0)).sum(axis=0) for part in (inside, outside))
    pooled = np.sqrt(squares / max(1, len(inside) + len(outside) - 2))
    difference = inside.mean(axis=0) - outside.mean(axis=0)
    d: np.ndarray = np.full_like(difference, np.nan)
    np.divide(difference, pooled, out=d, where=pooled > 0)
    return d
