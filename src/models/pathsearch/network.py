"""PathSearch: slides and reports among each other, in one space.

Source: "PathSearch", arXiv 2510.23224; Dootmaan/PathSearch (commit 650ff02), `model/PathSearch.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize

from src.models.pathsearch.attentive_mosaic import SlideVectors
from src.models.pathsearch.slide_encoder import SlideEncoder, unit

_TEMPERATURE = 0.07


class PathSearchNetwork(nn.Module):
    """A slide encoder, a tower for reports, and what takes their vectors into the space of the slides'.

    Args:
        visual: the slide encoder.
        tower: a `ReportTower`; None where only slides are encoded.
        dim_text: of the tower's vectors.
    """

    def __init__(self, visual: SlideEncoder, tower: Any, dim_text: int) -> None:
        super().__init__()
        self.visual = visual
        self.text = tower
        self.text_projection = nn.Linear(dim_text, visual.dim) if tower is not None else None
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / _TEMPERATURE)))

    def slides(self, bags: Sequence[Float[Tensor, "_ feature"]]) -> SlideVectors:
        """Unit vectors of each slide and its mosaic; bags of one size are encoded together, no attention is kept."""
        same = len({len(bag) for bag in bags}) == 1
        parts = [torch.stack(list(bags))] if same else [bag[None] for bag in bags]
        vectors = [unit(self.visual(part)) for part in parts]
        slide, mosaic, share = (torch.cat([getattr(v, name) for v in vectors]) for name in ("slide", "mosaic", "share"))
        return SlideVectors(slide, mosaic, torch.empty(len(bags), mosaic.shape[1], 0), share)

    def reports(self, texts: Sequence[str]) -> Float[Tensor, "text dim"]:
        """Unit vectors of reports."""
        projected: Tensor = self.text_projection(self.text(texts))  # type: ignore[misc]
        return normalize(projected, dim=-1)
