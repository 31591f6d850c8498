from __future__ import annotations

import json
from pathlib import Path

import pytest

from src.data.labels.genes import VALID_GENES, class_of, gene_classes
from src.data.labels.maf import maf_files, read_effects
from src.data.targets import GENES
from src.errors import CohortError
from tests.data.raw_labels import P1, P2, P3, P4, write_maf

A1, B1, A2 = f"{P1}-01A-11D-A1-09", f"{P1}-01B-11D-A1-09", f"{P2}-01A-11D-A1-09"


@pytest.mark.golden
def test_every_effect_of_every_gene_has_the_class_of_here(golden_dir: Path) -> None:
    recorded = json.loads((golden_dir / "here_labels.json").read_text())
    assert sorted(recorded["class_by_gene"]) == sorted(GENES)
    for gene, classes in recorded["class_by_gene"].items():
        assert [class_of(gene, effect) for effect in recorded["effects"]] == classes


@pytest.mark.golden
def test_genes_by_cancer_type_are_those_of_here(golden_dir: Path) -> None:
    recorded = json.loads((golden_dir / "here_labels.json").read_text())["valid_genes_by_cancer"]
    assert {cancer: set(genes) for cancer, genes in recorded.items()} == {
        cancer: set(genes) for cancer, genes in VALID_GENES.items()
    }


def test_the_last_row_of_a_gene_wins_even_if_it_has_no_effect(tmp_path: Path) -> None:
    rows = [("TP53", A1, "Loss-of-function"), ("TP53", A1, ""), ("APC", A1, "Unknown"), ("APC", A1, "Likely Neutral")]
    effects = read_effects([write_maf(tmp_path / "a.maf", rows)])
    assert effects.effect("TP53", P1) == "nan"
    assert effects.effect("APC", P1) == "Likely Neutral"


def test_the_last_aliquot_of_a_patient_wins_even_if_it_is_wild_type(tmp_path: Path) -> None:
    rows = [("TP53", A1, "Loss-of-function"), ("KRAS", B1, "Gain-of-function"), ("TP53", A1, "Loss-of-function")]
    effects = read_effects([write_maf(tmp_path / "a.maf", rows)])
    assert effects.effect("TP53", P1) == "nan"
    assert effects.effect("KRAS", P1) == "Gain-of-function"


def test_who_is_in_no_row_was_not_sequenced(tmp_path: Path) -> None:
    effects = read_effects([write_maf(tmp_path / "a.maf", [("TTN", A1, "Unknown")])])
    assert effects.effect("TP53", P1) == "nan"
    assert effects.effect("TP53", P2) is None


def test_tables_of_a_folder_are_read_by_name(tmp_path: Path) -> None:
    write_maf(tmp_path / "b.maf", [("TP53", A1, "Neutral")])
    write_maf(tmp_path / "a.maf", [("TP53", A1, "Loss-of-function")])
    assert read_effects(maf_files(tmp_path)).effect("TP53", P1) == "Neutral"


def test_only_genes_of_the_cancer_type_that_tell_patients_apart_are_labelled(tmp_path: Path) -> None:
    rows = [
        *[("TP53", A1, "Loss-of-function"), ("TP53", A2, "Gain-of-function")],
        *[("APC", A1, "Unknown"), ("PIK3CA", A1, "Neutral"), ("IDH1", A1, "Switch-of-function")],
    ]
    effects = read_effects([write_maf(tmp_path / "a.maf", rows)])
    found = gene_classes("COAD", effects, [P1, P2, P3])
    assert found.table.to_dict("list") == {"TP53_cls": [1, 0, 2], "PIK3CA_cls": [0, 0, 2]}
    assert found.dropped == dict.fromkeys(("APC", "KRAS"), "no mutation of known effect")
    assert gene_classes("COAD", effects, [P1]).dropped["TP53"] == "every patient has class 1"
    assert gene_classes("COAD", effects, [P4]).table.empty


def test_an_effect_that_oncokb_does_not_have_is_class_0_and_counted(tmp_path: Path) -> None:
    rows = [("TP53", A1, "Damaging"), ("TP53", A2, "Loss-of-function"), ("TTN", A2, "Odd")]
    found = gene_classes("OV", read_effects([write_maf(tmp_path / "a.maf", rows)]), [P1, P2])
    assert found.table["TP53_cls"].tolist() == [0, 1]
    assert found.unrecognised == {"Damaging": 1}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("TP53", "S1", "Unknown")], r"a.maf: line 3: Tumor_Sample_Barcode is 'S1'"),
        ([("TP53", A1, "Unknown"), ("", A1, "Unknown")], r"a.maf: line 4: Hugo_Symbol is empty"),
        ([("TP53", "", "Unknown")], r"a.maf: line 3: Tumor_Sample_Barcode is empty"),
    ],
)
def test_a_row_that_names_nobody_is_refused(tmp_path: Path, rows: list[tuple[str, str, str]], message: str) -> None:
    with pytest.raises(CohortError, match=message):
        read_effects([write_maf(tmp_path / "a.maf", rows)])


def test_unknown_genes_cancers_and_columns_are_named(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="gene 'EGFR' is unknown; expected one of CDH1"):
        class_of("EGFR", "Gain-of-function")
    with pytest.raises(CohortError, match="cancer type 'LAML' is unknown; expected one of ACC"):
        gene_classes("LAML", read_effects([]), [])
    (tmp_path / "a.maf").write_text("Hugo_Symbol\tTumor_Sample_Barcode\nTP53\tx\n")
    with pytest.raises(CohortError, match=r"a.maf: column MUTATION_EFFECT is missing; the table has Hugo_Symbol"):
        read_effects([tmp_path / "a.maf"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(CohortError, match="the folder is empty"):
        maf_files(tmp_path / "empty")
