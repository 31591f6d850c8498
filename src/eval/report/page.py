"""What every report shares: templates that escape all they are given, pictures as data URIs, figures as inline SVG."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import matplotlib as mpl
import PIL.Image
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from src.eval import figures
from src.eval.report.formats import number, quantity
from src.interfaces import Image

_WEBP_QUALITY = 82
_COLOURS = {figures.INK: "currentColor"} | {
    getattr(figures, name): f"var(--{name.lower()})" for name in ("MUTED", "RULE", "ACCENT")
}


def render(template: str, **values: object) -> str:
    """Fill one of the templates; a value that is missing is an error, never an empty place."""
    return _environment().get_template(template).render(**values)


def data_uri(picture: Image, max_px: int) -> str:
    """The picture as a WebP data URI, its longer side at most `max_px`, so that a page stays small."""
    image = PIL.Image.fromarray(picture)
    image.thumbnail((max_px, max_px), PIL.Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "WEBP", quality=_WEBP_QUALITY)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def inline_svg(figure: Figure, name: str, description: str) -> Markup:
    """The figure as an SVG element whose ink, rules and accent follow the page's colour scheme.

    Args:
        figure: made by `src.eval.figures`.
        name: prefix of the element's ids, unique on the page.
        description: what a screen reader says.
    """
    file = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, count=1, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg)
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r"(fill|stroke): (#[0-9a-f]{6})", _page_colour, svg)
    return Markup(svg.replace("<svg ", f'<svg role="img" aria-label="{escape(description)}" ', 1))


def _page_colour(match: re.Match[str]) -> str:
    return f"{match[1]}: {_COLOURS.get(match[2], match[2])}"


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "data_uri": data_uri}
    environment.globals |= {"quantity": quantity}
    return environment
