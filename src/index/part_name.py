"""What a part of an engine is called, by users and in errors."""

from __future__ import annotations


def part_name(part: object) -> str:
    """`flat` for an index of src/index/indexes/flat.py, as its YAML is named."""
    return type(part).__module__.rpartition(".")[2]
