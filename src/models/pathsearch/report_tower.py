"""What turns reports into vectors: a network, and a recipe that builds it and is kept in checkpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from src.errors import ConfigError


@runtime_checkable
class ReportTower(Protocol):
    """A module that reads texts."""

    def __call__(self, texts: Sequence[str]) -> Float[Tensor, "text dim"]:
        """One vector per text."""
        ...


@runtime_checkable
class Reports(Protocol):
    """How a tower is built."""

    @property
    def name(self) -> str:
        """As its YAML is named."""
        ...

    @property
    def dim(self) -> int:
        """Of its vectors."""
        ...

    def build(self) -> Any:
        """The tower with random weights, an `nn.Module`."""
        ...

    def pretrained(self) -> Any:
        """The tower that a training starts from.

        Raises:
            WeightsUnavailable: it has published weights, and they are not at hand.
        """
        ...

    def require(self) -> None:
        """Raise WeightsUnavailable where `pretrained` would, without building anything."""
        ...

    def settings(self) -> Mapping[str, Any]:
        """Its parameters, plain values."""
        ...


def expect_reports(reports: object) -> Reports:
    """`reports`, if it is a text tower.

    Raises:
        ConfigError: none is configured.
    """
    if not isinstance(reports, Reports):
        raise ConfigError(
            "model pathsearch: no text tower; say report=biomedclip, or report=words to try a training without it"
        )
    return reports
