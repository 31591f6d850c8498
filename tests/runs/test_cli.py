from __future__ import annotations

import subprocess
import sys

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from src.errors import ConfigError
from src.runs.cli import in_full, refuse_unknown_keys
from tests.runs.conftest import Script


@pytest.mark.parametrize(
    ("argument", "nearest"),
    [
        ("encodr=uni", "encoder"),
        ("eval.lable=site", "eval.label"),
        ("encoder=mobilnetv2", "mobilenetv2"),
        ("hnsw=1", "known:"),
        ("index.nprob=4", "index.nprobe"),
        ("query_mpp=0.5", "query.mpp"),
        ("query.patiant=p1", "query.patient"),
    ],
)
def test_unknown_key_names_the_nearest_known_one(argument: str, nearest: str) -> None:
    arguments = ["engine=here", argument] if argument.startswith("index") else [argument]
    with pytest.raises(ConfigError, match=nearest):
        refuse_unknown_keys("search", arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["engine=here", "index.nprobe=4", "encoder=mobilenetv2", "encoder.checkpoint=w.pth"],
        ["index=flat,itq_lsh,hnsw_ivfpq", "encoder=stain_texture,mobilenetv2", "encoder.checkpoint=w.pth"],
        ["logger=[csv,wandb]"],
        ["data=table", "data.table=slides.csv", "index_dir=x"],
        ["query=a.png", "query.mpp=0.5", "k=3", "hydra.run.dir=out"],
        ["logger=wandb", "logger.wandb.offline=false"],
        ["eval=leave_one_patient_out", "eval.label=site"],
    ],
)
def test_known_keys_pass(arguments: list[str]) -> None:
    refuse_unknown_keys("search", arguments)


def test_key_that_one_option_of_a_sweep_lacks_is_named_with_that_option() -> None:
    with pytest.raises(ConfigError, match=r"unknown key 'index.nprobe' with index=flat"):
        refuse_unknown_keys("search", ["index=hnsw_ivfpq,flat", "index.nprobe=4"])


def test_malformed_argument_is_one_line() -> None:
    with pytest.raises(ConfigError, match="KEY=VALUE"):
        refuse_unknown_keys("search", ["query=a=b{"])


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("query=a.png", "a.png"),
        ("query=[a.png,b.png]", ["a.png", "b.png"]),
        ("query=fused glands, (cribriform)", "fused glands, (cribriform)"),
        ("query.text=Crohn's disease, active", "Crohn's disease, active"),
        ("query='a, b'", "a, b"),
    ],
)
def test_words_of_a_query_need_no_quotes_of_hydra(said: str, meant: object) -> None:
    (override,) = OverridesParser.create().parse_overrides([in_full(said)])
    assert override.value() == meant


def test_experiment_changes_what_the_script_sets_and_shows_it(
    script: Script, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script("search", "experiment=engine_comparison", "--cfg", "job") == 0
    assert "mosaic_previews: true" in capsys.readouterr().out


def test_what_hydra_loads_with_every_script_is_light() -> None:
    loaded = "import sys, src.runs.sweep; print(sorted({'faiss', 'torch', 'transformers'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
