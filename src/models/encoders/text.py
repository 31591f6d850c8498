"""Encoders that put words and patches into one space, and what is said of the others.

CONCH and MUSK have such a space too, but the features that are extracted of them here lie before it.
"""

from __future__ import annotations

from src.errors import ConfigError

WITH_TEXT = ("clip", "keep", "plip", "quiltnet_b16", "quiltnet_b32")


def no_text(encoder: str) -> ConfigError:
    """The error of an encoder without a side for text."""
    others = f"{', '.join(WITH_TEXT[:-1])} or {WITH_TEXT[-1]}"
    return ConfigError(f"encoder={encoder} has no text side; use encoder={others}")
