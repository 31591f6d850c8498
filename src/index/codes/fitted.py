"""What an engine asks of a code that is fitted to its database: to be fitted, and to be kept with the index."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32

from src.index.folder import CODE_FILE, OpenedFolder
from src.interfaces import Code


@runtime_checkable
class FittedCode(Code, Protocol):
    """A code that says nothing before it has seen a sample of the database."""

    def fit(self, sample: Float32[np.ndarray, "patch feature"]) -> None:
        """Fit what has to be fitted, once per database."""
        ...

    def save(self, path: Path) -> None:
        """Write what was fitted to one file."""
        ...

    def load(self, path: Path) -> None:
        """Read what `save` wrote."""
        ...


def fit_code(code: Code, sample: Float32[np.ndarray, "patch feature"]) -> None:
    """Fit a code that has to be; others stay as they are."""
    if isinstance(code, FittedCode):
        code.fit(sample)


def fitted_file(code: Code) -> dict[str, Callable[[Path], None]]:
    """What writes the fitted code into an index folder, by the name of the file; nothing where nothing was fitted."""
    return {CODE_FILE: code.save} if isinstance(code, FittedCode) else {}


def load_fitted(opened: OpenedFolder, code: Code) -> None:
    """Read the fitted code of an index folder."""
    if isinstance(code, FittedCode):
        code.load(opened.folder / CODE_FILE)
