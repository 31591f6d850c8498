"""Tasks made again from what a checkpoint keeps of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from src.errors import ConfigError
from src.models.multitask import ClassColumn, MultiTask
from src.models.task import Task
from src.models.tasks import ClassTask


def task_of(settings: Mapping[str, Any]) -> Task:
    """The task whose `settings()` these are.

    Raises:
        ConfigError: settings of no task of this version.

    >>> task_of({"label": "tissue", "classes": ["gland", "stroma"], "weights": None}).n_outputs
    2
    """
    try:
        if "classification" not in settings:
            return ClassTask(**_with_tuples(settings))
        columns = [ClassColumn(**_with_tuples(column)) for column in settings["classification"]]
        return MultiTask(**_with_tuples({**settings, "classification": columns}))
    except TypeError as error:
        raise ConfigError(f"task: {error}; it was trained by another version, train it again") from None


def _with_tuples(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}
