"""Rules and instruction: what they lock, what is not enforced, and a way to edit them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Static

from progtrain.engine.drafting.preview import Check
from progtrain.tui.client import read_own, save
from progtrain.tui.host import RulesCheck
from progtrain.tui.look.colours import BAD, GOOD, NEEDS_YOU, QUIET
from progtrain.tui.look.sanitize import as_text, clean_line, glimpse
from progtrain.tui.model import Model
from progtrain.tui.screens.base import PANE_KEYS, PaneScreen
from progtrain.tui.screens.edit import EditScreen
from progtrain.tui.widgets.row_list import Column, Row, RowList

#: characters of the rules that are shown, and that an editor in a terminal can take
_MOST_SHOWN = 20_000
_MOST_EDITED = 200_000


class RulesScreen(PaneScreen):
    TITLE = "rules"
    PANES: ClassVar[tuple[str, ...]] = ("locks", "rule_text", "instruction_lines")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "edit", "Edit rules", id="rules.edit"),
        Binding("i", "edit_instruction", "Edit instruction", id="rules.edit_instruction"),
        Binding("tab", "pane(1)", "Next pane", id="pane.next"),
        Binding("y", "copy", "Copy the rules", show=False, id="copy"),
        *PANE_KEYS,
    ]

    def __init__(self) -> None:
        super().__init__()
        #: the files' texts; None where there is no such file
        self.rules: str | None = None
        self.instruction: str | None = None
        self.check: RulesCheck | None = None
        self._state: tuple[object, ...] = ()

    def body(self) -> ComposeResult:
        yield Static("", id="rules_head", markup=False)
        with Horizontal(id="middle"):
            with Vertical(id="left"):
                with Vertical(classes="pane"):
                    yield RowList([Column("locked"), Column("to", stretch=True)], id="locks", empty="nothing is locked")
                with Vertical(classes="pane"):
                    yield RowList([Column("", stretch=True)], id="instruction_lines", empty="no instruction")
            with Vertical(id="right", classes="pane"), VerticalScroll(id="rule_text"):
                yield Static("", id="rule_source", markup=False)

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one("#locks").border_title = "locks"
        self.query_one("#instruction_lines").border_title = self.workspace.instruction.name
        self.query_one("#rule_text").border_title = self.workspace.rules.name

    def on_screen_resume(self) -> None:
        super().on_screen_resume()
        self._reread()

    def show(self, model: Model) -> None:
        snapshot = model.snapshot
        state = (snapshot.locks, snapshot.rules_notes, snapshot.warnings, snapshot.fix) if snapshot else ()
        if state != self._state:
            self._state = state
            self._reread()

    def _reread(self) -> None:
        workspace, engine = self.workspace, self.host.engine

        def work() -> tuple[str | None, str | None, RulesCheck]:
            try:
                rules, instruction = read_own(workspace.rules), read_own(workspace.instruction)
            except OSError as error:
                return None, None, RulesCheck(problem=str(error))
            return rules, instruction, engine.check_rules(rules, instruction)

        self.read(work, lambda found: self._found(*found))

    def _found(self, rules: str | None, instruction: str | None, check: RulesCheck) -> None:
        self.rules, self.instruction, self.check = rules, instruction, check
        self.tell("rules_head", self._head(check))
        self.query_one("#locks", RowList).show_rows(
            [Row(key, (as_text(key, "bold"), as_text(value))) for key, value in check.locks]
        )
        rows = []
        for number, (line, understood) in enumerate(check.lines):
            sign, style = (self.signs.off, NEEDS_YOU) if understood is None else (self.signs.done, GOOD)
            told = "not enforced: goes to the advisor" if understood is None else understood
            text = as_text(f"{sign} {line}", style)
            rows += [Row(f"{number}", (text,)), Row(f"{number} read", (as_text(f"    {told}", QUIET),))]
        self.query_one("#instruction_lines", RowList).show_rows(rows)
        missing = "" if check.problem else "there is no such file: only the defaults hold"
        source = glimpse(rules, _MOST_SHOWN) if rules is not None else missing
        self.tell("rule_source", Text(source))

    def _head(self, check: RulesCheck) -> Text:
        if check.problem:
            return Text(glimpse(check.problem), style=BAD)
        lines = [Text(clean_line(note), style=QUIET) for note in check.notes if "not enforced" not in note]
        # the status line counts the runner's warnings too: here they can be read
        told = self.model.snapshot.warnings if self.model.snapshot else ()
        warnings = dict.fromkeys([*check.warnings, *told])
        lines += [Text(clean_line(warning), style=NEEDS_YOU) for warning in warnings]
        if not lines:
            lines = [Text("rules and instruction are read and hold in every step", style=GOOD)]
        return Text("\n").join(lines[:4])

    # keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return not (self.host.readonly and action.startswith("edit"))

    def action_edit(self) -> None:
        instruction, engine = self.instruction, self.host.engine
        self._edit(self.workspace.rules, self.rules, "{\n}\n", lambda text: engine.check_rules(text, instruction))

    def action_edit_instruction(self) -> None:
        rules, engine = self.rules, self.host.engine
        self._edit(self.workspace.instruction, self.instruction, "", lambda text: engine.check_rules(rules, text))

    def _edit(self, path: Path, seen: str | None, empty: str, check: Callable[[str], RulesCheck]) -> None:
        """`seen`: what stands in the file; `empty`: what to begin with where there is none."""
        if seen is not None and len(seen) > _MOST_EDITED:
            self.host.say(f"{path.name} is too long to be edited here: {len(seen):,} characters", bad=True)
            return

        def edited(text: str | None) -> None:
            if text is not None:
                self.host.in_thread(lambda: save(path, text, seen), self._saved)

        screen = EditScreen(path.name, seen or empty, lambda text: _as_check(check(text)), suffix=path.suffix)
        self.app.push_screen(screen, edited)

    def _saved(self, _: None) -> None:
        self.host.say("saved; it holds from the next step on")
        self.host.look_now()
        self._reread()

    def action_copy(self) -> None:
        self.host.copy(self.rules or "", "the rules")


def _as_check(found: RulesCheck) -> Check:
    if found.problem:
        return Check(problems=(found.problem,))
    locks = [f"{key} = {value}" for key, value in found.locks]
    lines = [f"{'not enforced' if understood is None else 'enforced'}: {line}" for line, understood in found.lines]
    told = "\n".join([*(f"locks {lock}" for lock in locks), *lines, *found.warnings])
    return Check(diff=told, target="", checks=(f"valid: {len(locks)} locks, {len(found.warnings)} warnings",))
