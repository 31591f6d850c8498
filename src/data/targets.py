"""The 66 targets of HERE's multitask head: 11 genes, then 55 regressions, in the order of the official heads.

Source: data2intelligence/HERE_training, common.py (commit aea9856). The names end in `_sum`, but a hallmark value is
the mean over the set's genes; the names are kept, as weights and tables carry them.
"""

from __future__ import annotations

GENES = ("CDH1", "GATA3", "PIK3CA", "TP53", "KRAS", "ARID1A", "PTEN", "BRAF", "APC", "ATRX", "IDH1")
GENE_TARGETS = tuple(f"{gene}_cls" for gene in GENES)
"""Columns with class 0 (no effect of interest), 1 (loss, gain or switch, by gene) or 2 (not sequenced)."""

_ONCOGENES = ("PIK3CA", "KRAS", "BRAF")
COUNTED_EFFECT = {gene: "gain" if gene in _ONCOGENES else "loss" for gene in GENES} | {"IDH1": "switch"}
"""What class 1 of each gene is."""

NOT_SEQUENCED = 2
"""The class that is neither trained on nor evaluated."""


def class_title(column: str, name: str) -> str:
    """`loss`, `gain` or `switch` for class 1 of a gene, any other class as it is.

    >>> class_title("TP53_cls", "1"), class_title("grade", "1")
    ('loss', '1')
    """
    return COUNTED_EFFECT.get(column.removesuffix("_cls"), name) if name == "1" else name


IMMUNE_TARGETS = ("Cytotoxic_T_Lymphocyte", "TIDE_CAF", "TIDE_Dys", "TIDE_M2", "TIDE_MDSC")

HALLMARKS = (
    *("ADIPOGENESIS", "ALLOGRAFT_REJECTION", "ANDROGEN_RESPONSE", "ANGIOGENESIS", "APICAL_JUNCTION", "APICAL_SURFACE"),
    *("APOPTOSIS", "BILE_ACID_METABOLISM", "CHOLESTEROL_HOMEOSTASIS", "COAGULATION", "COMPLEMENT", "DNA_REPAIR"),
    *("E2F_TARGETS", "EPITHELIAL_MESENCHYMAL_TRANSITION", "ESTROGEN_RESPONSE_EARLY", "ESTROGEN_RESPONSE_LATE"),
    *("FATTY_ACID_METABOLISM", "G2M_CHECKPOINT", "GLYCOLYSIS", "HEDGEHOG_SIGNALING", "HEME_METABOLISM", "HYPOXIA"),
    *("IL2_STAT5_SIGNALING", "IL6_JAK_STAT3_SIGNALING", "INFLAMMATORY_RESPONSE", "INTERFERON_ALPHA_RESPONSE"),
    *("INTERFERON_GAMMA_RESPONSE", "KRAS_SIGNALING_DN", "KRAS_SIGNALING_UP", "MITOTIC_SPINDLE", "MTORC1_SIGNALING"),
    *("MYC_TARGETS_V1", "MYC_TARGETS_V2", "MYOGENESIS", "NOTCH_SIGNALING", "OXIDATIVE_PHOSPHORYLATION"),
    *("P53_PATHWAY", "PANCREAS_BETA_CELLS", "PEROXISOME", "PI3K_AKT_MTOR_SIGNALING", "PROTEIN_SECRETION"),
    *("REACTIVE_OXYGEN_SPECIES_PATHWAY", "SPERMATOGENESIS", "TGF_BETA_SIGNALING", "TNFA_SIGNALING_VIA_NFKB"),
    *("UNFOLDED_PROTEIN_RESPONSE", "UV_RESPONSE_DN", "UV_RESPONSE_UP", "WNT_BETA_CATENIN_SIGNALING"),
    "XENOBIOTIC_METABOLISM",
)
HALLMARK_TARGETS = tuple(f"HALLMARK_{name}_sum" for name in HALLMARKS)

REGRESSION_TARGETS = IMMUNE_TARGETS + HALLMARK_TARGETS
TARGETS = GENE_TARGETS + REGRESSION_TARGETS
