"""The 66 targets of HERE as a list: genes count where HERE labels them, signatures everywhere.

Source: data2intelligence/HERE_training, common.py and prepare_dataset_v7.py (commit aea9856).
"""

from __future__ import annotations

from src.data.labels.genes import VALID_GENES
from src.data.target import Target
from src.data.targets import GENES, NOT_SEQUENCED, REGRESSION_TARGETS

_CLASSES = ("0", "1", str(NOT_SEQUENCED))  # no effect of interest; loss, gain or switch; not sequenced

HERE66 = (
    *(
        Target(
            name=f"{gene}_cls",
            classes=_CLASSES,
            ignored_class=_CLASSES[-1],
            cancers=tuple(cancer for cancer, genes in VALID_GENES.items() if gene in genes),
        )
        for gene in GENES
    ),
    *(Target(name, "number") for name in REGRESSION_TARGETS),
)
"""In the order of the official heads."""
