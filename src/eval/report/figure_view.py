"""A figure with its caption, as a page shows it."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.figure import Figure

from src.eval.report.page import inline_svg

_WIDE_IN = 7.0


@dataclass(frozen=True)
class FigureView:
    """A figure on the page; `is_wide` takes the whole width."""

    caption: str
    svg: Markup
    is_wide: bool

    @classmethod
    def of(cls, name: str, caption: str, figure: Figure) -> FigureView:
        """Draw a figure for a page; its ids start with `name`, unique on the page."""
        return cls(caption, inline_svg(figure, name, caption), bool(figure.get_figwidth() > _WIDE_IN))
