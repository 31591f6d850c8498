from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr

from src.data.labels.__main__ import main
from src.data.targets import HALLMARK_TARGETS, TARGETS
from tests.data.raw_labels import ALIQUOTS, CTL_GENES, P1, P2, P3, P4, RawLabels, write_raw_labels

NORMALS = [name for name in ALIQUOTS if "-11A-11R" in name]
TUMOURS = [name for name in ALIQUOTS if name not in NORMALS]


@pytest.fixture
def raw(tmp_path: Path) -> RawLabels:
    return write_raw_labels(tmp_path)


def labels_of(raw: RawLabels, *arguments: str) -> pd.DataFrame:
    assert main([*raw.arguments, *arguments]) == 0
    return pd.read_csv(raw.folder / "labels.csv").set_index("patient_id")


def report_of(raw: RawLabels) -> Any:
    return json.loads((raw.folder / "labels.report.json").read_text())["cancers"]["BRCA"]


def profiles_of(raw: RawLabels, normals: list[str], tumours: list[str]) -> pd.DataFrame:
    logs = (raw.fpkm + 1).apply(np.log2)
    above = logs[tumours].sub(logs[normals].mean(axis=1).to_numpy(), axis=0)
    return above.groupby(level=0).median()


def pearson(profile: pd.Series, signature: pd.Series) -> float:
    shared = [gene for gene in signature.index if gene in profile.index]
    return float(pearsonr(profile[shared], signature[shared]).statistic)


def test_the_table_has_patient_id_and_the_66_targets_in_order(raw: RawLabels) -> None:
    table = labels_of(raw)
    assert list(table.columns) == list(TARGETS)
    assert list(table.index) == [P1, P2, P3]
    assert not table.isna().any(axis=None)


def test_gene_classes_stand_beside_the_regressions(raw: RawLabels) -> None:
    table = labels_of(raw)
    assert table["TP53_cls"].tolist() == [1, 0, 2]
    assert table["PIK3CA_cls"].tolist() == [0, 1, 2]
    assert set(table.drop(columns=["TP53_cls", "PIK3CA_cls"]).filter(like="_cls").to_numpy().ravel()) == {2}


def test_tide_is_the_correlation_with_its_signatures(raw: RawLabels) -> None:
    profile = profiles_of(raw, NORMALS, TUMOURS)[ALIQUOTS[3]]
    row = labels_of(raw).loc[P2]
    for name in ("CAF", "M2", "MDSC"):
        assert row[f"TIDE_{name}"] == pytest.approx(pearson(profile, raw.exclusion[name]))
    assert row["TIDE_Dys"] == pytest.approx(pearson(profile, raw.dysfunction.dropna().median(axis=1)))


def test_ctl_is_a_median_and_a_hallmark_the_mean_of_measured_genes(raw: RawLabels) -> None:
    profile = profiles_of(raw, NORMALS, TUMOURS)[ALIQUOTS[3]]
    row = labels_of(raw).loc[P2]
    assert row["Cytotoxic_T_Lymphocyte"] == pytest.approx(sorted(profile[CTL_GENES])[2])
    for name, genes in raw.hallmarks.items():
        assert row[f"HALLMARK_{name}_sum"] == pytest.approx(profile[genes[:-1]].sum() / 6)


@pytest.mark.parametrize("aggregate", ["mean", "median"])
def test_a_patient_is_the_aggregate_of_primary_tumour_profiles(raw: RawLabels, aggregate: str) -> None:
    extra = f"{P1}-01C-11R-A1-07"
    raw.fpkm[extra] = raw.fpkm[ALIQUOTS[0]].to_numpy()[::-1]
    raw.fpkm.reset_index().to_csv(raw.folder / "Merged_FPKM.tsv", sep="\t", index=False)
    profiles = profiles_of(raw, NORMALS, [*TUMOURS, extra])[[*ALIQUOTS[:2], extra]]
    ctl = profiles.loc[CTL_GENES].median()
    row = labels_of(raw, "--patient-aggregate", aggregate).loc[P1]
    assert row["Cytotoxic_T_Lymphocyte"] == pytest.approx(ctl.agg(aggregate))


