"""YAML that people write: read without surprises. A key that comes twice is an error, since the first would be lost."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from progtrain.engine.errors import InputError

# YAML 1.1 reads 3e-4 as text because it has no dot; nobody means text by it
_EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")


def number(value: Any) -> Any:
    """`3e-4` as the number that it means, in lists too."""
    if isinstance(value, str) and _EXPONENT.fullmatch(value.strip()):
        return float(value)
    return [number(item) for item in value] if isinstance(value, list) else value


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
        reason = getattr(error, "problem", None) or "it cannot be read"
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
    except yaml.YAMLError:
        # in the words and with the lines of the one in Python
        return _loaded_by(yaml.SafeLoader, text)


def _loaded_by(kind: Any, text: str) -> Any:
    loader = kind(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        refuse_keys_twice(node)
        return loader.construct_document(node)
    finally:
        loader.dispose()


def as_yaml(data: Any) -> str:
    """In the order in which it comes."""
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=1000)
