"""TCGA barcodes: `TCGA-A1-A0SB-01A-11R-A144-07` is patient, sample, portion, plate and centre."""

from __future__ import annotations

import re

PREFIX = "TCGA-"
SOLID_NORMAL = "11"
PRIMARY_TUMOUR = "01"
EXCLUDED_PATIENTS = ("TCGA-5P-A9KA", "TCGA-5P-A9KC", "TCGA-HT-7483", "TCGA-UZ-A9PQ")
"""Patients whom HERE leaves out."""

_BARCODE = re.compile(r"(TCGA-\w{2}-\w{4})(?:-(\d{2})\w?(?:-.*)?)?")


def patient_of(barcode: str) -> str | None:
    """The first twelve characters, or None for what is no TCGA barcode.

    >>> patient_of("TCGA-A1-A0SB-01A-11R-A144-07")
    'TCGA-A1-A0SB'
    """
    match = _BARCODE.fullmatch(barcode)
    return match.group(1) if match else None


def sample_code(barcode: str) -> str | None:
    """Two digits that say what the sample is (01 primary tumour, 11 solid normal), or None for a patient's barcode.

    >>> sample_code("TCGA-A1-A0SB-01A-11R-A144-07")
    '01'
    """
    match = _BARCODE.fullmatch(barcode)
    return match.group(2) if match else None
