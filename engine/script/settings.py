"""The settings of a training script: literals that a person would change to tune it.

Found in module constants, dict literals, fields of dataclasses and plain config classes, argparse defaults,
keywords of the calls that train (Trainer, optimizer, DataLoader ...) and defaults of `__init__` (`code_settings`), and
in the config files and modules that belong to the script. Only literals count: what is worked out at run time cannot
be set by changing one place.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache

from progtrain.engine import values
from progtrain.engine.errors import InputError, in_file
from progtrain.engine.script.code_settings import (
    DELIBERATE,
    OPTIMIZERS,
    STORES,
    Setting,
    Value,
    imply_defaults,
    in_code,
    literal,
    parse_script,
)
from progtrain.engine.script.names import WHOLE_NUMBERS, canonical, nearest
from progtrain.engine.script.nodes import called
from progtrain.engine.script.sources import files_of

__all__ = [
    "OPTIMIZERS",
    "STORES",
    "Setting",
    "Value",
    "choose_setting",
    "duplicates",
    "find_setting",
    "find_settings",
    "imply_defaults",
    "literal",
    "parse_script",
    "refuse_value",
    "suggest",
    "values_of",
    "where",
]

#: what a config file is there to replace
_REPLACED: frozenset[str] = frozenset({"dataclass", "argparse", "default"})


@lru_cache(maxsize=64)
def find_settings(source: str) -> tuple[Setting, ...]:
    """All settings in the order of the file, then those of the other files of `Sources`.

    Raises `InputError` with the line of a syntax error.
    """
    files = files_of(source)
    if not files:
        return in_code(source)
    # with it comes YAML, 20 ms that `progtrain status` need not wait for
    from progtrain.engine.script.config_files import is_config

    found = list(in_code(str(source)))
    for name, text in files.items():
        with in_file(name):
            there = _in_config(name, text) if is_config(name) else in_code(text)
        found += [replace(setting, file=name) for setting in there]
    passed = _passed_arguments([source, *(text for name, text in files.items() if not is_config(name))])
    return tuple(setting for setting in found if not (setting.file and _is_passed(setting, passed)))


def _in_config(name: str, text: str) -> Iterator[Setting]:
    """None where the file is not valid: `check` tells of that, and the script too."""
    from progtrain.engine.script.config_files import places, span_in

    try:
        found = places(name, text)
    except InputError:
        return
    for path, place in found.items():
        if path.partition(".")[0] not in ("hydra", "defaults"):
            span = span_in(text, place)
            yield Setting(path, canonical(path), place.value, "file", span[0], span)


#: callee, how many arguments it gets by position, which by name; None where it gets what nobody sees
_Made = tuple[str, int, frozenset[str] | None]


@lru_cache(maxsize=512)
def _classes_of(text: str) -> tuple[tuple[_Made, ...], dict[str, list[str]]]:
    """The calls of what looks like a class; and what each class takes by position."""
    nodes = list(ast.walk(parse_script(text)))
    made, takes = [], {}
    for call in (node for node in nodes if isinstance(node, ast.Call) and called(node)[:1].isupper()):
        hidden = any(isinstance(a, ast.Starred) for a in call.args) or any(k.arg is None for k in call.keywords)
        named = None if hidden else frozenset(k.arg for k in call.keywords if k.arg)
        made.append((called(call), len(call.args), named))
    for owner in (node for node in nodes if isinstance(node, ast.ClassDef)):
        own = [n for n in owner.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"]
        fields = [n.target.id for n in owner.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)]
        takes[owner.name] = [argument.arg for argument in own[0].args.args[1:]] if own else fields
    return tuple(made), takes


def _passed_arguments(texts: Sequence[str]) -> set[str]:
    """`Net.width` where some file says `Net(width=...)` or `Net(8)`; `Net.*` where it is given what nobody sees."""
    read = [_classes_of(str(text)) for text in texts]
    takes = {name: taken for _, classes in read for name, taken in classes.items()}
    found = set()
    for name, count, named in (call for made, _ in read for call in made):
        found |= {f"{name}.*"} if named is None else {f"{name}.{argument}" for argument in named}
        found |= {f"{name}.{argument}" for argument in takes.get(name, [])[:count]}
    return found


def _is_passed(setting: Setting, passed: set[str]) -> bool:
    owner = setting.name.partition("[")[0]
    return setting.source in ("default", "dataclass") and not passed.isdisjoint((owner, f"{owner.split('.')[0]}.*"))


def find_setting(source: str, key: str) -> Setting | None:
    """The setting that `key` means: its exact spelling in the script, else its canonical name.

    Raises `InputError` that names both lines when the script sets it twice with different values.
    """
    return choose_setting(find_settings(source), key)


def choose_setting(settings: Sequence[Setting], key: str) -> Setting | None:
    """As `find_setting`, among settings already found."""
    exact = [s for s in settings if s.name == key or s.full_name == re.sub(r":\s+", ":", key)]
    matching = exact or [s for s in settings if s.key == canonical(key)]
    preferred = _preferred(matching)
    if not preferred:
        return None
    first = preferred[0]
    for other in preferred[1:]:
        if not values.same(first.value, other.value):
            raise InputError(
                f"{key} is set twice: {first.name} = {first.value!r} ({where(first)}) and "
                f"{other.name} = {other.value!r} ({where(other)})",
                file=other.file or None,
                place=other.line,
                fix=f"let the script take both from one place, or name one of them: {first.full_name}",
            )
    return first


def where(setting: Setting) -> str:
    return f"{setting.file}, line {setting.line}" if setting.file else f"line {setting.line}"


def duplicates(settings: Sequence[Setting], chosen: Setting) -> tuple[Setting, ...]:
    """Other places that hold the same setting with equal standing: changing `chosen` alone would not do."""
    same = _preferred([s for s in settings if s.key == chosen.key])
    return tuple(s for s in same if s != chosen) if chosen in same else ()


def values_of(settings: Sequence[Setting]) -> dict[str, Value]:
    """Canonical key -> value: of the script's own the last, of those in files the one that counts."""
    found = {setting.key: setting.value for setting in settings if not setting.file}
    for key in {setting.key for setting in settings if setting.file}:
        with suppress(InputError):
            chosen = choose_setting(settings, key)
            if chosen is not None and (chosen.source == "file" or key not in found):
                found[key] = chosen.value
    return found


