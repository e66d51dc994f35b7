"""What the review says in words: the question, the candidate on show, the checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from progtrain.advisor.interface import Candidate
from progtrain.engine.drafting import addition_text
from progtrain.engine.schema import Review
from progtrain.engine.status.snapshot import Snapshot, VersionView
from progtrain.tui.look.colours import BAD, GOOD, NEEDS_YOU, NOW, QUIET
from progtrain.tui.look.sanitize import clean_line, clean_text, glimpse, shorten
from progtrain.tui.reading.documents import Documents


def name_of(candidate: str | None) -> str:
    return clean_line(candidate or "") or "the draft"


def without_question(snapshot: Snapshot | None, documents: Documents | None) -> Text:
    if snapshot is not None and snapshot.status in {"drafting", "analyzing"}:
        return Text(" the advisor is drafting; the draft appears here when it is ready", style=NOW)
    last = documents.version if documents and documents.analysis else None
    decided = f"what was decided on {last}" if last else "nothing is decided yet"
    return Text(f" no question is open: {decided}", style=QUIET)


def verdict_of(row: VersionView | None) -> str:
    """How the version under review did, and what that rests on; empty where it was compared with none."""
    if row is None or not row.verdict_previous or not row.seed_noise:
        return ""
    return f"{row.version} is {row.verdict_previous} against the version before; {row.seed_noise}"


def question(review: Review, accepts: str, base: str | None, size: tuple[int, int], verdict: str = "") -> Text:
    """What is asked, what `a` would do now, and as many notes as there is room for."""
    columns, lines = size
    text = Text(f" {clean_line(review.title)}", style=f"bold {NEEDS_YOU}")
    if accepts:
        text.append(f"   {accepts}", style=f"bold {NOW}")
    if review.author:
        text.append(f"   by {clean_line(review.author)}", style=QUIET)
    if base:
        text.append(f"   on {clean_line(base)}", style=QUIET)
    # what `a` does must be seen at every width: the title alone is above the notes
    text.no_wrap = True
    text.truncate(max(20, columns), overflow="ellipsis")
    return text.append_text(_notes(review, verdict, max(20, columns - 2), 2 if lines < 30 else 5))


def _notes(review: Review, verdict: str, width: int, room: int) -> Text:
    lines = [clean_line(verdict)] if verdict else []
    lines += [clean_text(review.text)] if review.text else []
    lines += [f"advisor: {clean_line(note)}" for note in review.notes]
    lines += [f"not enforced: {clean_line(line)}" for line in review.not_enforced]
    shown = "\n".join(lines).splitlines()
    more = f"  ({len(shown) - room} more: f)" if len(shown) > room else ""
    text = Text()
    for place, line in enumerate(shown[:room], start=1):
        end = more if place == room else ""
        note = Text(line, style="not bold", no_wrap=True)
        note.truncate(width - len(end), overflow="ellipsis")
        text.append("\n ").append_text(note).append(end, style=f"not bold {QUIET}")
    return text


def checks(passed: Sequence[str], problems: Sequence[str]) -> Text:
    if problems:
        return Text("\n".join(glimpse(p) for p in problems), style=BAD)
    return Text("checked: " + ", ".join(clean_line(c) for c in passed), style=GOOD) if passed else Text("")


def card_text(card: Candidate | None) -> Text:
    if card is None:
        return Text("")
    text = Text(clean_line(card.change), style="bold")
    text.append(f"\n{clean_line(card.why)}", style="not bold")
    for reason in card.reasons[:4]:
        text.append(f"\n- {shorten(clean_line(reason), 200)}", style=f"not bold {QUIET}")
    return text


def with_rows(action: str, rows: Mapping[str, Any] | None) -> str:
    """The document of a data action, and below it the rows that it is about."""
    return f"{action.rstrip()}\n\n{clean_text(addition_text.markdown(rows))}" if rows else action


def card_document(card: Candidate) -> str:
    """Stands in for the action's document of a candidate that is not drafted."""
    reasons = "".join(f"- {clean_line(reason)}\n" for reason in card.reasons)
    return (
        f"## {clean_line(card.change)}\n\n{clean_line(card.why)}\n\n{reasons}\n"
        "*Not drafted yet: the advisor writes this document once the candidate is accepted or chosen.*\n"
    )
