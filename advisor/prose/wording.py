"""The hand-written sentences of `sentences/*.toml`, where their notation is explained."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from progtrain.advisor.interface import Briefing

#: section -> sentences
Bank = dict[str, tuple[str, ...]]


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads(resources.files(__package__ or "").joinpath("sentences", name).read_text(encoding="utf-8"))


def _bank(parts: dict[str, list[str]]) -> Bank:
    return {part: tuple(lines) for part, lines in parts.items()}


@cache
def results() -> Bank:
    """About a result, whatever the diagnosis: summary, outlook, deltas, no_deltas, evidence."""
    return _bank(_read("results.toml"))


@cache
def findings() -> dict[str, Bank]:
    """About each diagnosis: summary, evidence, hypotheses, focus."""
    return {name: _bank(parts) for name, parts in _read("findings.toml").items()}


@cache
def _actions() -> tuple[dict[str, str], dict[str, Bank]]:
    found = _read("actions.toml")
    options = found.pop("options")
    return options, {name: _bank(parts) for name, parts in found.items()}


def written_about() -> frozenset[str]:
    """The candidates with sentences here. Those of a recipe stand in the recipe, and come with the briefing."""
    return frozenset(_actions()[0])


def other() -> Bank:
    """For a candidate that nobody has written about, and where no sentence of its own holds."""
    return _actions()[1]["other"]


def families() -> dict[str, Bank]:
    """About what candidates do, by the name of the family: goal, impact, risk, verification."""
    return _actions()[1]


def action(option: str, version: str = "") -> Bank:
    """The sentences on a candidate that brings none along; `version` is the one under analysis."""
    return families()[family(option, version)]


def about(briefing: Briefing, option: str) -> Bank:
    """The sentences on a candidate: those that the briefing brings along, else the ones here."""
    brought = next((offered.sentences for offered in briefing.options if offered.id == option), None)
    return brought or action(option, briefing.version)


def family(option: str, version: str = "") -> str:
    """Whose words a candidate takes; also for `undo_v002` and `back_to_v002`."""
    if option.startswith("undo_v"):
        option = "undo" if option == f"undo_{version}" else "undo_earlier"
    elif option.startswith("back_to_v"):
        option = "back_to"
    return _actions()[0].get(option, "other")