def suggest(settings: Sequence[Setting], key: str) -> list[str]:
    """Names in the script near to one that it does not have."""
    return nearest(key, [s.name for s in settings] + [s.key for s in settings])


def _preferred(settings: list[Setting]) -> list[Setting]:
    """The script's own and those of config files come before those of modules."""
    config = [s for s in settings if s.source == "file"]
    own = [s for s in settings if not s.file and not (config and s.source in _REPLACED)]
    for group in ([*own, *config], settings):
        for sources in (DELIBERATE, {"keyword"}, {"default"}):
            if found := [s for s in group if s.source in sources]:
                return found
    return []


#: lowest value allowed, whether it may be that value itself, highest value, likewise
_COUNT, _NOT_NEGATIVE = (1, True, math.inf, False), (0, True, math.inf, False)
_POSITIVE, _SHARE = (0, False, math.inf, False), (0, True, 1, False)
_RANGES: dict[str, tuple[float, bool, float, bool]] = {
    **dict.fromkeys(("epochs", "max_steps", "batch_size", "val_batch_size", "hidden_size", "layers"), _COUNT),
    **dict.fromkeys(("weight_decay", "gradient_clip", "patience", "plateau_patience", "warmup"), _NOT_NEGATIVE),
    **dict.fromkeys(("dropout", "label_smoothing", "momentum", "ema_decay"), _SHARE),
    **dict.fromkeys(("learning_rate", "max_learning_rate", "huber_delta"), _POSITIVE),
    "gradient_accumulation": _COUNT,
    "plateau_factor": (0, False, 1, False),
}


def refuse_value(key: str, value: object) -> str | None:
    """Why `value` makes no sense for the setting `key`; None when it does."""
    key = canonical(key)
    for number in value if isinstance(value, list | tuple) else (value,):
        if isinstance(number, float) and not math.isfinite(number):
            return f"{key} must be a finite number, not {number}"
        if isinstance(number, bool) or not isinstance(number, int | float):
            continue
        if key in WHOLE_NUMBERS and number != int(number):
            return f"{key} must be a whole number, not {number}"
        low, low_in, high, high_in = _RANGES.get(key, (-math.inf, True, math.inf, True))
        if number < low or (number == low and not low_in):
            return f"{key} must be {'at least' if low_in else 'above'} {low:g}, not {number}"
        if number > high or (number == high and not high_in):
            return f"{key} must be {'at most' if high_in else 'below'} {high:g}, not {number}"
    return None
