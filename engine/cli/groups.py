"""Groups that import a command when it is called: `status` must not wait for what `run` needs."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

import click


class Commands(click.Group):
    """`table`: name -> what it does, in the order of the help. `places`: name -> its module in this folder, and which
    command there; by default `command` in the module of that name.

    `other` finds commands that stand for nothing in the table, and tells of them: title of a section of the help ->
    name -> what it does.
    """

    def __init__(
        self,
        *arguments: Any,
        table: Mapping[str, str],
        places: Mapping[str, str] | None = None,
        other: Callable[[str], click.Command | None] | None = None,
        others: Callable[[], Mapping[str, Mapping[str, str]]] = dict,
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        self._table, self._places, self._other, self._others = table, places or {}, other, others

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._table)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in self._table:
            return self._other(name) if self._other else None
        module, _, attribute = self._places.get(name, name).partition(":")
        found = getattr(importlib.import_module(f"progtrain.engine.cli.{module}"), attribute or "command")
        assert isinstance(found, click.Command)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, listed in {"Commands": self._table, **self._others()}.items():
            with formatter.section(title):
                formatter.write_dl(list(listed.items()))
