"""The values of a YAML file as nodes: by their paths, and which of them are one that aliases and merges repeat."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import suppress
from functools import lru_cache
from typing import Any

import yaml

from progtrain.engine.script.names import canonical
from progtrain.engine.yaml_text import composed

_MERGE = re.compile(r"<<\.(?:\d+\.)?")


def nodes(node: yaml.Node | None, path: str) -> Iterator[tuple[str, yaml.Node]]:
    """Nodes rather than values, since a tag may be of the user's own; an alias counts where it is used. A list without
    others in it as a whole."""
    if isinstance(node, yaml.CollectionNode) and not _is_leaf(node):
        yield f"{path}[]", node
        pairs = node.value if isinstance(node, yaml.MappingNode) else enumerate(node.value)
        for key, value in pairs:
            yield from nodes(value, below(path, getattr(key, "value", key)))
    elif node is not None:
        yield path, node


def _is_leaf(node: yaml.Node) -> bool:
    plain = isinstance(node, yaml.SequenceNode) and all(isinstance(item, yaml.ScalarNode) for item in node.value)
    return plain or isinstance(node, yaml.ScalarNode)


def seen_in(node: yaml.Node) -> Any:
    if not _is_leaf(node):
        return node.tag, len(node.value)
    return [(item.tag, item.value) for item in node.value] if isinstance(node.value, list) else (node.tag, node.value)


@lru_cache(maxsize=64)
def repeated(name: str, text: str) -> Mapping[str, tuple[str, ...]]:
    """Path -> all paths of the same value, which aliases and merges of YAML repeat; the first is where it stands."""
    paths: dict[int, list[str]] = {}
    with suppress(yaml.YAMLError, ValueError, RecursionError):
        for root in () if name.endswith((".json", ".toml")) else composed(text):
            for path, node in nodes(root, ""):
                paths.setdefault(id(node), []).append(path)
    return {path: tuple(found) for found in paths.values() if len(found) > 1 for path in found}


def is_one(paths: Sequence[str], known: Set[str]) -> bool:
    """Whether a value that is repeated is one setting: by its name, and no merge gives way to a value of its own."""
    merged = [_MERGE.sub("", path) for path in paths if "<<" in path]
    return len({canonical(path) for path in paths}) == 1 and known.isdisjoint(merged)


def below(path: str, key: Any) -> str:
    return f"{path}.{key}" if path else str(key)
