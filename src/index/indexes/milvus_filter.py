"""Filter expressions of Milvus: whole parts by their number, and single rows only where a part is divided.

Milvus looks a number up in a list of 10,000 in half a second, but takes seconds for a hundred ranges that are joined
by `or` and refuses some hundreds (2.3.5), so what is not a few ranges is listed.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64

from src.errors import ConfigError
from src.index.indexes.row_keys import Choice, Runs, keys_in, n_keys

_MOST_RANGES = 4
_MOST_KEYS = 100_000  # in a list; 4 s and 0.6 MB


def filter_of(choice: Choice) -> str:
    """What is true of the allowed keys and of no forbidden one; empty where none is forbidden.

    >>> filter_of(Choice(np.array([[0, 5, 0], [7, 9, 1]]), np.array([[5, 7, 1], [9, 20, 2]])))
    'part not in [2] and not ((id >= 5 and id < 7))'

    Raises:
        ConfigError: too many rows of too many divided parts.
    """
    parts = np.unique(choice.allowed[:, 2])
    is_divided = np.isin(choice.forbidden[:, 2], parts)
    terms = _of_parts(parts, np.unique(choice.forbidden[~is_divided, 2]))
    divided = choice.forbidden[is_divided]
    if len(divided):
        terms.append(_of_divided(divided, choice.allowed[np.isin(choice.allowed[:, 2], divided[:, 2])]))
    return " and ".join(terms)


def _of_parts(allowed: Int64[np.ndarray, " part"], forbidden: Int64[np.ndarray, " other"]) -> list[str]:
    if not len(forbidden):
        return []
    return [f"part not in {_list(forbidden)}" if len(forbidden) <= len(allowed) else f"part in {_list(allowed)}"]


def _of_divided(forbidden: Runs, allowed: Runs) -> str:
    if len(forbidden) <= _MOST_RANGES:
        return f"not ({' or '.join(f'(id >= {first} and id < {end})' for first, end, _ in forbidden)})"
    if n_keys(forbidden) <= min(n_keys(allowed), _MOST_KEYS):
        return f"id not in {_list(keys_in(forbidden))}"
    if n_keys(allowed) <= _MOST_KEYS:
        return f"(part not in {_list(np.unique(allowed[:, 2]))} or id in {_list(keys_in(allowed))})"
    raise ConfigError(
        f"index milvus: a search leaves out {n_keys(forbidden)} rows, but not the whole slides that they are of, and "
        f"Milvus can be told at most {_MOST_KEYS}; leave out whole slides, or use index=ivf_sq8"
    )


def _list(numbers: Int64[np.ndarray, " number"]) -> str:
    return f"[{','.join(map(str, numbers.tolist()))}]"
