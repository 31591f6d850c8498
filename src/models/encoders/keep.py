"""KEEP: a ViT-L/16 with a projecting head, and PubMedBERT for text; both normalised to one space.

Source: Zhou et al., A Knowledge-enhanced Pathology Vision-language Foundation Model, 2024; modeling_keep.py of the hub
repository Astaxanthin/KEEP. Written here, so that no code of the hub is run; attributes are named as in its checkpoint.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize
from transformers import AutoTokenizer, BertConfig, BertModel

from src.models import hub
from src.models.weights import load_checkpoint


@dataclass(frozen=True)
class KeepNetwork:
    """Both towers of KEEP.

    Attributes:
        tokenizer: source of the text tokenizer's files, see `src.models.hub`.
        ignore: patterns of keys that are left out.
    """

    tokenizer: str
    ignore: Sequence[str] = ()

    def build(self) -> nn.Module:
        """The network with random weights."""
        return _Keep()

    def load(self, path: Path) -> nn.Module:
        """The network with the weights of a file."""
        return load_checkpoint(self.build(), path, {}, self.ignore)

    def features(self, module: Any, images: Float[Tensor, "image 3 height width"]) -> Float[Tensor, "image feature"]:
        """Unit vectors."""
        projected: Tensor = module.visual_head(module.visual(images))
        return normalize(projected, dim=-1)

    def text_features(self, module: Any, texts: Sequence[str]) -> Float[Tensor, "text feature"]:
        """Unit vectors of texts of at most 256 tokens."""
        tokenizer = AutoTokenizer.from_pretrained(hub.fetch(self.tokenizer, "keep"))
        tokens = tokenizer(list(texts), max_length=256, padding="max_length", truncation=True, return_tensors="pt")
        return normalize(module.text(**tokens.to(module.logit_scale.device)).pooler_output, dim=-1)

    def fingerprint(self) -> dict[str, Any]:
        """Architecture."""
        return {"architecture": "keep", "features": "projected, normalised"}


class _Keep(nn.Module):
    def __init__(self, dim: int = 768) -> None:
        super().__init__()
        self.visual = timm.create_model(
            "vit_large_patch16_224", pretrained=False, num_classes=0, init_values=1e-5, dynamic_img_size=True
        )
        self.visual_head = nn.Sequential(nn.Linear(1024, dim), nn.GELU(), nn.Linear(dim, dim))
        self.text = BertModel(BertConfig())
        self.logit_scale = nn.Parameter(torch.zeros(()))
