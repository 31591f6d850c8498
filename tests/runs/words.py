"""An encoder that knows two words, so that what a text should find is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from src.interfaces import Image

COLOURS = {"gland": (200, 120, 170), "stroma": (235, 190, 215)}  # as tests/runs/conftest.py paints them


class ColourWords:
    """A patch is its mean colour; a text is the colour of the word in it; both less the colour between the two."""

    has_text = True
    name = "colour_words"
    dim = 3
    mpp = 0.5
    batch_size = 8

    def __init__(self, **_: Any) -> None: ...

    def fingerprint(self) -> dict[str, Any]:
        return {"name": self.name}

    def encode(self, patches: Sequence[Image]) -> np.ndarray:
        return _centred([patch.mean(axis=(0, 1)) for patch in patches])

    def encode_text(self, texts: Sequence[str]) -> np.ndarray:
        return _centred([np.array(COLOURS[text.split()[-1]]) for text in texts])


def _centred(colours: Sequence[np.ndarray]) -> np.ndarray:
    between = np.mean(list(COLOURS.values()), axis=0)
    return np.asarray(np.stack(colours) - between, np.float32)
