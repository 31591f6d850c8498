"""Packages that some indexes need and most users do not."""

from __future__ import annotations

import importlib
from typing import Any

from src.errors import IncompatibleParts


def optional_package(name: str, index: str | None = None) -> Any:
    """A module of a package that may not be installed.

    Args:
        name: of the module.
        index: that needs it, where it is not named as the package.

    Raises:
        IncompatibleParts: it is not.
    """
    package = name.partition(".")[0]
    try:
        return importlib.import_module(name)
    except ImportError:
        raise IncompatibleParts(
            f"index {index or package} needs the package {package}, which is not installed; pip install {package}, or "
            "choose index=hnsw"
        ) from None