def test_without_normals_the_mean_of_all_columns_is_subtracted(raw: RawLabels) -> None:
    raw.replace("manifest.csv", "samples.tsv", "")
    profile = profiles_of(raw, ALIQUOTS, ALIQUOTS)[ALIQUOTS[3]]
    assert labels_of(raw).loc[P2, "Cytotoxic_T_Lymphocyte"] == pytest.approx(profile[CTL_GENES].median())
    assert report_of(raw)["reference"] == "all"


def test_the_official_switch_takes_paired_tumours_for_normals(raw: RawLabels) -> None:
    table = labels_of(raw, "--official-drop-paired-tumours")
    of_p1_and_p2, of_p3 = ALIQUOTS[:5], ALIQUOTS[5]
    profile = profiles_of(raw, of_p1_and_p2, [of_p3])[of_p3]
    assert list(table.index) == [P3]
    assert table.loc[P3, "Cytotoxic_T_Lymphocyte"] == pytest.approx(profile[CTL_GENES].median())
    dropped = report_of(raw)
    assert dropped["dropped_columns"]["tumours of patients with normals (official)"]["n"] == 3
    assert dropped["dropped_patients"]["no primary tumour profile"]["ids"] == [P1, P2, P4]


def test_the_report_names_what_was_dropped_and_why(raw: RawLabels) -> None:
    labels_of(raw)
    report = report_of(raw)
    assert report["dropped_columns"]["normal samples"] == {"n": 2, "ids": NORMALS}
    assert report["dropped_columns"]["not a primary tumour"]["ids"] == [ALIQUOTS[6]]
    assert report["dropped_columns"]["not a TCGA barcode"]["ids"] == ["gene_type"]
    assert report["dropped_patients"]["no primary tumour profile"] == {"n": 1, "ids": [P4]}
    assert report["genes_without_label"] == dict.fromkeys(("CDH1", "GATA3"), "no mutation of known effect")
    assert report["classes"]["TP53_cls"] == {"0": 1, "1": 1, "2": 1}
    assert report["n_repeated_genes"] == 1
    assert set(report["unmeasured_hallmark_genes"].values()) == {1}


def test_a_patient_with_a_missing_regression_is_dropped(raw: RawLabels) -> None:
    raw.fpkm.loc[:, :] = 7.0
    raw.fpkm[ALIQUOTS[3]] = np.arange(len(raw.fpkm), dtype=float)
    raw.fpkm.reset_index().to_csv(raw.folder / "Merged_FPKM.tsv", sep="\t", index=False)
    (raw.folder / "samples.tsv").write_text(f"barcode\tsample_type\n{P1}\tSolid Tissue Normal\n")
    assert list(labels_of(raw).index) == [P2]  # the others do not differ from the normal
    assert report_of(raw)["dropped_patients"]["a regression is missing"]["ids"] == [P1, P3]


def test_patients_whom_here_excludes_are_dropped(raw: RawLabels) -> None:
    text = (raw.folder / "Merged_FPKM.tsv").read_text()
    (raw.folder / "Merged_FPKM.tsv").write_text(text.replace(P3, "TCGA-HT-7483"))
    assert list(labels_of(raw).index) == [P1, P2]
    assert report_of(raw)["dropped_patients"]["excluded by HERE"]["ids"] == ["TCGA-HT-7483"]


