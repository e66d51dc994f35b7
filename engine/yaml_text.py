"""YAML that people write: read without surprises. A key that comes twice is an error, since the first would be lost.

A few lines of aliases may stand for more than any memory holds: what is read here is weighed before anybody walks it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from progtrain.engine.errors import InputError
from progtrain.engine.files import MOST_YAML
from progtrain.engine.json_text import MOST_DEPTH

#: values of one file, each counted as often as aliases repeat it
_MOST_VALUES = 100_000
#: characters for the reader in Python, which takes seconds for them
_MOST_IN_PYTHON = 256 << 10
#: without such a line, or that many brackets, nothing is deep
_DEEP_LINE = re.compile(r"^ {40}|(?:[-?:] ){20}", re.MULTILINE)
#: characters of one whole number
_LONGEST_NUMBER = 308

# YAML 1.1 reads 3e-4 as text because it has no dot; nobody means text by it
_EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")


def number(value: Any) -> Any:
    """`3e-4` as the number that it means, in lists too."""
    if isinstance(value, str) and _EXPONENT.fullmatch(value.strip()):
        return float(value)
    return [number(item) for item in value] if isinstance(value, list) else value


def composed(text: str, loader: Any = yaml.SafeLoader) -> list[yaml.Node]:
    """The documents in it that hold something. Raises `yaml.YAMLError`, also for more than anybody writes."""
    most = _MOST_IN_PYTHON if loader is yaml.SafeLoader else MOST_YAML
    if len(text) > most:
        raise yaml.MarkedYAMLError(problem=f"it is larger than {most >> 10} KiB")
    _refuse_depth(text, loader)
    reader = loader(text)
    try:
        found: list[yaml.Node] = []
        while reader.check_node():
            found.append(reader.get_node())
    except RecursionError as error:
        raise yaml.MarkedYAMLError(problem="nested too deeply") from error
    finally:
        reader.dispose()
    known: dict[int, tuple[int, int] | None] = {}
    for node in found:
        _weighed(node, known)
    return found


def _mark(event: yaml.Event) -> Any:
    """Where it is; both readers have marks of their own."""
    return event.start_mark


def _refuse_depth(text: str, loader: Any) -> None:
    """Before anything calls itself: libyaml's reader would take the whole process down. Raises `yaml.YAMLError`."""
    if text.count("[") + text.count("{") < MOST_DEPTH and not _DEEP_LINE.search(text):
        return
    depth = 0
    for event in yaml.parse(text, Loader=loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MOST_DEPTH:
            raise yaml.MarkedYAMLError(problem="nested too deeply", problem_mark=_mark(event))


def _weighed(node: yaml.Node, known: dict[int, tuple[int, int] | None], depth: int = 0) -> tuple[int, int]:
    """How many values it stands for, and how deep they lie in each other. Raises `yaml.MarkedYAMLError`."""
    if id(node) in known:
        held = known[id(node)]
        if held is None:
            raise yaml.MarkedYAMLError(problem="an alias stands in what it stands for", problem_mark=node.start_mark)
        return held
    known[id(node)] = None
    weight, height = 1, 0
    if depth < MOST_DEPTH and isinstance(node, yaml.CollectionNode):
        for child in node.value:
            for part in child if isinstance(child, tuple) else (child,):
                its = _weighed(part, known, depth + 1)
                weight, height = weight + its[0], max(height, its[1] + 1)
    elif isinstance(node, yaml.CollectionNode):
        height = MOST_DEPTH
    elif node.tag == "tag:yaml.org,2002:int" and len(node.value) > _LONGEST_NUMBER:
        raise yaml.MarkedYAMLError(problem=f"a number of {len(node.value)} digits", problem_mark=node.start_mark)
    if height >= MOST_DEPTH:
        raise yaml.MarkedYAMLError(problem="nested too deeply", problem_mark=node.start_mark)
    if weight > _MOST_VALUES:
        raise yaml.MarkedYAMLError(problem="its aliases stand for too many values", problem_mark=node.start_mark)
    known[id(node)] = weight, height
    return weight, height


def refuse_keys_twice(node: yaml.Node) -> None:
    """Raises `yaml.MarkedYAMLError` at the second of two equal keys of one mapping."""
    seen: set[str] = set()
    for child in node.value if isinstance(node, yaml.CollectionNode) else ():
        key, value = child if isinstance(node, yaml.MappingNode) else (None, child)
        if key is not None and isinstance(key.value, str):
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"the key `{key.value}` comes twice", problem_mark=key.start_mark)
            seen.add(key.value)
        refuse_keys_twice(value)


def read_mapping(text: str, file: Path | str) -> dict[str, Any]:
    """One mapping, as a file of settings is. Raises `InputError` with the line."""
    try:
        found = _loaded(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        reason = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read"
        place = mark.line + 1 if mark else None
        raise InputError(f"not valid YAML: {reason}", file=file, place=place, fix="correct that line") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"not valid YAML: {error}", file=file, fix="correct it") from error
    if not isinstance(found, dict):
        raise InputError("a mapping of keys belongs here", file=file, fix="write `key: value` lines")
    return {str(key): value for key, value in found.items()}


def _loaded(text: str) -> Any:
    """Raises `yaml.YAMLError`. By libyaml, which takes a tenth of the time, unless it finds something wrong."""
    try:
        return _loaded_by(getattr(yaml, "CSafeLoader", yaml.SafeLoader), text)
    except (yaml.scanner.ScannerError, yaml.parser.ParserError, yaml.composer.ComposerError):
        if len(text) > _MOST_IN_PYTHON:
            raise
        # in the words and with the lines of the one in Python
        return _loaded_by(yaml.SafeLoader, text)


def _loaded_by(kind: Any, text: str) -> Any:
    found = composed(text, kind)
    if not found:
        return None
    if found[1:]:
        mark = found[1].start_mark
        raise yaml.MarkedYAMLError(problem="a second document begins here", problem_mark=mark)
    refuse_keys_twice(found[0])
    return constructed(found[0])


def constructed(node: yaml.Node) -> Any:
    """The plain values of it. Raises `yaml.YAMLError`, or `ValueError` for a date that there is not."""
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_document(node)
    finally:
        loader.dispose()


def as_yaml(data: Any) -> str:
    """In the order in which it comes."""
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=1000)
