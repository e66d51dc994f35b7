"""The candidates of a review, with the drafted one marked."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType

from progtrain.advisor.interface import Candidate
from progtrain.engine.schema import Review
from progtrain.tui.look import words
from progtrain.tui.look.colours import BAD, NEEDS_YOU, NOW, QUIET
from progtrain.tui.look.sanitize import as_text
from progtrain.tui.widgets.row_list import Column, Row, RowList

#: key of the row for a draft that is none of the candidates: somebody has written it by hand
BY_HAND = ""

COLUMNS = [
    Column(""),
    Column("", "right"),
    Column("candidate", stretch=True),
    Column("chance", "right"),
    Column("rules", "right"),
    Column("risk", spare=1),
]


class CandidateList(RowList):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select", "Choose", tooltip="Draft the candidate under the cursor", id="review.choose")
    ]


def draft_of(review: Review | None) -> str | None:
    """The candidate that is drafted; `BY_HAND` where the draft is none of those on offer, None without candidates."""
    if review is None or not review.candidates:
        return None
    return review.chosen if review.chosen in {card.id for card in review.candidates} else BY_HAND


def candidate_rows(review: Review | None, signs: words.Signs) -> list[Row]:
    if review is None:
        return []
    drafted = draft_of(review)
    rows = [_row(str(n) if n < 10 else "", card, drafted, signs) for n, card in enumerate(review.candidates, 1)]
    if drafted == BY_HAND:
        cells = (as_text(signs.running, NOW), as_text(""), as_text("the draft, edited by hand", "bold"))
        rows.insert(0, Row(BY_HAND, (*cells, as_text(""), as_text(""), as_text(""))))
    return rows


def _row(number: str, card: Candidate, drafted: str | None, signs: words.Signs) -> Row:
    chosen = card.id == drafted
    cells = (
        as_text(signs.running if chosen else " ", NOW),
        as_text(number, QUIET),
        as_text(card.id, "bold" if chosen else ""),
        as_text(f"{card.probability:.0%}" if card.probability is not None else signs.none),
        as_text(f"#{card.rank}"),
        as_text(card.risk, {"high": BAD, "medium": NEEDS_YOU}.get(card.risk, QUIET)),
    )
    return Row(card.id, cells)
