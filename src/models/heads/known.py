"""The heads by name: a checkpoint says which one it holds, and the head is made again from its settings.

A head is imported when it is asked for, as some need libraries that take seconds to import.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from src.errors import ConfigError
from src.models.heads.head import Head

MODULES = {
    "Abmil": "src.models.heads.abmil",
    "Clam": "src.models.heads.clam",
    "Dsmil": "src.models.heads.dsmil",
    "Here": "src.models.heads.here",
    "MaxPool": "src.models.heads.max_pool",
    "MeanPool": "src.models.heads.mean_pool",
    "Prototypes": "src.models.heads.prototypes",
    "TransMil": "src.models.heads.transmil",
}
"""Where the class of each head is."""


def head_settings(head: Head) -> dict[str, Any]:
    """What a checkpoint keeps of a head beside its weights: the class, and what it was made with."""
    return {"name": type(head).__name__, **head.settings}


def head_of(settings: Mapping[str, Any]) -> Head:
    """A new head from what `head_settings` gave; its weights are random.

    Raises:
        ConfigError: a head that is not known, or settings that it does not take.
    """
    name = settings.get("name")
    if name not in MODULES:
        raise ConfigError(f"head {name!r} is not known; expected one of {', '.join(MODULES)}")
    arguments = {key: value for key, value in settings.items() if key != "name"}
    try:
        head: Head = getattr(importlib.import_module(MODULES[name]), name)(**arguments)
    except TypeError as error:
        raise ConfigError(f"head {name}: {error}; it was trained by another version, train it again") from None
    return head
