from __future__ import annotations

from pathlib import Path

import pytest
import torch
from open_clip.hf_model import HFTextEncoder
from torch import nn
from transformers import BertConfig, BertTokenizer

from src.errors import ConfigError, WeightsUnavailable
from src.models import hub
from src.models.pathsearch.bert_reports import BertReports
from src.models.pathsearch.report_tower import Reports
from src.models.pathsearch.trained import reports_of
from src.models.pathsearch.word_reports import WordReports

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "gland", "spindle", "cells", "of"]
SMALL = {
    "vocab_size": len(WORDS),
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 24,
}


def reports(folder: Path | None = None) -> BertReports:
    where = None if folder is None else str(folder)
    return BertReports(
        folder=where, config=SMALL, dim_hidden=12, dim=8, n_tokens=6, trainable_layers=[2], source="hf://x/y"
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Weights and tokenizer as the hub has them, written by open_clip and transformers."""
    torch.manual_seed(0)
    BertConfig(**SMALL).save_pretrained(tmp_path)  # type: ignore[arg-type]
    tower = HFTextEncoder(
        str(tmp_path), output_dim=8, proj_type="mlp", pooler_type="cls_last_hidden_state_pooler", pretrained=False
    )
    state = {f"text.{name}": value for name, value in tower.state_dict().items()}
    state |= {"visual.trunk.cls_token": torch.zeros(1), "logit_scale": torch.zeros(())}
    torch.save(state, tmp_path / "open_clip_pytorch_model.bin")
    (tmp_path / "vocab.txt").write_text("\n".join(WORDS))
    BertTokenizer(str(tmp_path / "vocab.txt")).save_pretrained(tmp_path)
    return tmp_path


def test_vectors_are_those_of_open_clip(folder: Path) -> None:
    tower = reports(folder).pretrained().eval()
    official = HFTextEncoder(
        str(folder), output_dim=8, proj_type="mlp", pooler_type="cls_last_hidden_state_pooler", pretrained=False
    ).eval()
    state = torch.load(folder / "open_clip_pytorch_model.bin", weights_only=True)
    official.load_state_dict({k.removeprefix("text."): v for k, v in state.items() if k.startswith("text.")})
    with torch.no_grad():
        expected = nn.functional.normalize(official(torch.tensor([[2, 5, 7, 3, 0, 0], [2, 6, 3, 0, 0, 0]])), dim=-1)
        torch.testing.assert_close(tower(["gland cells", "spindle"]), expected, rtol=1e-5, atol=1e-5)


def test_only_the_last_layers_and_the_head_learn(folder: Path) -> None:
    learnt = {name for name, weight in reports(folder).pretrained().named_parameters() if weight.requires_grad}
    assert all(name.startswith(("transformer.encoder.layer.2.", "proj.")) for name in learnt)
    assert {"proj.0.weight", "proj.2.weight", "transformer.encoder.layer.2.output.dense.weight"} <= learnt


def test_settings_build_the_tower_again_wherever_its_files_were(folder: Path) -> None:
    again = reports_of(reports(folder).settings())
    assert again.build().state_dict().keys() == reports(folder).build().state_dict().keys()
    assert isinstance(again, BertReports)
    assert again.folder is None


def test_missing_weights_are_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WeightsUnavailable, match=r"^report.folder=[^\n]*no such folder; give one with [^\n]*$"):
        reports(tmp_path / "none").pretrained()

    def offline(source: str, encoder: str) -> Path:
        raise WeightsUnavailable(f"{encoder}: {source} cannot be reached; go online, or set encoder.checkpoint=FILE")

    monkeypatch.setattr(hub, "fetch", offline)
    with pytest.raises(WeightsUnavailable, match=r"^report=biomedclip: [^\n]*or set report.folder=FOLDER$"):
        reports().pretrained()


def test_words_are_reports_whose_case_and_marks_do_not_count() -> None:
    words = WordReports(dim=4, n_rows=64)
    assert isinstance(words, Reports)
    tower = words.pretrained()
    same = tower(["Glands, of cells.", "glands OF cells"])
    torch.testing.assert_close(same[0], same[1])
    assert tower(["", "spindle"]).shape == (2, 4)
    with pytest.raises(ConfigError, match="dim is 0 and n_rows 64"):
        WordReports(0, 64)
