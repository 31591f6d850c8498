"""The kinds of index that a database builds, and their settings: checked here, before the database sees them."""

from __future__ import annotations

from collections.abc import Mapping

from src.errors import ConfigError

Range = tuple[int, int]
"""The least and the greatest value of a setting."""


def settings_of(
    index: str, kind: str, given: Mapping[str, Mapping[str, int]], known: Mapping[str, Mapping[str, Range]]
) -> dict[str, int]:
    """The settings of a kind.

    Args:
        index: as it is named.
        kind: that is chosen.
        given: settings of each kind.
        known: ranges of the settings of each kind.

    Raises:
        ConfigError: an unknown kind, a setting that it lacks or does not have, or a value out of its range.
    """
    if kind not in known:
        raise ConfigError(f"index {index}: kind is {kind!r}, expected one of {', '.join(known)}")
    settings = dict(given.get(kind) or {})
    if set(settings) != set(known[kind]):
        expected = ", ".join(known[kind]) or "none"
        raise ConfigError(f"index {index}: settings of {kind} are {', '.join(settings) or 'none'}, expected {expected}")
    for name, (least, greatest) in known[kind].items():
        if not least <= settings[name] <= greatest:
            raise ConfigError(f"index {index}: {name} of {kind} is {settings[name]}, expected {least} to {greatest}")
    return settings
