"""One section: its spots encoded, clustered and tested gene by gene, then written as tables and a map."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hydra.utils import instantiate
from jaxtyping import Int64
from omegaconf import OmegaConf

from src.data.encoding import encode_patches
from src.data.files import write_json, written_whole
from src.data.slide import PyramidSlide, open_slide
from src.data.spatial.expression import Expression, normalise
from src.data.spatial.her2st import read_her2st
from src.data.spatial.section import Section
from src.data.spatial.space_ranger import read_space_ranger
from src.data.spatial.spot_patches import spot_patches
from src.errors import CohortError, ConfigError
from src.eval import figures
from src.eval.spatial.cluster_tests import cluster_gene_tests, query_genes
from src.eval.spatial.clustering import Scaling, cluster_patches
from src.eval.spatial.maps import SpotPlaces, spot_map
from src.interfaces import Encoder
from src.runs.cli import CONF

log = logging.getLogger(__name__)

_OVERVIEW_PX = 2000


@dataclass(frozen=True)
class SectionOptions:
    """How a section is looked at; see the parts that take them."""

    encoder: str = "stain_texture"
    checkpoint: str | None = None
    mpp: float | None = None
    min_genes: int = 500
    min_spots: int = 5
    n_clusters: int = 8
    scaling: Scaling = "z_score"
    seed: int = 42
    genes: tuple[str, ...] = ()
    min_cohens_d: float = 1.0
    max_fdr: float = 0.05
    official_web_fdr: bool = False


@dataclass(frozen=True)
class SectionResult:
    """What was found.

    Attributes:
        facts: sizes and settings.
        tests: every cluster and gene, as `cluster_gene_tests` gives them.
        found: those that the gene query finds.
    """

    facts: dict[str, Any]
    tests: pd.DataFrame
    found: pd.DataFrame


def read_section(folder: Path, image: Path | None = None) -> Section:
    """A section in the layout of her2st or of Space Ranger.

    Raises:
        CohortError: the folder has neither layout, or is damaged.
    """
    if (folder / "spots.tsv").exists():
        return read_her2st(folder)
    if (folder / "filtered_feature_bc_matrix.h5").exists():
        return read_space_ranger(folder, image)
    raise CohortError(f"{folder}: neither spots.tsv (her2st) nor filtered_feature_bc_matrix.h5 (Space Ranger) is there")


def run_section(section: Section, out: Path, options: SectionOptions) -> SectionResult:
    """Look at a section and write spots.csv, tests.parquet, genes.csv, summary.json and map.png into `out`."""
    expression = normalise(section, options.min_genes, options.min_spots)
    _check_genes(options.genes, expression)
    encoder = load_encoder(options.encoder, options.checkpoint)
    slide = open_slide(section.image, section.name, options.mpp, default_mpp=section.array_mpp)
    try:
        patches = spot_patches(section, slide)
        _, features, _ = encode_patches(slide, patches, encoder)
        clusters = cluster_patches(features[expression.rows], options.n_clusters, options.scaling, options.seed)
        tests = cluster_gene_tests(expression.values, clusters, expression.genes)
        asked = (options.genes or None, options.min_cohens_d, options.max_fdr, options.official_web_fdr)
        found = query_genes(tests, *asked, limit=None)
        result = SectionResult(_facts(section, expression, slide, options), tests, found)
        _write(out, section, expression, clusters, result)
        _draw(out / "map.png", slide, section, expression, clusters, _mapped(options.genes, result))
    finally:
        slide.close()
    return result


def load_encoder(name: str, checkpoint: str | None = None) -> Encoder:
    """The encoder of `conf/encoder/<name>.yaml`.

    Raises:
        ConfigError: there is no such encoder.
    """
    known = sorted(path.stem for path in (CONF / "encoder").glob("*.yaml"))
    if name not in known:
        nearest = difflib.get_close_matches(name, known, n=1) or ["stain_texture"]
        raise ConfigError(f"unknown encoder {name!r}; did you mean {nearest[0]}? conf/encoder/ lists all {len(known)}")
    config = OmegaConf.load(CONF / "encoder" / f"{name}.yaml")
    config.checkpoint = checkpoint
    encoder: Encoder = instantiate(config, _convert_="all")
    return encoder


def _check_genes(genes: Sequence[str], expression: Expression) -> None:
    for gene in genes:
        if gene not in expression.genes:
            nearest = difflib.get_close_matches(gene.upper(), expression.genes, n=1)
            hint = f"did you mean {nearest[0]}?" if nearest else f"{len(expression.genes)} genes are"
            raise ConfigError(f"gene {gene!r} is not among those that enough spots have; {hint}")


def _facts(section: Section, expression: Expression, slide: PyramidSlide, options: SectionOptions) -> dict[str, Any]:
    return {
        "section": section.name,
        "n_spots": len(expression.rows),
        "n_spots_left_out": len(section.spots) - len(expression.rows),
        "n_genes": len(expression.genes),
        "patch_size_px": spot_patches(section, slide).size_px[0],
        "expression": "log(1 + counts per 10,000), centred per gene; HERE uses sctransform",
        **vars(options),
        "mpp": round(slide.mpp, 4),
        "mpp_source": "spot pitch" if slide.mpp_source == "default" else slide.mpp_source,
    }


def _write(
    out: Path, section: Section, expression: Expression, clusters: Int64[np.ndarray, " spot"], result: SectionResult
) -> None:
    spots = [section.spots[row] for row in expression.rows]
    x, y = section.centres[expression.rows].T
    with written_whole(out / "spots.csv") as temporary:
        pd.DataFrame({"spot": spots, "x": x, "y": y, "cluster": clusters}).to_csv(temporary, index=False)
    with written_whole(out / "tests.parquet") as temporary:
        result.tests.to_parquet(temporary, index=False)
    with written_whole(out / "genes.csv") as temporary:
        result.found.to_csv(temporary, index=False)
    write_json(out / "summary.json", result.facts)


def _mapped(genes: Sequence[str], result: SectionResult) -> list[str]:
    """The genes that were asked for, else the one with the largest effect."""
    return list(genes) or result.found["gene"].head(1).tolist()


def _draw(
    path: Path,
    slide: PyramidSlide,
    section: Section,
    expression: Expression,
    clusters: Int64[np.ndarray, " spot"],
    genes: Sequence[str],
) -> None:
    overview = slide.overview(max(1.0, max(slide.width_px, slide.height_px) / _OVERVIEW_PX))
    scale = overview.shape[1] / slide.width_px
    places = SpotPlaces(overview, section.centres[expression.rows] * scale, section.spot_diameter_px * scale / 2)
    column_of = {gene: column for column, gene in enumerate(expression.genes)}
    values = {gene: expression.values[:, column_of[gene]] for gene in genes}
    figures.save(spot_map(places, clusters, values), path)
