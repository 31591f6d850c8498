"""What a target is: one column of the cohort's table that a slide is to be judged by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from src.errors import ConfigError


@dataclass(frozen=True)
class Target:
    """A column to learn.

    Attributes:
        name: the column.
        kind: `class` or `number`.
        classes: in the order of their logits; None for those found in train.
        ignored_class: a class that is neither learnt nor judged.
        cancers: cancer types in which the label is valid; elsewhere it counts as unknown. None for all.

    Raises:
        ConfigError: another kind, or classes that cannot be.
    """

    name: str
    kind: str = "class"
    classes: Sequence[str] | None = None
    ignored_class: str | None = None
    cancers: Sequence[str] | None = None

    def __post_init__(self) -> None:
        if self.kind not in ("class", "number"):
            raise ConfigError(f"task, {self.name}: kind is {self.kind!r}; expected class or number")
        names = [*(self.classes or ()), *(() if self.ignored_class is None else (self.ignored_class,))]
        numbers = [name for name in names if not isinstance(name, str)]
        if numbers:
            raise ConfigError(f"task.classes: {numbers[0]!r} is no text, as classes are; put it in quotes")
        if self.classes is not None and self.ignored_class not in (None, *self.classes):
            raise ConfigError(f"task.ignored_class is {self.ignored_class!r}; expected one of {list(self.classes)}")
