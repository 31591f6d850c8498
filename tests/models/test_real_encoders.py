"""Encoders on real regions and patches, against the recorded baselines.

Leave one out, the query's own case left out, cosine; a query has a relevant image left; top-1.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf
from PIL import Image

CONF = Path(__file__).parents[2] / "conf" / "encoder"
LABELS = ("site", "structure", "cytoplasm")
WEIGHTS = {
    "mobilenetv2": "weights/timm_mobilenetv2_100_in1k_from_uint8_fp16.pth",
    "squeezenet": "weights/torchvision_squeezenet1_0_in1k_from_deepcompression_rgb_fp16.pth",
}


@pytest.fixture(scope="module")
def manifest(real_dir: Path) -> pd.DataFrame:
    return pd.read_excel(real_dir / "here101" / "manifest.xlsx")


@pytest.fixture(scope="module")
def regions(real_dir: Path, manifest: pd.DataFrame) -> list[np.ndarray]:
    return [
        np.asarray(Image.open(real_dir / "here101/png" / f"{name}.png").convert("RGB")) for name in manifest["query"]
    ]


def top1(features: np.ndarray, manifest: pd.DataFrame, label: str) -> tuple[int, int]:
    """Queries answered rightly, and queries."""
    rows = manifest[label].notna().to_numpy()
    values = manifest.loc[rows, label].str.strip().str.lower().to_numpy()
    cases = manifest.loc[rows, "query"].str.split("-").str[0].to_numpy()
    units = features[rows] / np.linalg.norm(features[rows], axis=1, keepdims=True)
    allowed = cases[:, None] != cases
    relevant = (values[:, None] == values) & allowed
    nearest = np.where(allowed, units @ units.T, -np.inf).argmax(1)
    asked = relevant.any(1)
    return int(relevant[np.arange(len(values)), nearest][asked].sum()), int(asked.sum())


def recorded(real_dir: Path, feature: str) -> dict[str, tuple[float, int]]:
    """Top-1 and number of queries of each label."""
    table = pd.read_csv(real_dir / "baselines_here101.csv")
    rows = table[table["excl_same_case"] & (table["feat"] == feature)]
    return {
        str(label): (float(top), int(n))
        for label, top, n in zip(rows["label"], rows["top1"], rows["n_query"], strict=True)
    }


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "resize_px", "baseline"),
    [
        ("mobilenetv2", [448, 336], "mv2_448x336"),
        ("mobilenetv2", 224, "mv2_224"),
        ("squeezenet", [448, 336], "sq_448x336"),
        ("squeezenet", 224, "sq_224"),
    ],
)
def test_an_encoder_finds_what_the_recorded_one_found(
    real_dir: Path,
    manifest: pd.DataFrame,
    regions: list[np.ndarray],
    name: str,
    resize_px: int | list[int],
    baseline: str,
) -> None:
    config = OmegaConf.load(CONF / f"{name}.yaml")
    config.checkpoint, config.transform.resize_px = str(real_dir / WEIGHTS[name]), resize_px
    features = instantiate(config, _convert_="all").encode(regions)
    for label in LABELS:
        n_right, n_queries = top1(features, manifest, label)
        recorded_top1, recorded_queries = recorded(real_dir, baseline)[label]
        assert n_queries == recorded_queries
        assert abs(n_right - recorded_top1 * n_queries) <= 1


@pytest.mark.real
def test_stain_texture_finds_more_of_site_and_structure_than_colour_alone(
    real_dir: Path, manifest: pd.DataFrame, regions: list[np.ndarray]
) -> None:
    features = instantiate(OmegaConf.load(CONF / "stain_texture.yaml"), _convert_="all").encode(regions)
    for label in ("site", "structure"):
        n_right, n_queries = top1(features, manifest, label)
        assert n_right > recorded(real_dir, "hist8")[label][0] * n_queries
