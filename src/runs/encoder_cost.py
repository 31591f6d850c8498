"""What a run says of its encoder's cost: operations per patch, and the time that was measured."""

from __future__ import annotations

import json
from pathlib import Path

from src.data.files import write_json
from src.data.timed_encoder import TimedEncoder
from src.interfaces import Encoder
from src.models.flops import flops_per_patch

_MEASURED_FILE = "encode_time.json"
_KEY = "encode_ms_per_patch"


def kept_ms_per_patch(folder: Path, encoder: TimedEncoder) -> float | None:
    """The time per patch of the encoder just used, else the one that an earlier run has left beside the features.

    Args:
        folder: of the features; what was measured is written there.
        encoder: what has extracted, if there was anything to extract.
    """
    file = folder / _MEASURED_FILE
    if encoder.ms_per_patch is not None:
        write_json(file, {_KEY: round(encoder.ms_per_patch, 3)})
    return float(json.loads(file.read_text())[_KEY]) if file.exists() else None


def encoder_cost(encoder: Encoder, ms_per_patch: float | None) -> dict[str, int | float | None]:
    """For timing.json: None stands for what cannot be counted or was not measured."""
    return {"flops_per_patch": flops_per_patch(encoder), _KEY: ms_per_patch}
