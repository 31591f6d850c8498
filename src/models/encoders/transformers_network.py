"""Networks that transformers implements: Phikon, Phikon-v2, Midnight, PLIP.

The configuration stands in the YAML, so that nothing but the weights comes from the hub. transformers renames modules
between versions and converts the key names of older checkpoints itself; what it then reports must be a complete fit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
import transformers
from jaxtyping import Float
from torch import Tensor, nn

from src.models.weights import read_state, refuse_misfits, renamed

TokenRule = Literal["cls", "cls+mean"]


@dataclass(frozen=True)
class TransformersViT:
    """A vision transformer of transformers.

    Attributes:
        architecture: class name without `Model`: ViT, Dinov2, Dinov2WithRegisters.
        config: of the architecture.
        features_from: class token, or class token and mean of the patch tokens.
        ignore: patterns of keys that are left out.
    """

    architecture: Literal["ViT", "Dinov2", "Dinov2WithRegisters"]
    config: Mapping[str, Any]
    features_from: TokenRule = "cls"
    ignore: Sequence[str] = ()

    def build(self) -> nn.Module:
        """The network with random weights."""
        module: nn.Module = self._class(self._config, **self._options)
        return module

    def load(self, path: Path) -> nn.Module:
        """The network with the weights of a file."""
        state = renamed(read_state(path), {}, self.ignore)
        return _loaded(self._class, self._config, state, path, **self._options)

    def features(self, module: Any, images: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image feature"]:
        """Features by the rule of `features_from`."""
        tokens: Tensor = module(pixel_values=images).last_hidden_state
        if self.features_from == "cls":
            return tokens[:, 0]
        n_prefix = 1 + getattr(self._config, "num_register_tokens", 0)
        return torch.cat([tokens[:, 0], tokens[:, n_prefix:].mean(1)], dim=1)

    def fingerprint(self) -> dict[str, Any]:
        """Architecture, its configuration and the feature rule."""
        return {"architecture": self.architecture, "config": dict(self.config), "features": self.features_from}

    @property
    def _class(self) -> Any:
        return getattr(transformers, f"{self.architecture}Model")

    @property
    def _config(self) -> Any:
        return getattr(transformers, f"{self.architecture}Config")(**self.config)

    @property
    def _options(self) -> dict[str, Any]:
        return {"add_pooling_layer": False} if self.architecture == "ViT" else {}


@dataclass(frozen=True)
class TransformersClip:
    """CLIP ViT-B/32 by transformers (the default configuration of `CLIPConfig`), as PLIP is published.

    Attributes:
        config: of `CLIPConfig`, where it differs from ViT-B/32.
        ignore: patterns of keys that are left out.
    """

    config: Mapping[str, Any] = field(default_factory=dict)
    ignore: Sequence[str] = ()

    def build(self) -> nn.Module:
        """The network with random weights."""
        module: nn.Module = transformers.CLIPModel(transformers.CLIPConfig(**self.config))
        return module

    def load(self, path: Path) -> nn.Module:
        """The network with the weights of a file."""
        state = renamed(read_state(path), {}, self.ignore)
        return _loaded(transformers.CLIPModel, transformers.CLIPConfig(**self.config), state, path)

    def features(self, module: Any, images: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image feature"]:
        """Projected class token."""
        projected: Tensor = module.get_image_features(pixel_values=images).pooler_output
        return projected

    def text_features(self, module: Any, texts: Sequence[str]) -> Float[Tensor, "text feature"]:
        """Projected features of texts of at most 77 tokens; the byte pairs of CLIP come with open_clip."""
        import open_clip  # here, as only text needs it

        tokens = open_clip.get_tokenizer("ViT-B-32")(list(texts)).to(next(module.parameters()).device)
        projected: Tensor = module.get_text_features(input_ids=tokens).pooler_output
        return projected

    def fingerprint(self) -> dict[str, Any]:
        """Architecture and its configuration."""
        return {"architecture": "CLIP", "config": dict(self.config), "features": "projected"}


def _loaded(architecture: Any, config: Any, state: dict[str, Tensor], path: Path, **options: Any) -> nn.Module:
    with _quiet():
        module, report = architecture.from_pretrained(
            None,
            config=config,
            state_dict=state,
            dtype=torch.float32,
            ignore_mismatched_sizes=True,  # reported below with all other misfits
            output_loading_info=True,
            **options,
        )
    reshaped = [key[0] if isinstance(key, tuple) else key for key in report["mismatched_keys"]]
    refuse_misfits(path, report["missing_keys"], report["unexpected_keys"], reshaped)
    loaded: nn.Module = module
    return loaded


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep quiet: transformers prints its own report of misfits; ours is the error."""
    log: Any = transformers.logging
    verbosity = log.get_verbosity()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(verbosity)
        log.enable_progress_bar()
