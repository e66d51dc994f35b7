"""The palette: everything that has a key on the screen below, and `/progressive-training` to start the loop."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, cast
from urllib.parse import parse_qs

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.widget import Widget

from progtrain.tui.actions import MOVING, Doing, doings
from progtrain.tui.look.sanitize import clean_line

if TYPE_CHECKING:
    from progtrain.tui.app import ProgtrainApp

START = "/progressive-training"


class Commands(Provider):
    @property
    def host(self) -> ProgtrainApp:
        return cast("ProgtrainApp", self.app)

    def _all(self) -> list[tuple[str, str, Callable[[], object]]]:
        host = self.host
        found: list[tuple[str, str, Callable[[], object]]] = []
        if not host.readonly:
            found.append((START, "start the loop, or go on with it (?dataset_id=... names the data)", host.start_loop))
        for name, about in SCREENS.items():
            found.append((name, about, lambda name=name: host.action_screen(name)))  # type: ignore[misc]
        found += [
            ("review", "the open question, or the last draft", host.action_review),
            ("help", "all keys of this screen", host.action_help),
            ("theme", "choose other colours", host.action_change_theme),
            ("quit", "leave; what runs goes on", host.action_leave),
        ]
        named = {"help", "quit", "review", *(f"screen.{name}" for name in SCREENS)} | MOVING
        here = [doing for doing in doings(self.screen, host.keys) if doing.id not in named]
        return found + [(_label(doing), _about(doing), partial(_do, host, doing)) for doing in here]

    async def discover(self) -> Hits:
        for name, about, run in self._all():
            yield DiscoveryHit(name, run, help=about)

    async def search(self, query: str) -> Hits:
        dataset = dataset_of(query)
        if dataset is not None and not self.host.readonly:
            yield Hit(
                1.0,
                f"{START}?dataset_id={clean_line(dataset)}".replace("[", "("),
                lambda: self.host.start_loop(dataset),
                help="start the loop with this data",
            )
            return
        matcher = self.matcher(query)
        for name, about, run in self._all():
            score = max(matcher.match(name), matcher.match(about) * 0.7)
            if score > 0:
                yield Hit(score, matcher.highlight(name), run, help=about)


def _label(doing: Doing) -> str:
    return f"{doing.pane}: {doing.label.casefold()}" if doing.pane else doing.label.casefold()


def _about(doing: Doing) -> str:
    keys = f"key {' or '.join(doing.keys)}"
    return f"{doing.about}, {keys}" if doing.about != doing.label else keys


async def _do(host: ProgtrainApp, doing: Doing) -> None:
    """As if its key had been pressed in its pane."""
    if isinstance(doing.node, Widget) and doing.node.can_focus:
        doing.node.focus()
    await host.run_action(doing.action, doing.node)


SCREENS = {
    "loop": "what runs and how far it is",
    "leaderboard": "every version and external model",
    "samples": "validation samples, wrong ones first",
    "rules": "rules and instruction",
    "journal": "what happened when",
    "reports": "the reports of finished loops",
}


def dataset_of(query: str) -> str | None:
    """`/progressive-training?dataset_id=v2` -> `v2`."""
    head, mark, rest = query.strip().partition("?")
    if head != START or not mark:
        return None
    values = parse_qs(rest).get("dataset_id")
    return values[0] if values else None
