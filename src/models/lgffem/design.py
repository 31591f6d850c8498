"""How an LGFFEM is built and where the weights of its parts come from; what training and encoder have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from src.errors import WeightsUnavailable
from src.models import hub
from src.models.encoders.timm_network import TimmNetwork
from src.models.lgffem.aggregators import GrnMean
from src.models.lgffem.network import Lgffem, descriptor_state


@dataclass(frozen=True)
class LgffemDesign:
    """An LGFFEM on a backbone of timm; a `Network` of src/models/encoders.

    Attributes:
        backbone: name in timm, with maps that are 4, 8, 16 and 32 times smaller than the picture.
        source: where the backbone's weights lie, see `src.models.hub`.
        n_channels: of the fused maps; a descriptor has four times as many values.
        n_layers: fusion layers.
        grn_mean_dim: see `GlobalResponseNorm`.
        gem_power: p of GeM at the start.
        dropout: before the linear layers.
        backbone_checkpoint: local file to load instead of `source`.
        kwargs: of `timm.create_model`.
    """

    backbone: str
    source: str
    n_channels: int
    n_layers: int
    grn_mean_dim: GrnMean
    gem_power: float
    dropout: float
    backbone_checkpoint: str | None = None
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def dim(self) -> int:
        """Values of a descriptor."""
        return 4 * self.n_channels

    def build(self) -> Lgffem:
        """The network with random weights."""
        return self._around(self._timm.build())

    def pretrained(self) -> Lgffem:
        """The network on a backbone with its weights, the rest random.

        Raises:
            WeightsUnavailable: the backbone's weights cannot be had, or do not fit.
        """
        return self._around(self._timm.load(self._backbone_file()))

    def load(self, path: Path) -> Lgffem:
        """The network with the weights of a file; the backbone's are its own where the file has none."""
        has_backbone = any(name.startswith("backbone.") for name in descriptor_state(path))
        network = self.build() if has_backbone else self.pretrained()
        return network.load(path, with_backbone=True)

    def features(self, module: Any, images: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image feature"]:
        """Descriptors of normalised images."""
        descriptors: Tensor = module(images)
        return descriptors

    def fingerprint(self) -> dict[str, Any]:
        """Every setting that shapes a descriptor; JSON-serialisable."""
        return {
            "backbone": self.backbone,
            "kwargs": dict(self.kwargs),
            "n_channels": self.n_channels,
            "n_layers": self.n_layers,
            "grn_mean_dim": self.grn_mean_dim,
        }

    def _backbone_file(self) -> Path:
        if self.backbone_checkpoint:
            return Path(self.backbone_checkpoint)
        try:
            return hub.fetch(self.source, self.backbone)
        except WeightsUnavailable as error:
            raise WeightsUnavailable(str(error).replace("encoder.checkpoint", "backbone_checkpoint")) from None

    @property
    def _timm(self) -> TimmNetwork:
        return TimmNetwork(self.backbone, "map", self.kwargs)

    def _around(self, backbone: nn.Module) -> Lgffem:
        shape = (self.n_channels, self.n_layers, self.grn_mean_dim, self.gem_power, self.dropout)
        return Lgffem(backbone, *shape)
