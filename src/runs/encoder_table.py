"""`python -m src.runs.encoder_table`: every encoder, what it is given and what it costs, without its weights."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from hydra.utils import instantiate
from omegaconf import OmegaConf
from rich.console import Console
from rich.table import Table

from src.data.files import write_text
from src.data.progress import tracked
from src.errors import ConfigError, HistoseekError
from src.eval.report.formats import number
from src.interfaces import Encoder
from src.models.encoders.network import NetworkEncoder
from src.models.flops import flops_per_patch, native_input_px
from src.runs.cli import CONF

_GIGA = 1e9


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table, dearest first; the exit code."""
    options = _parser().parse_args(arguments)
    try:
        table = encoder_table(options.encoders or _known())
    except HistoseekError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    _print(table)
    if options.out:
        write_text(options.out, table.to_csv(index=False))
    return 0


def encoder_table(names: Sequence[str]) -> pd.DataFrame:
    """One row per encoder: name, dim, input (width x height, px), gflops (NaN: nothing to count), access.

    Raises:
        ConfigError: there is no such encoder.
    """
    unknown = [name for name in names if name not in _known()]
    if unknown:
        near = difflib.get_close_matches(unknown[0], _known(), n=1, cutoff=0.0)
        raise ConfigError(f"no encoder '{unknown[0]}' in conf/encoder; did you mean {near[0]}?")
    table = pd.DataFrame([_row(name) for name in tracked(names, "encoders")])
    return table.sort_values("gflops", ascending=False, kind="stable", ignore_index=True)


def _known() -> list[str]:
    return sorted(path.stem for path in (CONF / "encoder").glob("*.yaml"))


def _row(name: str) -> dict[str, object]:
    config = OmegaConf.load(CONF / "encoder" / f"{name}.yaml")
    encoder: Encoder = instantiate(config, _convert_="all")
    flops = flops_per_patch(encoder)
    return {
        "name": name,
        "dim": encoder.dim,
        "input": "x".join(map(str, native_input_px(encoder))) if isinstance(encoder, NetworkEncoder) else "",
        "gflops": float("nan") if flops is None else flops / _GIGA,
        "access": config.access,
    }


def _print(table: pd.DataFrame) -> None:
    shown = Table(title="floating point operations per patch", title_justify="left")
    for heading in ("encoder", "dim", "input, px", "GFLOP", "access"):
        shown.add_column(heading, justify="right" if heading in ("dim", "input, px", "GFLOP") else "left")
    for name, dim, size, gflops, access in table.itertuples(index=False):
        shown.add_row(name, str(dim), size, number(gflops), access)
    Console().print(shown)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m src.runs.encoder_table", None, __doc__)
    parser.add_argument("encoders", nargs="*", metavar="ENCODER", help="names of conf/encoder; all of them by default")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the table as CSV, too")
    return parser


if __name__ == "__main__":
    sys.exit(main())
