"""What screens, widgets and commands may ask of the app, and what the app asks of the engine: interfaces only.

Nothing but `start` imports the app itself, so that a screen can be read, and tested, without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar, cast

if TYPE_CHECKING:
    from textual.dom import DOMNode
    from textual.geometry import Size
    from textual.widget import Widget

    from progtrain.engine.drafting.preview import Check
    from progtrain.engine.schema import Decision
    from progtrain.engine.workspace import Workspace
    from progtrain.tui.experimenting import Verb
    from progtrain.tui.look.words import Signs
    from progtrain.tui.model import Model

T = TypeVar("T")


class RulesCheck(NamedTuple):
    """How the engine reads rules and instruction."""

    problem: str = ""
    #: setting -> the value that it must have
    locks: tuple[tuple[str, str], ...] = ()
    #: lines of the instruction, each with what was understood; None where nothing enforces it
    lines: tuple[tuple[str, str | None], ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Engine(Protocol):
    """The ways back to the loop. Every call may wait: call it in a thread.

    They raise `ProgtrainError` for what a user can fix.
    """

    def start(self, dataset_id: str | None = None) -> None: ...

    def stop(self) -> None: ...

    def repeat(self, version: str) -> None: ...

    def answer(self, decision: Decision) -> None: ...

    def preview(self, version: str, action_text: str) -> Check:
        """What an action's document would write."""

    def preview_candidate(self, version: str, candidate: str) -> Check:
        """What a candidate would write if it were accepted."""

    def check_rules(self, rules: str | None, instruction: str | None) -> RulesCheck:
        """Of the texts as they stand; None for a file that is not there."""

    def experiment(self, verb: Verb, name: str, runs: Sequence[str] = (), **given: Any) -> str:
        """Has a stage of an experiment done, or started; what came of it. Arguments as `experimenting.carry_out`."""

    def check_plan(self, name: str, text: str) -> Check:
        """What an experiment's plan would come to."""

    def write_records(self, version: str | None) -> str | None:
        """Writes the workflow log, and the playbook of a version, by default the latest that has samples. Returns its
        id; None where there is none."""

    def export(self, tool: str) -> str:
        """Writes all versions for another tool; where they lie and how one looks at them."""


class Host(Protocol):
    """The app, as everything on its screens sees it."""

    workspace: Workspace
    model: Model
    engine: Engine
    signs: Signs
    readonly: bool
    #: binding name -> the user's keys for it
    keys: dict[str, str]
    #: draws pictures as pixels; None: half blocks do
    pixels: type[Widget] | None

    @property
    def size(self) -> Size: ...

    @property
    def letters(self) -> bool:
        """Pictures are drawn with letters."""

    def size_classes(self) -> tuple[str, str]:
        """The style classes for the terminal's width and height."""

    def catch_up(self) -> None:
        """Before the first frame: what was read ahead meanwhile is drawn with it."""

    # saying, and working without holding up a key

    def say(self, text: str, *, bad: bool = False) -> None: ...

    def in_thread(self, work: Callable[[], T], done: Callable[[T], None]) -> None:
        """`work` may wait; `done` gets its result on the app's thread. A failure is said."""

    def ring(self, text: str) -> None:
        """Bell and a message of the terminal's: what was waited for has come."""

    def copy(self, text: str, what: str) -> None:
        """To the terminal's clipboard and a file."""

    # the loop; all of them say so where the app only looks

    def start_loop(self, dataset_id: str | None = None) -> None: ...

    def stop_loop(self) -> None: ...

    def repeat(self, version: str) -> None:
        """Trains and evaluates a version again with other seeds."""

    def answer(self, decision: Decision, sent: Callable[[None], None]) -> None: ...

    def look_now(self) -> None:
        """Something was just done: what changed is read at once."""

    def want_curves(self, versions: Iterable[str]) -> None: ...

    # how the user looks at this workspace

    def recalled(self, screen: str) -> dict[str, Any]: ...

    def remember(self, name: str, value: Any) -> None: ...

    def toggle_mark(self, version: str) -> None: ...

    # going about

    def action_screen(self, name: str) -> None:
        """To a screen of `screens.table`."""

    def compare_with_base(self, version: str) -> None: ...

    def show_sample(self, version: str, sample_id: str | None) -> None: ...


def host_of(node: DOMNode) -> Host:
    return cast("Host", node.app)
