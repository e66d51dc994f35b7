"""All that can be done on a screen, whichever of its panes has the focus: for the help and the palette."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from textual.actions import parse
from textual.binding import Binding
from textual.dom import DOMNode
from textual.screen import Screen
from textual.widget import Widget

_KEYS = {
    "plus": "+",
    "minus": "-",
    "equals_sign": "=",
    "question_mark": "?",
    "slash": "/",
    "colon": ":",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "less_than_sign": "<",
    "greater_than_sign": ">",
    "comma": ",",
    "full_stop": ".",
    "escape": "esc",
}
MOVING = frozenset({"up", "down", "left", "right", "page_up", "page_down", "first", "last", "back", "open"})


class AvailableAction(NamedTuple):
    """One binding of a node, under the keys that it has now."""

    id: str
    keys: tuple[str, ...]
    #: as in the footer, and in more words where there are any
    label: str
    about: str
    node: DOMNode
    action: str
    in_footer: bool
    #: the kind of pane that it belongs to; "" for the screen itself and the app
    pane: str


def available_actions(screen: Screen[object], keymap: Mapping[str, str]) -> list[AvailableAction]:
    """Each once, the screen's own first. What cannot be done now (a question that is not open) is left out, and so is
    what has no key left, because the screen itself has taken it."""
    panes = [widget for widget in screen.query("*") if isinstance(widget, Widget) and widget.can_focus]
    focused = screen.focused
    panes.sort(key=lambda widget: widget is not focused)
    found: dict[tuple[str, str], AvailableAction] = {}
    of_screen: set[str] = set()
    for node in (screen, screen.app, *panes):
        for binding in named_bindings(type(node)):
            pane = str(getattr(node, "PANE", "")) if isinstance(node, Widget) and node is not screen else ""
            action = _action_of(node, binding, pane, keymap)
            taken = {(action.id, action.pane), (action.id, "")} & found.keys()
            if taken or not _possible(node, binding.action):
                continue
            if node is screen:
                of_screen |= set(action.keys)
            elif node is screen.app:
                action = action._replace(keys=tuple(key for key in action.keys if key not in of_screen))
            if action.keys:
                found[action.id, action.pane] = action
    return list(found.values())


def named_bindings(holder: type[DOMNode]) -> Iterator[Binding]:
    """Its own before inherited ones. Textual's own, which have no names, are those that every terminal app has."""
    for kind in holder.__mro__:
        for binding in kind.__dict__.get("BINDINGS", ()):
            if isinstance(binding, Binding) and binding.id and binding.description:
                yield binding


def _action_of(node: DOMNode, binding: Binding, pane: str, keymap: Mapping[str, str]) -> AvailableAction:
    name = binding.id or ""
    keys = (key.strip() for key in keymap.get(name, binding.key).split(","))
    about = binding.tooltip or binding.description
    shown = tuple(_KEYS.get(key, key) for key in keys)
    return AvailableAction(name, shown, binding.description, about, node, binding.action, binding.show, pane)


def _possible(node: DOMNode, action: str) -> bool:
    where, name, parameters = parse(action)
    target = node.app if where == "app" else node
    return target.check_action(name, parameters) is True
