"""Every screen, one line each. Keys, help, palette, modes and what is imported ahead are derived from this table."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, NamedTuple

from textual.binding import Binding

if TYPE_CHECKING:
    from progtrain.tui.screens.base import BaseScreen


class Entry(NamedTuple):
    key: str
    #: the mode, the command in the palette and the binding are named so
    name: str
    #: below `progtrain.tui.screens`; imported when it is first shown, or behind the first frame
    place: str
    #: for the palette
    about: str


SCREENS = (
    Entry("1", "loop", "loop:LoopScreen", "what runs and how far it is"),
    Entry("2", "leaderboard", "leaderboard:LeaderboardScreen", "every version and external model"),
    Entry("3", "samples", "samples:SamplesScreen", "validation samples, wrong ones first"),
    Entry("4", "rules", "rules:RulesScreen", "rules and instruction"),
    Entry("5", "journal", "journal:JournalScreen", "what happened when"),
    Entry("6", "reports", "reports:ReportsScreen", "the reports of finished loops"),
    Entry("r", "review", "review:ReviewScreen", "the open question, or the last draft"),
)
#: what the app opens with
FIRST = SCREENS[0].name


def screen_class(name: str) -> type[BaseScreen]:
    """The screen of that name, imported."""
    place = next(entry.place for entry in SCREENS if entry.name == name)
    module, _, kind = place.partition(":")
    found: type[BaseScreen] = getattr(importlib.import_module(f"progtrain.tui.screens.{module}"), kind)
    return found


def import_screens() -> None:
    """All that is not imported yet and that a key would wait for."""
    for entry in SCREENS:
        screen_class(entry.name)
    importlib.import_module("progtrain.tui.widgets.markdown_elements")


def binding_id(entry: Entry) -> str:
    return f"screen.{entry.name}" if entry.key.isdigit() else entry.name


def screen_bindings() -> list[Binding]:
    return [
        Binding(entry.key, f"screen('{entry.name}')", entry.name.capitalize(), show=False, id=binding_id(entry))
        for entry in SCREENS
    ]
