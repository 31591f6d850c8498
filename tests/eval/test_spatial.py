from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from src.errors import ConfigError
from src.eval.spatial.cluster_tests import cluster_gene_tests, query_genes
from src.eval.spatial.clustering import cluster_patches
from src.eval.spatial.maps import SpotPlaces, spot_map
from tests.eval.report_data import noise


def groups(seed: int = 0, n_spots: int = 90, n_genes: int = 25) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Random counts with many ties, three clusters, and names of genes."""
    rng = np.random.default_rng(seed)
    values = rng.poisson(1.5, (n_spots, n_genes)).astype(np.float64)
    return values, rng.integers(0, 3, n_spots), [f"g{gene}" for gene in range(n_genes)]


@pytest.mark.golden
def test_cluster_tests_are_those_of_the_official_code(golden_dir: Path) -> None:
    recorded = np.load(golden_dir / "here_cluster_tests.npz", allow_pickle=False)
    genes = [str(gene) for gene in range(recorded["vst"].shape[1])]
    tests = cluster_gene_tests(recorded["vst"].astype(np.float64), recorded["cluster"].astype(np.int64), genes)
    for cluster, found in tests.groupby("cluster"):
        for name in ("z", "p", "cohens_d", "fdr"):
            np.testing.assert_allclose(found[name], recorded[f"{cluster}/{name}"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_rank_sums_are_scipys(seed: int) -> None:
    values, clusters, genes = groups(seed)
    tests = cluster_gene_tests(values, clusters, genes)
    for cluster, found in tests.groupby("cluster"):
        expected = stats.ranksums(values[clusters == cluster], values[clusters != cluster])
        np.testing.assert_allclose(found["z"], expected.statistic, rtol=1e-12)
        np.testing.assert_allclose(found["p"], expected.pvalue, rtol=1e-12)


def test_cohens_d_is_the_difference_in_pooled_standard_deviations() -> None:
    values = np.array([[1.0], [2.0], [3.0], [7.0], [9.0]])
    tests = cluster_gene_tests(values, np.array([0, 0, 0, 1, 1]), ["g"])
    pooled = np.sqrt((2 * 1.0 + 1 * 2.0) / 3)
    assert tests["cohens_d"].tolist() == pytest.approx([-6 / pooled, 6 / pooled])


def test_false_discovery_rate_is_over_the_genes_of_each_cluster() -> None:
    tests = cluster_gene_tests(*groups())
    for _, found in tests.groupby("cluster"):
        order = np.argsort(found["p"].to_numpy())
        stepped = found["p"].to_numpy()[order] * len(found) / np.arange(1, len(found) + 1)
        expected = np.minimum.accumulate(stepped[::-1])[::-1]
        np.testing.assert_allclose(found["fdr"].to_numpy()[order], np.minimum(1, expected))


def test_a_gene_that_does_not_vary_has_no_effect_and_p_of_one() -> None:
    values, clusters, genes = groups()
    values[:, 3] = 2.0
    constant = cluster_gene_tests(values, clusters, genes).query("gene == 'g3'")
    assert constant["cohens_d"].isna().all()
    assert (constant["p"] == 1).all()


def test_a_cluster_of_one_spot_is_tested_too() -> None:
    values, _, genes = groups(n_spots=20)
    tests = cluster_gene_tests(values, np.array([0] * 19 + [1]), genes)
    assert np.isfinite(tests["cohens_d"]).all()
    assert tests["n_spots"].unique().tolist() == [19, 1]


def test_one_cluster_cannot_be_compared() -> None:
    values, clusters, genes = groups()
    with pytest.raises(ConfigError, match="1 cluster of 90 spots"):
        cluster_gene_tests(values, np.zeros_like(clusters), genes)


def test_gene_query_finds_what_was_planted_largest_effect_first() -> None:
    values, clusters, genes = groups()
    values[clusters == 2, 4] += 6
    values[clusters == 1, 7] += 4
    found = query_genes(cluster_gene_tests(values, clusters, genes))
    assert found[["cluster", "gene"]].to_numpy().tolist()[:2] == [[2, "g4"], [1, "g7"]]
    assert (found["cohens_d"] > 1).all()
    assert query_genes(cluster_gene_tests(values, clusters, genes), genes=["g7"])["gene"].unique().tolist() == ["g7"]
    assert len(query_genes(cluster_gene_tests(values, clusters, genes), limit=1)) == 1


def test_the_web_portals_threshold_is_a_switch() -> None:
    tests = pd.DataFrame({"gene": ["a", "b", "c"], "cohens_d": [2.0, 2.0, 2.0], "fdr": [0.01, 0.07, 0.2]})
    assert query_genes(tests)["gene"].tolist() == ["a"]
    assert query_genes(tests, official_web_fdr=True)["gene"].tolist() == ["a", "b"]


@pytest.mark.parametrize("scaling", ["z_score", "unit_norm"])
def test_patches_that_look_alike_share_a_cluster_whatever_the_units(scaling: str) -> None:
    rng = np.random.default_rng(0)
    kinds = np.repeat(np.arange(4), 15)
    features = (np.eye(4)[kinds] * 10 + rng.normal(0, 0.3, (60, 4))).astype(np.float32)
    clusters = cluster_patches(features, 4, scaling)  # type: ignore[arg-type]
    assert len(set(zip(kinds.tolist(), clusters.tolist(), strict=True))) == 4
    np.testing.assert_array_equal(clusters, cluster_patches(features, 4, scaling))  # type: ignore[arg-type]


def test_a_column_in_other_units_changes_clusters_only_without_z_scores() -> None:
    rng = np.random.default_rng(1)
    features = rng.normal(0, 1, (50, 3)).astype(np.float32)
    other_units = features * np.array([1, 1, 1000], np.float32)
    np.testing.assert_array_equal(cluster_patches(features, 3), cluster_patches(other_units, 3))
    assert (cluster_patches(features, 3, "unit_norm") != cluster_patches(other_units, 3, "unit_norm")).any()


@pytest.mark.parametrize("n_clusters", [1, 6])
def test_more_clusters_than_spots_are_refused(n_clusters: int) -> None:
    with pytest.raises(ConfigError, match=f"{n_clusters} clusters of 5 spots"):
        cluster_patches(np.ones((5, 2), np.float32), n_clusters)


def test_map_has_a_panel_for_slide_clusters_and_each_gene() -> None:
    centres = np.array([[10.0, 10.0], [40.0, 30.0], [20.0, 50.0]])
    places = SpotPlaces(noise(64), centres, 3.0)
    figure = spot_map(places, np.array([0, 1, 1]), {"A": np.array([0.0, 1.0, 2.0]), "B": np.zeros(3)})
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["slide", "clusters", "A", "B"]
    assert [len(axes.collections) for axes in figure.axes] == [0, 1, 1, 1]
    figure.canvas.draw()
