"""Which versions are compared: the marked ones, those chosen from a list, or one with what it was made from."""

from __future__ import annotations

from typing import Any

from textual.app import App

from progtrain.tui.host import host_of
from progtrain.tui.look.colours import version_colour
from progtrain.tui.look.sanitize import as_text
from progtrain.tui.model import in_order


def compare(app: App[Any], version_here: str | None) -> None:
    """The marked versions; fewer than two: the one that the screen is about and the one it was made from."""
    versions = in_order(host_of(app).model.marked)
    if len(versions) >= 2:
        _open(app, versions)
    elif versions and version_here and versions[0] != version_here:
        _open(app, (versions[0], version_here))
    elif version_here:
        compare_with_base(app, version_here)
    else:
        host_of(app).say("no version is chosen here: C lists those that can be compared")


def compare_with_base(app: App[Any], version: str) -> None:
    host = host_of(app)
    view, snapshot = host.model.version(version), host.model.snapshot
    names = [v.version for v in snapshot.versions] if snapshot else []
    place = names.index(version) if version in names else 0
    base = view.base if view and view.base else names[place - 1] if place else None
    if base is None or base == version:
        host.say(f"{version} is the first: space marks another one, c compares them")
    else:
        _open(app, (base, version))


def choose_versions(app: App[Any]) -> None:
    from progtrain.tui.screens.choose import Choose
    from progtrain.tui.widgets.row_list import Row

    host = host_of(app)
    rows = [
        Row(v.version, (as_text(v.version, version_colour(v.version)), as_text(v.action or v.state)))
        for v in reversed(host.model.snapshot.versions if host.model.snapshot else ())
    ]
    if len(rows) < 2:
        host.say("two versions are needed to compare")
        return

    def chosen(versions: tuple[str, ...] | None) -> None:
        if versions and len(versions) == 1:
            compare_with_base(app, versions[0])
        elif versions:
            _open(app, in_order(versions))

    title = "compare two or more versions; the earliest is the base"
    app.push_screen(Choose(title, rows, many=True, marked=host.model.marked, sign=host.signs.marked), chosen)


def _open(app: App[Any], versions: tuple[str, ...]) -> None:
    from progtrain.tui.screens.compare import CompareScreen

    if isinstance(app.screen, CompareScreen):
        app.pop_screen()
    app.push_screen(CompareScreen(versions))
