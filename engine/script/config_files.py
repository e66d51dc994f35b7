"""Settings in YAML, TOML and JSON files: where each stands, and how one is changed with all else kept to the byte.

A place is found by position and a few characters change there, so that comments, order and quotes survive. What came of
it is read again: exactly that one value must be another.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import yaml

from progtrain.engine import values
from progtrain.engine.errors import InputError
from progtrain.engine.json_text import loaded
from progtrain.engine.script.nodes import Span
from progtrain.engine.script.yaml_nodes import below, is_one, nodes, repeated, seen_in
from progtrain.engine.yaml_text import composed

ENDINGS = frozenset({".yaml", ".yml", ".toml", ".json"})

# YAML 1.1 reads 1e-3 as text, most other readers as a number; nobody means text by it
_EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")
_PROPERTIES = re.compile(r"(?:[&!]\S*\s+)+")
_FLAGS = (("true", "false"), ("yes", "no"), ("on", "off"), ("y", "n"))
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_SPACE = re.compile(r"[ \t\r\n]*")
#: a value of TOML on one line, or a list of such; what it means is left to its reader
_TOML_VALUE = re.compile(r"""\[[^\[\]{}"'#]*\]|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[^\s,#\]}"'\[{]+""")
_TAGS = {"int", "float", "bool", "null", "str"}


class Place(NamedTuple):
    """A value in a file: what it is, and the characters that say so."""

    value: Any
    start: int
    end: int


def is_config(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in ENDINGS


@lru_cache(maxsize=64)
def places(name: str, text: str) -> Mapping[str, Place]:
    """Dotted path -> place of each number, text, truth value, null, or list of such on its own.

    What aliases and merges of YAML repeat counts where it stands, if it is one setting in all places; else it is left
    out, and so is what another value is worked out from (`${...}`). Empty for a file that holds no mapping.
    Raises `InputError` with the line of a mistake.
    """
    read = {".json": _in_json, ".toml": _in_toml}.get(PurePosixPath(name).suffix.lower(), _in_yaml)
    try:
        found = list(read(text))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _not_valid(name, error) from error
    often = Counter(path for path, _ in found)
    return {path: place for path, place in found if often[path] == 1 and not _is_worked_out(place.value)}


def span_in(text: str, place: Place) -> Span:
    """Lines from 1, columns in characters."""
    ends = []
    for offset in (place.start, place.end):
        line_start = text.rfind("\n", 0, offset) + 1
        ends += [text.count("\n", 0, offset) + 1, offset - line_start]
    return ends[0], ends[1], ends[2], ends[3]


def replaced(name: str, text: str, path: str, value: Any) -> str:
    """The file with one value changed, written in the manner of the one before.

    Raises `InputError` where that cannot be done, or would change more.
    """
    place = places(name, text)[path]
    before = text[place.start : place.end]
    after = text[: place.start] + _written(name, value, before) + text[place.end :]
    try:
        old, new = flat(name, text), flat(name, after)
    except InputError as error:
        raise _refused(name, path, f"it would no longer be read: {error.reason}") from error
    changed = [other for other in {**old, **new} if not _alike(old.get(other, _GONE), new.get(other, _GONE))]
    with_it = repeated(name, text).get(path, (path,))
    if others := [other for other in changed if other not in with_it]:
        raise _refused(name, path, f"{others[0]} would change with it, by an alias or a merge")
    if not values.same(places(name, after)[path].value, value):
        raise _refused(name, path, f"{value!r} cannot be written there")
    return after


def differences(name: str, old: str, new: str) -> Iterator[tuple[str, str | None, str | None, int]]:
    """Path, what stood there, what stands there now, and the line in `new` (in `old`, where it went away)."""
    before, after = flat(name, old), flat(name, new)
    told = [{path: paths[0] for path, paths in repeated(name, text).items()} for text in (old, new)]
    for path in {**before, **after}:
        if path != told[0].get(path, path) == told[1].get(path, path):
            continue  # an alias or a merge: it is told where it stands
        gone, come = before.get(path, _GONE), after.get(path, _GONE)
        if not _alike(gone, come):
            text = old if come is _GONE else new
            place = places(name, text).get(path)
            line = span_in(text, place)[0] if place else 1
            yield path, _shown(name, old, path, gone), _shown(name, new, path, come), line


_GONE = object()


def _shown(name: str, text: str, path: str, value: Any) -> str | None:
    place = places(name, text).get(path)
    if value is _GONE or place is None:
        return None if value is _GONE else str(value)
    return text[place.start : place.end]


def _alike(one: Any, other: Any) -> bool:
    """Whether a reader sees the same; 1 and 1.0 and "1" are three."""
    return type(one) is type(other) and bool(one == other)


def flat(name: str, text: str) -> dict[str, Any]:
    """Dotted path -> all that the file holds there; a list without others in it as a whole. Raises `InputError`."""
    ending = PurePosixPath(name).suffix.lower()
    try:
        if ending == ".json":
            data = loaded(text)
        elif ending == ".toml":
            data = tomllib.loads(text)
        else:
            return {path: seen_in(node) for root in composed(text)[:1] for path, node in nodes(root, "")}
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _not_valid(name, error) from error
    return dict(_leaves(data, ""))


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, list) and not any(isinstance(item, dict | list) for item in value):
        yield path, [(type(item), item) for item in value]
    elif isinstance(value, dict | list):
        yield f"{path}[]", (type(value), len(value))
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(item, below(path, key))
    else:
        yield path, value


def _is_worked_out(value: Any) -> bool:
    return isinstance(value, str) and ("${" in value or "{{" in value)


def _not_valid(name: str, error: Exception) -> InputError:
    mark, line = getattr(error, "problem_mark", None), getattr(error, "lineno", None)
    reason = getattr(error, "problem", None) or getattr(error, "msg", None) or str(error)
    if mark is not None:
        line = mark.line + 1
    elif found := re.search(r"\(at line (\d+), column \d+\)", str(reason)):
        line, reason = int(found[1]), str(reason)[: found.start()].strip()
    kind = {".json": "JSON", ".toml": "TOML"}.get(PurePosixPath(name).suffix.lower(), "YAML")
    return InputError(f"not valid {kind}: {reason}", file=name, place=line, fix="correct it there")


def _refused(name: str, path: str, reason: str) -> InputError:
    return InputError(f"{path} cannot be changed there: {reason}", file=name, fix="choose another setting")


# ---- YAML


def _in_yaml(text: str) -> Iterator[tuple[str, Place]]:
    documents, loader = composed(text), yaml.SafeLoader("")
    if len(documents) != 1 or not isinstance(documents[0], yaml.MappingNode):
        return
    uses = Counter(id(node) for node in _all_nodes(documents[0]))
    repeats, known = repeated("", text), {path for path, _ in nodes(documents[0], "")}
    for path, node in _yaml_values(documents[0], ""):
        paths = repeats.get(path, (path,))
        # an alias may be a key too
        one = path == paths[0] and uses[id(node)] == len(paths) and is_one(paths, known)
        if not one or any(tag.rpartition(":")[2] not in _TAGS for tag in _tags(node)):
            continue
        start, end = node.start_mark.index, node.end_mark.index
        if properties := _PROPERTIES.match(text, start, end):
            start = properties.end()
        value = loader.construct_object(node, deep=True)
        plain = isinstance(node, yaml.ScalarNode) and node.style is None
        if plain and isinstance(value, str) and _EXPONENT.fullmatch(value):
            value = float(value)
        yield path, Place(tuple(value) if isinstance(value, list) else value, start, end)


def _all_nodes(node: yaml.Node) -> Iterator[yaml.Node]:
    yield node
    for child in node.value if isinstance(node, yaml.CollectionNode) else ():
        for part in child if isinstance(child, tuple) else (child,):
            yield from _all_nodes(part)


def _tags(node: yaml.Node) -> list[str]:
    return [item.tag for item in node.value] if isinstance(node, yaml.SequenceNode) else [node.tag]


def _yaml_values(node: yaml.Node, path: str) -> Iterator[tuple[str, yaml.Node]]:
    """Scalars and lists of them on one line; nothing below a merge."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                yield from _yaml_values(value, below(path, key.value))
    elif isinstance(node, yaml.SequenceNode):
        if node.flow_style and node.value and all(isinstance(item, yaml.ScalarNode) for item in node.value):
            yield path, node
        else:
            for number, item in enumerate(node.value):
                yield from _yaml_values(item, below(path, number))
    elif isinstance(node, yaml.ScalarNode) and node.style not in ("|", ">") and "\n" not in node.value:
        yield path, node


# ---- JSON, whose tabs YAML would not take


def _in_json(text: str) -> Iterator[tuple[str, Place]]:
    if isinstance(loaded(text), dict):
        found: list[tuple[str, Place]] = []
        _read_json(text, _after_space(text, 0), "", found)
        yield from found


def _after_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _read_json(text: str, at: int, path: str, found: list[tuple[str, Place]]) -> int:
    """Where the value that begins at `at` ends. The text is known to be JSON."""
    if text[at] not in "{[":
        value, end = json.JSONDecoder().raw_decode(text, at)
        found.append((path, Place(value, at, end)))
        return end
    is_list, start, known = text[at] == "[", at, len(found)
    items = json.JSONDecoder().raw_decode(text, at)[0] if is_list else []
    at = _after_space(text, at + 1)
    number = 0
    while text[at] not in "}]":
        key: Any = number
        if not is_list:
            key, at = json.JSONDecoder().raw_decode(text, at)
            at = _after_space(text, _after_space(text, at) + 1)
        at = _after_space(text, _read_json(text, at, below(path, key), found))
        at = _after_space(text, at + 1) if text[at] == "," else at
        number += 1
    if items and not any(isinstance(item, dict | list) or item is None for item in items):
        found[known:] = [(path, Place(tuple(items), start, at + 1))]
    return at + 1


# ---- TOML


def _in_toml(text: str) -> Iterator[tuple[str, Place]]:
    """Where a value stands is tried out: with something else there, that path alone must be another."""
    data = tomllib.loads(text)
    known = dict(_leaves(data, ""))
    for path, value in _toml_values(data, ""):
        for match in re.finditer(rf"""(?<![\w-])["']?{re.escape(path.rpartition(".")[2])}["']?[ \t]*=[ \t]*""", text):
            written = _TOML_VALUE.match(text, match.end())
            if written and _is_there(text, written.span(), path, known):
                yield path, Place(tuple(value) if isinstance(value, list) else value, *written.span())
                break


def _toml_values(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _toml_values(item, below(path, key))
    elif isinstance(value, list) and (not value or any(isinstance(item, dict | list) for item in value)):
        for number, item in enumerate(value):
            yield from _toml_values(item, below(path, number))
    elif isinstance(value, int | float | str | list):
        yield path, value


def _is_there(text: str, span: tuple[int, int], path: str, known: Mapping[str, Any]) -> bool:
    try:
        other = dict(_leaves(tomllib.loads(f'{text[: span[0]]}"\\u0001"{text[span[1] :]}'), ""))
    except ValueError:
        return False
    kept = {key: value for key, value in known.items() if key != path}
    return other.get(path) == "\u0001" and all(_alike(other.get(key, _GONE), value) for key, value in kept.items())


# ---- writing


def _written(name: str, value: Any, before: str) -> str:
    """`value` in the notation of `before`."""
    in_yaml = PurePosixPath(name).suffix.lower() not in (".json", ".toml")
    if isinstance(value, bool):
        return _flag(value, before) if in_yaml else str(value).lower()
    if value is None:
        return "null" if before else " null"
    if isinstance(value, tuple | list):
        parts = [part.strip() for part in before.strip("[]").split(",")]
        space = "" if len(parts) > 1 and ", " not in before and "\n" not in before else " "
        styles = parts + [parts[-1]] * len(value)
        return f"[{f',{space}'.join(_written(name, item, styles[i]) for i, item in enumerate(value))}]"
    if isinstance(value, str):
        text = _quoted(value, before, in_yaml)
    else:
        text = _number(value, before) if isinstance(value, float) else _whole(value, before)
    return text if before else f" {text}"


def _flag(value: bool, before: str) -> str:
    for yes, no in _FLAGS:
        if before.lower() in (yes, no):
            word = yes if value else no
            return word.upper() if before.isupper() else word.capitalize() if before[0].isupper() else word
    return "true" if value else "false"


def _whole(value: int, before: str) -> str:
    return f"{value:_}" if re.search(r"\d_\d", before) else str(value)


def _number(value: float, before: str) -> str:
    """A float that every reader takes for what it took the old one for: what is text in YAML 1.1 stays so."""
    if _EXPONENT.fullmatch(before):
        sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
        mantissa, power = "".join(map(str, digits)), int(exponent) + len(digits) - 1
        point = "." in before or len(mantissa) > 1
        text = f"{'-' if sign else ''}{mantissa[0]}{'.' if point else ''}{mantissa[1:] or ('0' if point else '')}"
        marked = "+" if power >= 0 and re.search(r"[eE]\+", before) else ""
        return f"{text}{'E' if 'E' in before else 'e'}{marked}{power}"
    return re.sub(r"^(-?\d+)e", r"\1.0e", repr(value))


def _quoted(value: str, before: str, in_yaml: bool) -> str:
    if before.startswith("'") and in_yaml:
        return "'" + value.replace("'", "''") + "'"
    if before.startswith("'") and "'" not in value:
        return f"'{value}'"
    if in_yaml and not before.startswith('"') and _is_plain(value):
        return value
    return json.dumps(value, ensure_ascii=False)


def _is_plain(value: str) -> bool:
    """Whether YAML reads it as that very text without quotes, in a list too."""
    try:
        return bool(yaml.safe_load(f"[{value}]") == [value]) and bool(yaml.safe_load(f"a: {value}") == {"a": value})
    except yaml.YAMLError:
        return False
