"""Between the command line and a run: unknown keys are refused with the nearest known one, errors are one line.

Exit codes: 0 done, 2 the run could not be done, 3 done but some slides failed (`strict=true`).
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from hydra import compose, initialize_config_dir
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from src.data.files import digest
from src.errors import ConfigError, HistoseekError

CONF = Path(__file__).resolve().parents[2] / "conf"

# Kept in the cache that Hydra hands from a sweep to its runs, so that all of them see one value.
OmegaConf.register_new_resolver(
    "digest_of_command", lambda: digest({"command": sys.argv[1:]}), use_cache=True, replace=True
)


def run_script(config_name: str, main: Callable[[], Any]) -> None:
    """Check the command line, then hand over to Hydra.

    Args:
        config_name: the script's own YAML under conf/.
        main: the function that `hydra.main` made.
    """
    sys.argv[1:] = [in_full(argument) for argument in sys.argv[1:]]
    try:
        refuse_unknown_keys(config_name, get_args_parser().parse_args().overrides)
    except HistoseekError as error:
        exit_with(error)
    main()


def exit_with(error: Exception) -> NoReturn:
    """Print one line and leave with code 2."""
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)


def in_full(argument: str) -> str:
    """`query=FILE` is short for `query.image=FILE`; a mapping is the whole block. Words need no quotes of Hydra's.

    `query.where.COLUMN=VALUE` names a column that no configuration can know.
    """
    key, equals, value = argument.partition("=")
    if key == "query" and not value.startswith("{"):
        key = "query.image"
    if key in ("query.image", "query.text") and " " in value and value[0] not in "'\"[{":
        value = "'" + value.replace("'", "\\'") + "'"
    if key.startswith("query.where."):
        key = f"+{key}"
    return f"{key}{equals}{value}"


def refuse_unknown_keys(config_name: str, arguments: Sequence[str]) -> None:
    """Raise ConfigError naming the nearest known key or option when the command line has one that does not exist."""
    overrides = [o for o in _parse(arguments) if not o.key_or_group.startswith("hydra")]
    groups = [o for o in overrides if (CONF / o.key_or_group).is_dir()]
    for override in groups:
        _refuse_unknown_options(override)
    for chosen in _combinations([o for o in groups if not o.is_delete()]):
        known = _known_keys(config_name, chosen)
        for override in overrides:
            if override not in groups and not override.is_add() and not _is_known(override.key_or_group, known):
                where = f" with {' '.join(chosen)}" if chosen else ""
                raise ConfigError(_unknown(f"key '{override.key_or_group}'{where}", override.key_or_group, known))


def _parse(arguments: Sequence[str]) -> list[Override]:
    try:
        return OverridesParser.create().parse_overrides(list(arguments))
    except HydraException as error:
        raise ConfigError(f"{str(error).splitlines()[0]}; write KEY=VALUE, quoting values with spaces") from error


def _refuse_unknown_options(override: Override) -> None:
    known = sorted(path.stem for path in (CONF / override.key_or_group).glob("*.yaml"))
    for option in _choices(override):
        if option not in known and option != "null":
            raise ConfigError(_unknown(f"option {override.key_or_group}={option}", option, known))


def _choices(override: Override) -> list[str]:
    if override.is_sweep_override():
        return [str(value) for value in override.sweep_string_iterator()]
    value = override.value()
    return ["null" if value is None else str(v) for v in (value if isinstance(value, list) else [value])]


def _combinations(groups: list[Override]) -> Iterator[list[str]]:
    """Every option of every group once, beside the first options of the other groups."""
    first = {group.get_key_element(): _text_of(group, 0) for group in groups}
    yield list(first.values())
    for group in groups:
        for place in range(1, len(_choices(group)) if group.is_sweep_override() else 1):
            yield list({**first, group.get_key_element(): _text_of(group, place)}.values())


def _text_of(group: Override, place: int) -> str:
    choices = _choices(group)
    shown = choices[place] if group.is_sweep_override() or len(choices) == 1 else f"[{','.join(choices)}]"
    return f"{group.get_key_element()}={shown}"


def _known_keys(config_name: str, groups: list[str]) -> set[str]:
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            return set(_flatten(compose(config_name, overrides=groups)))
    except HydraException as error:
        raise ConfigError(str(error).splitlines()[0]) from error
    finally:
        GlobalHydra.instance().clear()


def _flatten(config: DictConfig, prefix: str = "") -> Iterator[str]:
    for key in map(str, config):
        name = f"{prefix}{key}"
        yield name
        if not OmegaConf.is_missing(config, key) and not OmegaConf.is_interpolation(config, key):
            node = config[key]
            if isinstance(node, DictConfig):
                yield from _flatten(node, f"{name}.")


def _is_known(key: str, known: set[str]) -> bool:
    return key.split("@")[0] in known


def _unknown(what: str, word: str, known: Sequence[str] | set[str]) -> str:
    nearest = difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.5)
    hint = f"did you mean {nearest[0]}?" if nearest else f"known: {', '.join(sorted(known)[:20])}"
    return f"unknown {what}; {hint} (--help lists all)"
