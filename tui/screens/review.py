"""The open question: what was drafted, what it would change, what else is on offer."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Static

from progtrain.engine.schema import CandidateCard, Decision, Review
from progtrain.tui.host import Check
from progtrain.tui.look.colours import BAD, GOOD, NEEDS_YOU, NOW, QUIET
from progtrain.tui.look.sanitize import as_text, clean_line, clean_text, glimpse, shorten
from progtrain.tui.model import Model
from progtrain.tui.screens.ask import AskLine, Confirm
from progtrain.tui.screens.base import PaneScreen
from progtrain.tui.screens.edit import EditScreen
from progtrain.tui.screens.facts import FactsScreen
from progtrain.tui.widgets.diff import DiffView
from progtrain.tui.widgets.document import Document
from progtrain.tui.widgets.row_list import Column, Row, RowList

_COLUMNS = [
    Column(""),
    Column("", "right"),
    Column("candidate", stretch=True),
    Column("chance", "right"),
    Column("rules", "right"),
    Column("risk", spare=1),
]


class CandidateList(RowList):
    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "select", "Choose", id="review.choose")]


class ReviewScreen(PaneScreen):
    TITLE = "review"
    PANES: ClassVar[tuple[str, ...]] = ("diff", "candidates", "action", "analysis")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "answer('accept')", "Accept", id="review.accept"),
        Binding("e", "edit", "Edit", id="review.edit"),
        Binding("enter", "choose", "Choose", show=False, id="review.choose"),
        Binding("h", "hint", "Hint", tooltip="Hint: ask the advisor again", id="review.hint"),
        Binding("b", "back_to_best", "Best", tooltip="Go back to the best version", id="review.best"),
        Binding("n", "answer('skip')", "Do without", id="review.skip"),
        Binding("t", "answer('retry')", "Try again", id="review.retry"),
        Binding("x", "stop", "Stop", tooltip="Stop the loop", id="review.stop"),
        Binding("tab", "pane(1)", "Pane", tooltip="Next pane", id="pane.next"),
        Binding("shift+tab", "pane(-1)", "Previous pane", show=False, id="pane.previous"),
        Binding("u", "split", "Unified or split diff", show=False, id="diff.split"),
        Binding("f", "facts", "Facts behind the numbers", show=False, id="review.facts"),
        Binding("E", "edit_analysis", "Edit the analysis", show=False, id="review.edit_analysis"),
        Binding("y", "copy", "Copy the diff", show=False, id="copy"),
        *(
            Binding(
                str(n),
                f"highlight({n})",
                f"Look at candidate {n}",
                tooltip="Look at candidate 1 to 9",
                show=False,
                id=f"review.candidate_{n}",
            )
            for n in range(1, 10)
        ),
        Binding("escape", "back", "Back", show=False, id="back"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._review: Review | None = None
        self._begun = False
        #: question that was answered: until the next one comes, nothing can be answered twice
        self._answered = ""
        self._preview: tuple[str, Check] | None = None

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one("#candidates_pane").border_title = "candidates"

    def body(self) -> ComposeResult:
        yield Static("", id="question", markup=False)
        with Horizontal(id="middle"):
            with Vertical(id="left"):
                with Vertical(classes="pane", id="analysis_pane"):
                    yield Document(id="analysis", empty="no analysis yet")
                with Vertical(classes="pane", id="action_pane"):
                    yield Document(id="action", empty="no action yet")
            with Vertical(id="right"):
                with Vertical(classes="pane", id="diff_pane"):
                    yield DiffView(id="diff", empty="nothing would be changed")
                    yield Static("", id="checks", markup=False)
                with Vertical(classes="pane", id="candidates_pane"):
                    yield CandidateList(_COLUMNS, id="candidates", empty="no other candidate")
                    yield Static("", id="card", markup=False)

    # showing

    def show(self, model: Model) -> None:
        review = model.snapshot.review if model.snapshot else None
        if review != self._review or not self._begun:
            self._begun = True
            self._new_question(review)
        self.query_one("#question", Static).update(self._question(model))
        self._show_documents(model)
        self._show_diff()

    def _new_question(self, review: Review | None) -> None:
        old, self._review, self._preview = self._review, review, None
        rows = [self._row(number, card) for number, card in enumerate(review.candidates, 1)] if review else []
        candidates = self.query_one("#candidates", RowList)
        candidates.show_rows(rows)
        if review and review.chosen:
            candidates.move_to(review.chosen)
        is_review = review is None or review.kind == "review"
        self.set_class(not is_review, "-plain-question")
        if review is None:
            self.show_pane(self.PANES.index("analysis"))
        elif old is None or review.kind != old.kind:
            self.show_pane(0)
        self.refresh_bindings()

    def _question(self, model: Model) -> Text:
        review = self._review
        if review is None:
            drafting = model.snapshot is not None and model.snapshot.status in {"drafting", "analyzing"}
            last = model.documents.version if model.documents and model.documents.analysis else None
            decided = f"what was decided on {last}" if last else "nothing is decided yet"
            words = "the advisor is drafting: it comes by itself" if drafting else f"no question is open: {decided}"
            return Text(f" {words}", style=NOW if drafting else QUIET)
        if review.question == self._answered:
            return Text(" answered: the loop goes on", style=GOOD)
        text = Text(f" {clean_line(review.title)}", style=f"bold {NEEDS_YOU}")
        if review.author:
            text.append(f"   by {clean_line(review.author)}", style=QUIET)
        if review.base:
            text.append(f"   on {clean_line(review.base)}", style=QUIET)
        lines = [clean_text(review.text)] if review.text else []
        lines += [f"advisor: {clean_line(note)}" for note in review.notes]
        lines += [f"not enforced: {clean_line(line)}" for line in review.not_enforced]
        room = 2 if self.app.size.height < 30 else 5
        width = max(20, self.app.size.width - 2)
        shown = "\n".join(lines).splitlines()
        more = f"  ({len(shown) - room} more: f)" if len(shown) > room else ""
        for place, line in enumerate(shown[:room], start=1):
            end = more if place == room else ""
            note = Text(line, style="not bold", no_wrap=True)
            note.truncate(width - len(end), overflow="ellipsis")
            text.append("\n ").append_text(note).append(end, style=f"not bold {QUIET}")
        return text

    def on_resize(self) -> None:
        self.query_one("#question", Static).update(self._question(self.model))

    def _show_documents(self, model: Model) -> None:
        documents = model.documents
        analysis, action = self.query_one("#analysis", Document), self.query_one("#action", Document)
        writing = self._review is None and model.snapshot is not None and model.snapshot.status == "drafting"
        if documents is None:
            return
        if writing and documents.stream:
            analysis.show(documents.stream, follow=True)
        else:
            analysis.show(documents.analysis)
            action.show(documents.action)
        state = "being written" if writing else "drafted" if documents.drafted else "accepted"
        for pane, name, text in (
            ("#analysis_pane", "result-analysis.md", documents.analysis),
            ("#action_pane", "action-extract.md", documents.action),
        ):
            told = f"{name}  {documents.version} {state}" if text or writing else name
            self.query_one(pane).border_title = told

    def _show_diff(self) -> None:
        review = self._review
        diff, title, checks = "", "next script", Text("")
        if review is not None:
            shown = self._preview
            if shown is not None and shown[0] != review.chosen:
                diff, title = shown[1].diff, f"{shown[1].target}  if {shown[0]} is chosen"
                checks = _checks(shown[1].checks, shown[1].problems)
            else:
                diff, title = review.diff, review.target or "diff"
                checks = _checks(review.checks, review.problems)
        self.query_one("#diff", DiffView).show(diff)
        self.query_one("#diff_pane").border_title = as_text(title)
        self.query_one("#checks", Static).update(checks)

    def _row(self, number: int, card: CandidateCard) -> Row:
        chosen = self._review is not None and card.id == self._review.chosen
        signs = self.signs
        cells = (
            as_text(signs.running if chosen else " ", NOW),
            as_text(str(number) if number < 10 else "", QUIET),
            as_text(card.id, "bold" if chosen else ""),
            as_text(f"{card.probability:.0%}" if card.probability is not None else signs.none),
            as_text(f"#{card.rank}"),
            as_text(card.risk, {"high": BAD, "medium": NEEDS_YOU}.get(card.risk, QUIET)),
        )
        return Row(card.id, cells)

    def on_row_list_highlighted(self, event: RowList.Highlighted) -> None:
        review = self._review
        card = next((c for c in review.candidates if c.id == event.key), None) if review else None
        self.query_one("#card", Static).update(_card(card) if card else Text(""))
        if review is None or card is None:
            return
        if card.id == review.chosen:
            self._preview = None
            self._show_diff()
        else:
            self._look_at(review.version, card.id)

    def _look_at(self, version: str, candidate: str) -> None:
        def seen(check: Check) -> None:
            if self.query_one("#candidates", RowList).key == candidate:
                self._preview = (candidate, check)
                self._show_diff()

        self.read(lambda: self.host.engine.preview_candidate(version, candidate), seen)

    # keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        wanted = {
            "edit": "edit",
            "edit_analysis": "edit",
            "choose": "choose",
            "hint": "redraft",
            "stop": "stop",
            "back_to_best": "choose",
        }.get(action)
        if action == "answer":
            wanted = str(parameters[0])
        if action == "back_to_best" and not (self._way_back() or self._best()):
            return False
        if action == "highlight":
            # the figures lead to the other screens where there is nothing to choose among
            return self._review is not None and bool(self._review.candidates)
        if wanted is None:
            return True
        if self.host.readonly or not self._open:
            return False
        return self._review is not None and wanted in self._review.answers

    @property
    def _open(self) -> bool:
        return self._review is not None and self._review.question != self._answered

    def action_answer(self, answer: str) -> None:
        if self._review is None:
            return
        if answer == "accept" and self._review.problems:
            self.host.say("the action cannot be applied as it is: choose another candidate, or edit it", bad=True)
            return
        self._send(
            Decision.model_validate({"question": self._review.question, "answer": answer, "at": self.model.clock()})
        )
        if answer in {"accept", "skip", "retry"}:
            self.host.action_screen("loop")

    def _send(self, decision: Decision) -> None:
        def sent(_: None) -> None:
            self._answered = decision.question
            self.refresh_bindings()
            self.refresh_view()

        self.host.answer(decision, sent)

    def action_highlight(self, number: int) -> None:
        candidates = self.query_one("#candidates", RowList)
        if number <= len(candidates.rows):
            candidates.cursor = number - 1

    def on_row_list_selected(self) -> None:
        if self.check_action("choose", ()):
            self.action_choose()

    def action_choose(self) -> None:
        review, key = self._review, self.query_one("#candidates", RowList).key
        if review is None or key is None:
            return
        if key == review.chosen:
            self.host.say(f"{key} is the one that is drafted: a accepts it")
            return
        self._choose(key)

    def _choose(self, candidate: str) -> None:
        if self._review:
            question = self._review.question
            self._send(Decision(question=question, answer="choose", candidate=candidate, at=self.model.clock()))
            self.host.say(f"{candidate}: its action is drafted now")

    def action_back_to_best(self) -> None:
        if found := self._way_back():
            self._choose(found)
        elif self._review and (best := self._best()):
            self._send(Decision(question=self._review.question, answer="redraft", base=best, at=self.model.clock()))
            self.host.say(f"drafted anew, to be applied to {best}")

    def _way_back(self) -> str | None:
        """The candidate that goes back, where one is offered."""
        candidates = self._review.candidates if self._review else ()
        return next((card.id for card in candidates if card.id.startswith("back_to_")), None)

    def _best(self) -> str | None:
        """The best version, where the one under review is not it."""
        best = self.model.best_version()
        return best if self._review and best != self._review.version else None

    def action_hint(self) -> None:
        self.app.push_screen(
            AskLine("a hint to the advisor; it drafts again", "enter: draft again    esc: go back"), self._hinted
        )

    def _hinted(self, hint: str | None) -> None:
        if hint is not None and self._review is not None and self._open:
            text = clean_line(hint).strip() or None
            self._send(Decision(question=self._review.question, answer="redraft", hint=text, at=self.model.clock()))

    def action_stop(self) -> None:
        self.app.push_screen(
            Confirm("Stop the loop here?\nThe draft stays; start goes on from it.", "stop", "go on"), self._stop
        )

    def _stop(self, yes: bool | None) -> None:
        if yes and self._review is not None and self._open:
            self._send(Decision(question=self._review.question, answer="stop", at=self.model.clock()))
            self.host.action_screen("loop")

    def action_edit(self) -> None:
        review, documents = self._review, self.model.documents
        if review is None or documents is None:
            return
        text, version = documents.action, review.version
        screen = EditScreen(
            "action-extract.md", text, lambda edited: self.host.engine.preview(version, edited), suffix=".md"
        )
        self.app.push_screen(screen, self._edited)

    def _edited(self, text: str | None) -> None:
        if text is not None and self._review is not None and self._open:
            self._send(Decision(question=self._review.question, answer="accept", action=text, at=self.model.clock()))
            self.host.action_screen("loop")

    def action_edit_analysis(self) -> None:
        if self.model.documents is not None:
            screen = EditScreen("result-analysis.md", self.model.documents.analysis, None, suffix=".md")
            self.app.push_screen(screen, self._edited_analysis)

    def _edited_analysis(self, text: str | None) -> None:
        if text is not None and self._review is not None and self._open:
            self._send(Decision(question=self._review.question, answer="edit", analysis=text, at=self.model.clock()))

    def action_split(self) -> None:
        self.query_one("#diff", DiffView).toggle_split()

    def action_facts(self) -> None:
        version = self._review.version if self._review else self.model.snapshot.version if self.model.snapshot else None
        if version:
            notes = tuple(self._review.notes + self._review.not_enforced) if self._review else ()
            self.app.push_screen(FactsScreen(self.workspace, version, notes))

    def action_copy(self) -> None:
        self.host.copy(self.query_one("#diff", DiffView).source, "the diff")

    def action_back(self) -> None:
        self.host.action_screen("loop")


def _checks(checks: list[str] | tuple[str, ...], problems: list[str] | tuple[str, ...]) -> Text:
    if problems:
        return Text("\n".join(glimpse(p) for p in problems), style=BAD)
    return Text("checked: " + ", ".join(clean_line(c) for c in checks), style=GOOD) if checks else Text("")


def _card(card: CandidateCard) -> Text:
    text = Text(clean_line(card.change), style="bold")
    text.append(f"\n{clean_line(card.why)}", style="not bold")
    for reason in card.reasons[:4]:
        text.append(f"\n- {shorten(clean_line(reason), 200)}", style=f"not bold {QUIET}")
    return text
