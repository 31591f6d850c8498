"""What every model of torchmil is given, as its heads need none of it."""

from __future__ import annotations

from torch import nn


def own_parts() -> dict[str, nn.Module]:
    """No feature extractor and no loss; torchmil's defaults are modules that all its models share, mode included."""
    return {"feat_ext": nn.Identity(), "criterion": nn.Identity()}
