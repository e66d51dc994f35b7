"""The open question: what was drafted, what it would change, what else is on offer."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Static

from progtrain.advisor.interface import Candidate
from progtrain.engine.drafting.preview import Check
from progtrain.engine.files import sha256_text
from progtrain.engine.schema import Decision, Review
from progtrain.tui.look.colours import GOOD
from progtrain.tui.look.sanitize import as_text, clean_line
from progtrain.tui.model import Model
from progtrain.tui.screens import review_text
from progtrain.tui.screens.ask import Confirm
from progtrain.tui.screens.base import PANE_KEYS, PaneScreen
from progtrain.tui.screens.edit import EditScreen
from progtrain.tui.screens.facts import FactsScreen
from progtrain.tui.screens.review_text import name_of
from progtrain.tui.widgets.candidates import COLUMNS, CandidateList, candidate_rows, draft_of
from progtrain.tui.widgets.diff import DiffView
from progtrain.tui.widgets.document import Document
from progtrain.tui.widgets.row_list import RowList

#: action -> the answer that it gives, which must be among those of the open question
_ANSWERS = {
    "edit": "edit",
    "edit_analysis": "edit",
    "choose": "choose",
    "back_to_best": "choose",
    "hint": "redraft",
    "stop": "stop",
}


class ReviewScreen(PaneScreen):
    """What is shown is what is done: title, diff and action are those of the candidate under the cursor, and so is
    what `a` accepts.
    """

    TITLE = "review"
    PANES: ClassVar[tuple[str, ...]] = ("diff", "candidates", "action", "analysis")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "answer('accept')", "Accept", tooltip="Accept what is shown", id="review.accept"),
        Binding("e", "edit", "Edit", id="review.edit"),
        Binding("h", "hint", "Hint", tooltip="Hint: ask the advisor again", id="review.hint"),
        Binding("b", "back_to_best", "Best", tooltip="Go back to the best version", id="review.best"),
        Binding("n", "answer('skip')", "Do without", id="review.skip"),
        Binding("t", "answer('retry')", "Try again", id="review.retry"),
        Binding("x", "stop", "Stop", tooltip="Stop the loop", id="review.stop"),
        Binding("tab", "pane(1)", "Pane", tooltip="Next pane", id="pane.next"),
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
        *PANE_KEYS,
    ]

    def __init__(self) -> None:
        super().__init__()
        self._review: Review | None = None
        self._begun = False
        #: question that was answered: until the next one comes, nothing can be answered twice
        self._answered = ""
        #: of the candidate that was looked at last, unless it is the drafted one
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
                    yield CandidateList(COLUMNS, id="candidates", empty="no other candidate")
                    yield Static("", id="card", markup=False)

    # what is on show

    @property
    def _candidates(self) -> RowList:
        return self.query_one("#candidates", RowList)

    @property
    def _drafted(self) -> bool:
        """Whether the draft itself is on show, and no other candidate."""
        return draft_of(self._review) in {None, self._candidates.key}

    @property
    def _card(self) -> Candidate | None:
        """The candidate under the cursor."""
        cards = self._review.candidates if self._review else ()
        return next((card for card in cards if card.id == self._candidates.key), None)

    def _planned(self) -> Check | None:
        """What would be written; None while that is being worked out."""
        review = self._review
        if review is None:
            return Check()
        if self._drafted:
            return Check(review.diff, review.target, tuple(review.problems), tuple(review.checks))
        return self._preview[1] if self._preview and self._preview[0] == self._candidates.key else None

    def _accepts(self) -> str:
        """What the key for accepting would do now; "" where there is nothing to choose from."""
        review = self._review
        if review is None or review.kind != "review" or self.host.readonly:
            return ""
        name, shown = name_of(self._candidates.key if review.candidates else review.chosen), self._planned()
        if shown is None:
            return f"looking at {name}"
        key = self.host.keys.get("review.accept", "a").split(",")[0]
        return f"{name} cannot be accepted" if shown.problems else f"{key} accepts {name}"

    # showing

    def show(self, model: Model) -> None:
        review = model.snapshot.review if model.snapshot else None
        if review != self._review or not self._begun:
            self._begun = True
            self._new_question(review)
        self._show_candidate()

    def _new_question(self, review: Review | None) -> None:
        old, self._review, self._preview = self._review, review, None
        self._candidates.show_rows(candidate_rows(review, self.signs))
        if (drafted := draft_of(review)) is not None:
            self._candidates.move_to(drafted)
        is_review = review is None or review.kind == "review"
        self.set_class(not is_review, "-plain-question")
        if review is None:
            self.show_pane(self.PANES.index("analysis"))
        elif old is None or review.kind != old.kind:
            self.show_pane(0)
        self.refresh_bindings()

    def _show_question(self) -> None:
        review, model = self._review, self.model
        if review is None:
            text = review_text.without_question(model.snapshot, model.documents)
        elif review.question == self._answered:
            text = Text(" answered: the loop goes on", style=GOOD)
        else:
            card = self._card
            base = review.base if self._drafted or card is None else card.base
            verdict = review_text.verdict_of(self.model.version(review.version))
            text = review_text.question(review, self._accepts(), base, self.app.size, verdict)
        self.tell("question", text)

    def on_resize(self) -> None:
        self._show_question()
        self.refresh_bindings()

    def _show_documents(self, model: Model) -> None:
        documents, card = model.documents, self._card
        if documents is None:
            return
        writing = self._review is None and model.snapshot is not None and model.snapshot.status == "drafting"
        streamed = writing and bool(documents.stream)
        text = documents.stream if streamed else documents.analysis
        self.query_one("#analysis", Document).show(text, follow=streamed)
        state = "being written" if writing else "drafted" if documents.drafted else "accepted"
        titles = {
            "#analysis_pane": ("result-analysis.md", documents.analysis),
            "#action_pane": ("action-extract.md", documents.action),
        }
        for pane, (name, text) in titles.items():
            told = f"{name}  {documents.version} {state}" if text or writing else name
            self.query_one(pane).border_title = told
        if card is not None and not self._drafted:
            self.query_one("#action", Document).show(review_text.card_document(card))
            self.query_one("#action_pane").border_title = as_text(f"{card.id}  not drafted yet")
        elif not streamed:
            rows = self._review.addition if self._review else None
            self.query_one("#action", Document).show(review_text.with_rows(documents.action, rows))

    def _show_diff(self) -> None:
        shown, diff = self._planned(), self.query_one("#diff", DiffView)
        diff.say_when_empty("nothing would be changed" if shown else "working out what would be changed")
        shown = shown or Check()
        title = shown.target or ("next script" if self._review is None else "diff")
        name = "" if self._drafted else f"  {name_of(self._candidates.key)}"
        diff.show(shown.diff)
        self.query_one("#diff_pane").border_title = as_text(f"{title}{name}")
        self.tell("checks", review_text.checks(shown.checks, shown.problems))

    def on_row_list_highlighted(self) -> None:
        review, card = self._review, self._card
        if review is not None and card is not None and not self._drafted:
            self._look_at(review.version, card.id)
        self._show_candidate()

    def _show_candidate(self) -> None:
        self._show_question()
        self.tell("card", review_text.card_text(self._card))
        self._show_documents(self.model)
        self._show_diff()

    def _look_at(self, version: str, candidate: str) -> None:
        def seen(check: Check) -> None:
            if self._candidates.key == candidate and self._review and self._review.version == version:
                self._preview = (candidate, check)
                self._show_candidate()

        self.read(lambda: self.host.engine.preview_candidate(version, candidate), seen)

    # keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        wanted = str(parameters[0]) if action == "answer" else _ANSWERS.get(action)
        if action == "back_to_best" and not (self._way_back() or self._best()):
            return False
        if action == "highlight":
            # the figures lead to the other screens unless the list that they choose from can be seen
            return self._review is not None and bool(self._review.candidates) and self._list_is_seen()
        if wanted is None:
            return True
        if self.host.readonly or not self._open:
            return False
        return self._review is not None and wanted in self._review.answers

    def _list_is_seen(self) -> bool:
        return self._candidates.is_on_screen and bool(self._candidates.region.area)

    @property
    def _open(self) -> bool:
        return self._review is not None and self._review.question != self._answered

    def action_answer(self, answer: str) -> None:
        if self._review is None:
            return
        fields: dict[str, str] = {}
        if answer == "accept":
            shown, name = self._planned(), name_of(self._candidates.key)
            if shown is None:
                self.host.say(f"what {name} would change is being worked out: press the key again in a moment")
                return
            if shown.problems:
                self.host.say("the action cannot be applied as it is: choose another candidate, or edit it", bad=True)
                return
            if self._review.kind == "review":
                fields["shown"] = sha256_text(shown.diff)
            if not self._drafted and self._candidates.key:
                fields["candidate"] = self._candidates.key
                self.host.say(f"{name} is accepted: its documents are drafted now")
        self._send(answer, **fields)
        if answer in {"accept", "skip", "retry"}:
            self.host.action_screen("loop")

    def _send(self, answer: str, **fields: str | None) -> None:
        """Answers the open question."""
        if self._review is None:
            return
        question = self._review.question

        def sent(_: None) -> None:
            self._answered = question
            self.refresh_bindings()
            self.refresh_view()

        told = {"question": question, "answer": answer, "at": self.model.clock(), **fields}
        self.host.answer(Decision.model_validate(told), sent)

    def action_highlight(self, number: int) -> None:
        cards = self._review.candidates if self._review else []
        if number <= len(cards):
            self._candidates.move_to(cards[number - 1].id)

    def on_row_list_selected(self) -> None:
        """Enter in the list, or a double click."""
        card = self._card
        if not self._list_is_seen() or not self.check_action("choose", ()):
            return
        if self._drafted or card is None:
            self.host.say(f"{name_of(self._candidates.key)} is what is drafted already: a accepts it")
        else:
            self._choose(card.id)

    def _choose(self, candidate: str) -> None:
        self._send("choose", candidate=candidate)
        self.host.say(f"{candidate}: its action is drafted now")

    def action_back_to_best(self) -> None:
        if found := self._way_back():
            self._choose(found)
        elif best := self._best():
            self._send("redraft", base=best)
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
        self.ask("a hint to the advisor; it drafts again", "enter: draft again    esc: go back", self._hinted)

    def _hinted(self, hint: str) -> None:
        if self._open:
            self._send("redraft", hint=clean_line(hint).strip() or None)

    def action_stop(self) -> None:
        question = "Stop the loop here?\nThe draft stays; start goes on from it."
        self.app.push_screen(Confirm(question, "stop", "go on"), self._stop)

    def _stop(self, yes: bool | None) -> None:
        if yes and self._open:
            self._send("stop")
            self.host.action_screen("loop")

    def action_edit(self) -> None:
        review, documents = self._review, self.model.documents
        if review is None or documents is None:
            return
        if not self._drafted:
            name = name_of(self._candidates.key)
            self.host.say(f"{name} is not drafted yet: enter in the list of candidates drafts it, then edit it")
            return
        check = partial(self.host.engine.preview, review.version)
        self.app.push_screen(EditScreen("action-extract.md", documents.action, check, suffix=".md"), self._edited)

    def _edited(self, text: str | None) -> None:
        if text is not None and self._open:
            self._send("accept", action=text)
            self.host.action_screen("loop")

    def action_edit_analysis(self) -> None:
        if self.model.documents is not None:
            screen = EditScreen("result-analysis.md", self.model.documents.analysis, None, suffix=".md")
            self.app.push_screen(screen, self._edited_analysis)

    def _edited_analysis(self, text: str | None) -> None:
        if text is not None and self._open:
            self._send("edit", analysis=text)

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
