"""The palette: everything that has a key on the screen below, and `/progressive-training` to start the loop."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import parse_qs

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.widget import Widget

from progtrain.tui.actions import MOVING, AvailableAction, available_actions
from progtrain.tui.host import host_of
from progtrain.tui.look.sanitize import clean_line
from progtrain.tui.reading.documents import LOG
from progtrain.tui.screens.table import SCREENS, binding_id

START = "/progressive-training"
_ADOPT = "in a shell, in the project's folder: progtrain adopt SCRIPT [-- ARGUMENTS]"
_INIT = "in a shell: progtrain init --template image|table|text|plain DIR --data CSV|FOLDER"
_BASELINE = "in a shell, in this folder: progtrain baseline"
_APP_COMMANDS = (
    ("help", "all keys of this screen", "app.help"),
    ("theme", "choose other colours", "app.change_theme"),
    ("quit", "leave; the loop goes on by itself", "app.leave"),
)


#: what the palette says, and what it has done
_EXPERIMENTS = (
    ("candidates", "design one: each run is the present version with one of its proposed actions"),
    ("repeats", "design one: the present version with several seeds"),
    ("scaffold", "write what each run needs"),
    ("run", "train and evaluate until all of it has ended"),
    ("cancel", "end the jobs of all its runs"),
    ("resume", "start again what failed or was cancelled"),
    ("analyze", "compare the runs, and write the report"),
    ("adopt", "make the best candidate, or the one that is marked, the next version"),
    ("search", "find runs of all experiments by values and words"),
)

#: what the palette says, and which screen shows it
_RECORDS = (
    ("jobs", "every attempt at a training or an evaluation, and what became of it", "journal"),
    ("playbook", "write where the latest version fails, in groups, and show it", "reports"),
    ("workflow log", "write what was done, version by version, and show it", "reports"),
)


#: what the palette exports to, and what that is
_EXPORTS = (
    ("csv", "tables of settings, curves and results: Models/exports/csv"),
    ("tensorboard", "event files for TensorBoard: Models/exports/tensorboard"),
    ("mlflow", "a file of sqlite, by the mlflow of your scripts' interpreter: Models/exports/mlflow"),
)


class Commands(Provider):
    def _all(self) -> list[tuple[str, str, Callable[[], object]]]:
        host = host_of(self.screen)
        found: list[tuple[str, str, Callable[[], object]]] = []
        if not host.readonly:
            found.append(("adopt a script", f"how a script of your own comes in, {_ADOPT}", partial(host.say, _ADOPT)))
            begin = "a first baseline for data of your own"
            found.append((begin, f"a script and prepared data from a template, {_INIT}", partial(host.say, _INIT)))
            smoke = f"a few steps of the baseline, and the batches that fit, {_BASELINE}"
            found.append(("smoke test", smoke, partial(host.say, _BASELINE)))
            found.append((START, "start the loop, or go on with it (?dataset_id=... names the data)", host.start_loop))
            found += [(f"experiment: {verb}", about, partial(self._experiment, verb)) for verb, about in _EXPERIMENTS]
            found += [(f"export to {tool}", about, partial(self._export, tool)) for tool, about in _EXPORTS]
            if version := getattr(self.screen, "version_here", None):
                about = "train and evaluate it three times with other seeds: how much of a difference is chance"
                found.append((f"repeat {version}", about, partial(host.repeat, version)))
        found += [(name, about, partial(host.action_screen, name)) for name, (_, about) in SCREENS.items()]
        for name, about, screen in _RECORDS:
            if screen == "journal" or not host.readonly:
                found.append((name, about, partial(self._record, name, screen)))
        found += [(name, about, partial(self.app.run_action, action)) for name, about, action in _APP_COMMANDS]
        named = {"help", "quit", *map(binding_id, SCREENS)} | MOVING
        here = [action for action in available_actions(self.screen, host.keys) if action.id not in named]
        return found + [(_label(action), _about(action), partial(self._do, action)) for action in here]

    def _export(self, tool: str) -> None:
        host = host_of(self.screen)
        host.say(f"exporting to {tool}")
        host.in_thread(partial(host.engine.export, tool), host.say)

    def _experiment(self, verb: Any) -> None:
        host_of(self.screen).action_screen("experiments")

        def act() -> None:
            from progtrain.tui.screens.experiments import ExperimentsScreen

            if isinstance(self.app.screen, ExperimentsScreen):
                self.app.screen.carry_out(verb)

        self.app.call_after_refresh(act)

    def _record(self, name: str, screen: str) -> None:
        host_of(self.screen).action_screen(screen)
        self.app.call_after_refresh(lambda: _show_record(self.app.screen, name))

    async def _do(self, action: AvailableAction) -> None:
        """As if its key had been pressed in its pane."""
        if isinstance(action.node, Widget) and action.node.can_focus:
            action.node.focus()
        await self.app.run_action(action.action, action.node)

    async def discover(self) -> Hits:
        for name, about, run in self._all():
            yield DiscoveryHit(name, run, help=about)

    async def search(self, query: str) -> Hits:
        dataset = dataset_of(query)
        if dataset is not None and not host_of(self.screen).readonly:
            yield Hit(
                1.0,
                f"{START}?dataset_id={clean_line(dataset)}".replace("[", "("),
                lambda: host_of(self.screen).start_loop(dataset),
                help="start the loop with this data",
            )
            return
        matcher = self.matcher(query)
        for name, about, run in self._all():
            score = max(matcher.match(name), matcher.match(about) * 0.7)
            if score > 0:
                yield Hit(score, matcher.highlight(name), run, help=about)


def _show_record(screen: object, name: str) -> None:
    from progtrain.tui.screens.journal import JournalScreen
    from progtrain.tui.screens.reports import ReportsScreen

    if isinstance(screen, JournalScreen):
        screen.show_jobs()
    elif isinstance(screen, ReportsScreen):
        screen.action_write(name if name == LOG else "")


def _label(action: AvailableAction) -> str:
    return f"{action.pane}: {action.label.casefold()}" if action.pane else action.label.casefold()


def _about(action: AvailableAction) -> str:
    keys = f"key {' or '.join(action.keys)}"
    return f"{action.about}, {keys}" if action.about != action.label else keys


def dataset_of(query: str) -> str | None:
    """`/progressive-training?dataset_id=v2` -> `v2`."""
    head, mark, rest = query.strip().partition("?")
    if head != START or not mark:
        return None
    values = parse_qs(rest).get("dataset_id")
    return values[0] if values else None
