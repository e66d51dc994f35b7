"""Every screen, one line each. Keys, help, palette, modes and what is imported ahead are derived from this table."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from textual.binding import Binding

if TYPE_CHECKING:
    from progtrain.tui.screens.base import BaseScreen


#: Name -> its key, and what the palette says of it. Mode, command and binding are named so, and so are its module and
#: its class: `times` is `TimesScreen` in `progtrain.tui.screens.times`, imported when it is first shown, or behind the
#: first frame.
SCREENS = {
    "loop": ("1", "what runs and how far it is"),
    "leaderboard": ("2", "every version and external model"),
    "samples": ("3", "validation samples, wrong ones first"),
    "rules": ("4", "rules and instruction"),
    "journal": ("5", "what happened when"),
    "reports": ("6", "the reports of finished loops"),
    "experiments": ("7", "many runs that answer one question, side by side"),
    "review": ("r", "the open question, or the last draft"),
}
#: what the app opens with
FIRST = "loop"


def screen_class(name: str) -> type[BaseScreen]:
    """The screen of that name, imported."""
    module = importlib.import_module(f"progtrain.tui.screens.{name}")
    found: type[BaseScreen] = getattr(module, f"{name.capitalize()}Screen")
    return found


def import_screens() -> None:
    """All that is not imported yet and that a key would wait for."""
    for name in SCREENS:
        screen_class(name)
    importlib.import_module("progtrain.tui.widgets.markdown_elements")


def binding_id(name: str) -> str:
    return f"screen.{name}" if SCREENS[name][0].isdigit() else name


def screen_bindings() -> list[Binding]:
    return [
        Binding(key, f"screen('{name}')", name.capitalize(), show=False, id=binding_id(name))
        for name, (key, _) in SCREENS.items()
    ]
