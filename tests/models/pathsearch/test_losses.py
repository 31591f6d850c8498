from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from src.models.pathsearch.losses import contrast, sameness


@pytest.mark.golden
def test_recorded_losses(golden_dir: Path) -> None:
    with np.load(golden_dir / "pathsearch_losses.npz", allow_pickle=False) as file:
        recorded = {name: torch.from_numpy(file[name]) for name in file.files}
    found = contrast(recorded["img"], recorded["txt"], recorded["logit_scale"]), sameness(recorded["mosaic"])
    expected = recorded["contrastive"], recorded["diversity"]
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(sum(found), recorded["total"], rtol=1e-5, atol=1e-5)


def test_contrast_is_lowest_where_pairs_agree() -> None:
    slides = torch.nn.functional.normalize(torch.randn(6, 8, generator=torch.Generator().manual_seed(0)), dim=1)
    scale = torch.tensor(10.0)
    assert contrast(slides, slides, scale) < contrast(slides, slides.roll(1, 0), scale)


def test_vectors_at_right_angles_are_not_the_same() -> None:
    torch.testing.assert_close(sameness(torch.eye(4)[None]), torch.tensor(0.0))
    torch.testing.assert_close(sameness(torch.ones(2, 4, 3)), torch.tensor(0.75))  # 12 of 16 pairs
