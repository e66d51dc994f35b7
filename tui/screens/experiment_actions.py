"""What the screen of experiments asks before something is done: a name, a plan's text, whether to cancel, a plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.text import Text

from progtrain.engine import values
from progtrain.engine.experiment import folder as folders
from progtrain.tui import experimenting
from progtrain.tui.client import read_own, save
from progtrain.tui.look import words
from progtrain.tui.look.colours import QUIET
from progtrain.tui.look.sanitize import as_text
from progtrain.tui.model import Model
from progtrain.tui.screens.ask import Confirm
from progtrain.tui.screens.choose import Choose
from progtrain.tui.screens.edit import EditScreen
from progtrain.tui.widgets.row_list import Row

if TYPE_CHECKING:
    from progtrain.engine.experiment.plots import Plot
    from progtrain.tui.screens.experiments import ExperimentsScreen

_HELP = "enter writes its plan, which : shows and edits    esc goes back"
_SEEDS = 3
#: runs that are named in a question
_NAMED = 4


def ask_design(screen: ExperimentsScreen, kind: Literal["candidates", "repeats"]) -> None:
    """`kind`: "candidates", each run is the present version with one of its proposed actions; or "repeats", it is
    trained with several seeds."""
    version = present(screen.model)
    if version is None:
        screen.host.say("there is no version yet to make runs of")
        return
    given: dict[str, Any] = {"from_version": version, "candidates": None}
    if kind == "repeats":
        given = {"base": screen.workspace.script(version).name, "repeats": _SEEDS}

    def named(name: str) -> None:
        if name.strip():
            screen.act("design", name=name.strip(), **given)

    told = f"the candidates of {version}" if kind == "candidates" else f"{version} with {_SEEDS} seeds"
    screen.ask(f"name of an experiment: {told}", _HELP, named, f"{version}_{kind}")


def present(model: Model) -> str | None:
    """The newest version that is evaluated; the newest of all where none is."""
    rows = model.snapshot.versions if model.snapshot else ()
    done = [row.version for row in rows if row.value is not None]
    return next(iter([*reversed(done), *(row.version for row in reversed(rows))]), None)


def confirm_cancel(screen: ExperimentsScreen, runs: Sequence[str]) -> None:
    """`runs` empty: all that has not ended."""
    more = f" and {len(runs) - _NAMED} more" if len(runs) > _NAMED else ""
    told = ", ".join(runs[:_NAMED]) + more if runs else "all runs that have not ended"

    def answered(yes: bool | None) -> None:
        if yes:
            screen.act("cancel", runs)

    screen.app.push_screen(Confirm(f"Cancel {told}?", "cancel", "let it go on"), answered)


def confirm_adopt(screen: ExperimentsScreen, name: str, marked: Sequence[str]) -> None:
    """Says which candidate would become the next version, and why, before it does. `marked` empty: the best one."""

    def told(text: str) -> None:
        def answered(yes: bool | None) -> None:
            if yes:
                screen.act("adopt", marked, name=name)

        screen.app.push_screen(Confirm(text, "adopt it", "leave it"), answered)

    if len(marked) > 1:
        screen.host.say("only one run can become the next version: mark that one, or none for the best")
        return
    screen.host.say(f"{name}: looking which one would be adopted")
    screen.read(lambda: screen.host.engine.experiment("adopt", name, marked, dry_run=True), told)


def edit_plan(screen: ExperimentsScreen, name: str) -> None:
    path = folders.folder(screen.workspace, name).plan

    def saved(_: None) -> None:
        screen.host.say("saved; s scaffolds what it changes")
        screen.look_soon()

    def found(text: str | None) -> None:
        if text is None:
            screen.host.say(f"{name}/{path.name} is not there any longer", bad=True)
            return

        def edited(changed: str | None) -> None:
            if changed is not None and changed != text:
                screen.host.in_thread(lambda: save(path, changed, text), saved)

        check = partial(screen.host.engine.check_plan, name)
        screen.app.push_screen(EditScreen(f"{name}/{path.name}", text, check, suffix=path.suffix), edited)

    screen.read(partial(read_own, path), found)


def choose_plot(screen: ExperimentsScreen, name: str) -> None:
    def choose(found: Sequence[Plot]) -> None:
        def chosen(keys: tuple[str, ...] | None) -> None:
            if keys:
                screen.draw(next(plot for plot in found if plot.name == keys[0]))

        rows = [Row(plot.name, (as_text(plot.kind, QUIET), as_text(plot.title))) for plot in found]
        screen.app.push_screen(Choose("what to draw", rows, at=screen.plot.name if screen.plot else None), chosen)

    screen.host.say("working out what can be drawn")
    screen.read(partial(experimenting.plots_of, screen.workspace, name), choose)


def search_runs(screen: ExperimentsScreen) -> None:
    """Over all experiments of all workspaces that progtrain has seen."""

    def typed(text: str) -> None:
        def choose(found: Sequence[Mapping[str, Any]]) -> None:
            rows = [Row(str(place), _hit(hit, screen)) for place, hit in enumerate(found)]
            if not rows:
                screen.host.say(f"no run matches {text!r}")
                return

            def chosen(keys: tuple[str, ...] | None) -> None:
                if keys:
                    _go_to(screen, found[int(keys[0])])

            screen.app.push_screen(Choose(f"{len(rows)} runs: {text}", rows), chosen)

        screen.read(partial(experimenting.search, screen.workspace, text), choose)

    screen.ask("search runs: rank>8 metric:acc>.8 state:failed word", "enter searches    esc goes back", typed)


def _hit(hit: Mapping[str, Any], screen: ExperimentsScreen) -> tuple[Text, ...]:
    here = hit["workspace"] == str(screen.workspace.root)
    place = hit["experiment"] if here else f"{Path(hit['workspace']).name}/{hit['experiment']}"
    told = [f"{name} {words.metric_value(value)}" for name, value in list(hit["metrics"].items())[:_NAMED]]
    told += [f"{name} {values.show(value)}" for name, value in list(hit["parameters"].items())[:_NAMED]]
    return as_text(place, QUIET), as_text(hit["run"], "bold"), as_text(hit["state"]), as_text(", ".join(told), QUIET)


def _go_to(screen: ExperimentsScreen, hit: Mapping[str, Any]) -> None:
    if hit["workspace"] != str(screen.workspace.root):
        screen.host.say(f"it is in another workspace: progtrain-tui {hit['workspace']}")
        return
    screen.open(hit["experiment"], run=hit["run"])
