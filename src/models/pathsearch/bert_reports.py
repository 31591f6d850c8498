"""Reports by a BERT with a projecting head, as open_clip's text towers of transformers are; BiomedCLIP's by default.

Source: Zhang et al., "BiomedCLIP", 2023, hub microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224 (MIT), whose last
three layers and head PathSearch trains. Layers are named as in its checkpoint; built here from its configuration, so
that no other repository has to be asked for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize
from transformers import AutoTokenizer, BertConfig, BertModel

from src.errors import WeightsUnavailable
from src.models import hub
from src.models.weights import load_checkpoint

_HUB = "hf://microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224"
_WEIGHTS_FILE = "open_clip_pytorch_model.bin"
_ENDS = {"^text\\.": ""}
_NOT_OF_TEXT = ("^visual\\.", "^logit_scale$", "position_ids$")


@dataclass(frozen=True)
class BertReports:
    """BiomedCLIP's text tower, or another of its kind.

    Attributes:
        source: hub of weights and tokenizer, see `src.models.hub`.
        folder: of the same files, where they are at hand; None asks the hub.
        config: of `BertConfig`, where it differs from BERT-base.
        dim_hidden: of the head.
        dim: of a vector.
        n_tokens: of a text; what is longer is cut.
        trainable_layers: of the encoder, beside the head; the others stay as they are.
    """

    source: str = _HUB
    folder: str | None = None
    config: Mapping[str, Any] = field(default_factory=lambda: {"vocab_size": 30522})
    dim_hidden: int = 640
    dim: int = 512
    n_tokens: int = 256
    trainable_layers: Sequence[int] = (9, 10, 11)
    name: str = "biomedclip"

    def build(self) -> nn.Module:
        """The tower with random weights."""
        return _BertTower(self)

    def pretrained(self) -> nn.Module:
        """The tower with its published weights.

        Raises:
            WeightsUnavailable: they are not at hand; says what to do.
        """
        return load_checkpoint(self.build(), self.files() / _WEIGHTS_FILE, _ENDS, _NOT_OF_TEXT)

    def require(self) -> None:
        """Raise WeightsUnavailable where the weights are not at hand."""
        self.files()

    def settings(self) -> Mapping[str, Any]:
        """Its parameters; the folder is where they were read, and not kept."""
        plain = {"config": dict(self.config), "trainable_layers": list(self.trainable_layers), "folder": None}
        return asdict(self) | plain

    def files(self) -> Path:
        """The folder of weights and tokenizer."""
        if self.folder is None:
            return _fetched(self.source)
        if not Path(self.folder).is_dir():
            raise WeightsUnavailable(f"report.folder={self.folder}: no such folder; give one with {_WEIGHTS_FILE}")
        return Path(self.folder)


class _BertTower(nn.Module):
    def __init__(self, reports: BertReports) -> None:
        super().__init__()
        self.reports = reports
        config = BertConfig(**reports.config)
        self.transformer = BertModel(config, add_pooling_layer=False)
        self.proj = nn.Sequential(
            nn.Linear(config.hidden_size, reports.dim_hidden, bias=False),
            nn.GELU(),
            nn.Linear(reports.dim_hidden, reports.dim, bias=False),
        )
        self._tokenizer: Any = None
        self.transformer.requires_grad_(False)
        for layer in reports.trainable_layers:
            self.transformer.encoder.layer[layer].requires_grad_(True)

    def forward(self, texts: Sequence[str]) -> Float[Tensor, "text dim"]:
        """Unit vectors: the first token of the last layer, projected."""
        tokens = self._tokens(texts).to(self.proj[0].weight.device)
        states = self.transformer(tokens["input_ids"], attention_mask=tokens["attention_mask"]).last_hidden_state
        return normalize(self.proj(states[:, 0]), dim=-1)

    def _tokens(self, texts: Sequence[str]) -> Any:
        if self._tokenizer is None:
            self._tokenizer = AutoTokenizer.from_pretrained(self.reports.files())
        return self._tokenizer(
            list(texts), max_length=self.reports.n_tokens, padding="max_length", truncation=True, return_tensors="pt"
        )


def _fetched(source: str) -> Path:
    try:
        return hub.fetch(source, "report=biomedclip")
    except WeightsUnavailable as error:
        raise WeightsUnavailable(str(error).replace("encoder.checkpoint=FILE", "report.folder=FOLDER")) from None
