"""The keys that can be given to actions in `keys.toml`: their names, and what would clash."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping

from textual.binding import Binding
from textual.dom import DOMNode

import progtrain.tui
from progtrain.tui.actions import named_bindings


def key_holders() -> list[type[DOMNode]]:
    """Every class of the app that binds keys of its own. Imports all of the app."""
    modules = [importlib.import_module(m.name) for m in pkgutil.walk_packages(progtrain.tui.__path__, "progtrain.tui.")]
    found = {
        kind: None
        for module in modules
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, DOMNode) and kind.__module__ == module.__name__
    }
    return [kind for kind in found if "BINDINGS" in vars(kind)]


def all_bindings() -> dict[str, Binding]:
    """Every binding that can be given other keys, by its name."""
    found: dict[str, Binding] = {}
    for holder in key_holders():
        for binding in named_bindings(holder):
            found.setdefault(binding.id or "", binding)
    return dict(sorted(found.items()))


def key_names() -> list[str]:
    """Lines of `keys.toml`."""
    return [f'"{name}" = "{binding.key}"  # {binding.description}\n' for name, binding in all_bindings().items()]


def keymap_problem(keys: Mapping[str, str]) -> str | None:
    """What keeps the user's keys from doing what they say: a name that nothing has, a key that is given away twice."""
    if not keys:
        return None
    known = all_bindings()
    for name in keys:
        if name not in known:
            return f"key {name}: nothing is named so; progtrain-tui --keys lists all names"
    for holder in key_holders():
        for name, other, key in _clashes(holder, keys):
            if {name, other} & set(keys):
                mine, its = (name, other) if name in keys else (other, name)
                return f"key {mine}: {key} is taken by {its}; give {its} another one too"
    return None


def _clashes(holder: type[DOMNode], keys: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Two bindings of one holder with the same key. Where it is so by default, one is there to cover the other."""
    bindings = {binding.id or "": binding for binding in reversed(list(named_bindings(holder)))}
    taken: dict[str, str] = {}
    for name, binding in bindings.items():
        for key in (key.strip() for key in keys.get(name, binding.key).split(",")):
            other = taken.setdefault(key, name)
            if other != name and not all(key in bindings[n].key.split(",") for n in (name, other)):
                yield name, other, key