def test_parquet_and_gzip_hold_the_same(raw: RawLabels) -> None:
    expected = labels_of(raw)
    raw.fpkm.reset_index().to_csv(raw.folder / "Merged_FPKM.tsv.gz", sep="\t", index=False)
    raw.replace("manifest.csv", "Merged_FPKM.tsv", "Merged_FPKM.tsv.gz")
    assert main([*raw.arguments, "--out", str(raw.folder / "labels.parquet")]) == 0
    found = pd.read_parquet(raw.folder / "labels.parquet").set_index("patient_id")
    pd.testing.assert_frame_equal(found, expected, check_dtype=True)
    assert list(found.columns[-50:]) == list(HALLMARK_TARGETS)


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("Merged_FPKM.tsv", "gene_name", "symbol", "Merged_FPKM.tsv: column gene_name is missing"),
        ("Merged_FPKM.tsv", "CD8B\t", "CD8B\tlow", f"line 3: column {ALIQUOTS[0]} is 'low"),
        ("Merged_FPKM.tsv", "CD8B\t", "\nCD8B\tlow", f"line 4: column {ALIQUOTS[0]} is 'low"),
        ("Merged_FPKM.tsv", "CD8B\t", "CD8B\t-", f"gene CD8B: column {ALIQUOTS[0]} is -"),
        ("Merged_FPKM.tsv", "CD8B\t", "CD8C\t", "Merged_FPKM.tsv: gene CD8B is missing"),
        ("Merged_FPKM.tsv", "CD8B\t", "\t", "line 3: column gene_name is empty"),
        ("Merged_FPKM.tsv", ALIQUOTS[1], ALIQUOTS[0], "appears 2 times in the header"),
        ("Merged_FPKM.tsv", ALIQUOTS[1], "TCGA-tumour", "column TCGA-tumour is no TCGA aliquot"),
        ("exclusion.signature", "CAF", "Fibro", "exclusion.signature: column CAF is missing"),
        ("exclusion.signature", "G1\t", "G0\t", "exclusion.signature: gene G0 appears twice"),
        ("exclusion.signature", "G1\t", "G1\tx", "exclusion.signature: line 3: column CAF is 'x"),
        ("exclusion.signature", "G1\t", "G1\t1\t", "exclusion.signature: not a readable table (Error tokenizing data"),
        ("run.summary.full.trans", "cohort0", "cohort0\tx\ty", "line 2 has 5 cells, the header has 7"),
        ("run.summary.full.trans", "G3\t", "G3\tx", "run.summary.full.trans: line 2: column cohort0 is 'x"),
        ("samples.tsv", "barcode", "id", "samples.tsv: column barcode is missing"),
        ("samples.tsv", P3, "P3", "samples.tsv: line 5: barcode is 'P3'"),
        ("h.gmt", "HALLMARK_HYPOXIA", "HYPOXIA", "h.gmt: gene set HALLMARK_HYPOXIA is missing"),
        ("h.gmt", "HALLMARK_APOPTOSIS", "HALLMARK_HYPOXIA", "gene set HALLMARK_HYPOXIA appears twice"),
        ("h.gmt", "HALLMARK_HYPOXIA", "EMPTY\tna\nHALLMARK_HYPOXIA", "line 22: gene set 'EMPTY' is empty"),
        ("manifest.csv", "BRCA", "LAML", "manifest.csv: line 2: cancer type 'LAML' is unknown"),
        ("manifest.csv", "brca.maf\n", "brca.maf\nBRCA,x,,\n", "line 3: cancer type BRCA appears twice"),
        ("manifest.csv", "brca.maf\n", "brca.maf\nOV,Merged_FPKM.tsv,,\n", "tables of BRCA and OV"),
        ("manifest.csv", "fpkm", "tpm", "manifest.csv: column fpkm is missing"),
        ("manifest.csv", "BRCA,Merged_FPKM.tsv", "BRCA,", "manifest.csv: line 2: fpkm is empty"),
        ("manifest.csv", "BRCA,Merged_FPKM.tsv,samples.tsv,brca.maf\n", "", "manifest.csv: no cancer types"),
        ("manifest.csv", "Merged", "Lost", "Lost_FPKM.tsv: no such file"),
    ],
)
def test_bad_input_is_one_line_that_names_file_and_place(
    raw: RawLabels, capsys: pytest.CaptureFixture[str], name: str, old: str, new: str, message: str
) -> None:
    raw.replace(name, old, new)
    assert main(raw.arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert message in said
    assert said.count("\n") == 1
    assert not (raw.folder / "labels.csv").exists()


def test_a_set_of_which_nothing_was_measured_is_refused(raw: RawLabels, capsys: pytest.CaptureFixture[str]) -> None:
    hypoxia = "\t".join(raw.hallmarks["HYPOXIA"])
    raw.replace("h.gmt", f"msigdb\t{hypoxia}", "msigdb\tX1\tX2")
    assert main(raw.arguments) == 2
    assert "HALLMARK_HYPOXIA: none of its 2 genes was measured" in capsys.readouterr().err


def test_an_output_of_unknown_kind_is_refused(raw: RawLabels, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*raw.arguments, "--out", str(raw.folder / "labels.xls")]) == 2
    assert "name the label table .parquet or .csv" in capsys.readouterr().err


def test_help_explains_the_manifest(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "cancer,fpkm,samples,maf" in capsys.readouterr().out
