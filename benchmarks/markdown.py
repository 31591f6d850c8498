"""Tables of the benchmarks in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]], n_words: int) -> str:
    """A table whose first `n_words` columns are words, on the left, and whose others are numbers, on the right."""
    lines = [head, [*["---"] * n_words, *["---:"] * (len(head) - n_words)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
