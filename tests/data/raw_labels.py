"""Raw label data in the official formats, tiny and random: FPKM, sample types, MAF, GMT and TIDE's tables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from src.data.targets import HALLMARKS

CTL_GENES = ["CD8A", "CD8B", "GZMA", "GZMB", "PRF1"]
GENES = CTL_GENES + [f"G{i}" for i in range(50)]

P1, P2, P3, P4 = (f"TCGA-AA-000{i}" for i in (1, 2, 3, 4))
ALIQUOTS = [
    f"{P1}-01A-11R-A1-07",
    f"{P1}-01B-11R-A1-07",  # P1 has two profiles of the primary tumour
    f"{P1}-11A-11R-A1-07",  # and a normal one
    f"{P2}-01A-11R-A1-07",
    f"{P2}-11A-11R-A1-07",
    f"{P3}-01A-11R-A1-07",
    f"{P4}-06A-11R-A1-07",  # P4 has a metastasis alone
]


@dataclass(frozen=True)
class RawLabels:
    """Where the files lie, and the numbers in them."""

    folder: Path
    fpkm: pd.DataFrame
    exclusion: pd.DataFrame
    dysfunction: pd.DataFrame
    hallmarks: dict[str, list[str]]

    @property
    def arguments(self) -> list[str]:
        """Command line that makes labels of them."""
        names = {
            "--manifest": "manifest.csv",
            "--gene-sets": "h.gmt",
            "--exclusion": "exclusion.signature",
            "--dysfunction": "run.summary.full.trans",
            "--out": "labels.csv",
        }
        return [word for option, name in names.items() for word in (option, str(self.folder / name))]

    def replace(self, name: str, old: str, new: str) -> None:
        """Edit one file; the text has to be in it."""
        text = (self.folder / name).read_text()
        assert old in text
        (self.folder / name).write_text(text.replace(old, new, 1))


def write_raw_labels(folder: Path, seed: int = 0) -> RawLabels:
    """Files of a cohort of four BRCA patients."""
    rng = np.random.default_rng(seed)
    genes = [*GENES, "G3", "G3"]  # symbols repeat in GDC's tables
    fpkm = pd.DataFrame(rng.gamma(1, 20, (len(genes), len(ALIQUOTS))), pd.Index(genes, name="gene_name"), ALIQUOTS)
    fpkm.reset_index().assign(gene_type="protein_coding").to_csv(folder / "Merged_FPKM.tsv", sep="\t", index=False)
    exclusion = pd.DataFrame(rng.normal(size=(40, 4)), GENES[5:45], ["CAF", "M2", "MDSC", "Mean"])
    exclusion.to_csv(folder / "exclusion.signature", sep="\t", index_label=False)
    dysfunction = pd.DataFrame(rng.normal(size=(45, 4)), GENES[8:53], [f"cohort{i}" for i in range(4)])
    dysfunction.iloc[3, 1] = np.nan
    dysfunction.to_csv(folder / "run.summary.full.trans", sep="\t")
    hallmarks = {name: [*rng.choice(GENES, 6, replace=False).tolist(), "NOT_MEASURED"] for name in HALLMARKS}
    gmt = [f"HALLMARK_{name}\thttps://msigdb\t" + "\t".join(members) for name, members in hallmarks.items()]
    (folder / "h.gmt").write_text("\n".join(gmt) + "\n")
    _write_samples_maf_and_manifest(folder)
    return RawLabels(folder, fpkm, exclusion, dysfunction, hallmarks)


def write_maf(file: Path, rows: list[tuple[str, str, str]]) -> Path:
    """MafAnnotator's output, as far as it matters."""
    lines = ["#version 2.4", "Hugo_Symbol\tChromosome\tTumor_Sample_Barcode\tMUTATION_EFFECT"]
    file.write_text("\n".join(lines + [f"{gene}\tchr1\t{barcode}\t{effect}" for gene, barcode, effect in rows]) + "\n")
    return file


def _write_samples_maf_and_manifest(folder: Path) -> None:
    types = [
        (P1, "Primary Tumor"),
        (P1, "Solid Tissue Normal"),
        (P2, "Solid Tissue Normal"),
        (P3, "Blood Derived Normal"),
    ]
    text = "".join(f"{barcode}\t{sample_type}\n" for barcode, sample_type in types)
    (folder / "samples.tsv").write_text("barcode\tsample_type\n" + text)
    rows = [
        ("TP53", f"{P1}-01A-11D-A1-09", "Likely Loss-of-function"),
        ("TP53", f"{P2}-01A-11D-A1-09", "Unknown"),
        ("PIK3CA", f"{P2}-01A-11D-A1-09", "Gain-of-function"),
        ("GATA3", f"{P2}-01A-11D-A1-09", "Unknown"),
        ("IDH1", f"{P2}-01A-11D-A1-09", "Switch-of-function"),  # IDH1 is not labelled in BRCA
    ]
    write_maf(folder / "brca.maf", rows)
    (folder / "manifest.csv").write_text("cancer,fpkm,samples,maf\nBRCA,Merged_FPKM.tsv,samples.tsv,brca.maf\n")
