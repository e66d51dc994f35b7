"""What is shown of one sample: how versions took it, and what was kept of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rich.text import Text
from textual.widget import Widget
from textual.widgets import Static

from progtrain.tui.look import words
from progtrain.tui.look.colours import BAD, GOOD, QUIET, version_colour
from progtrain.tui.look.sanitize import clean_line, clean_text
from progtrain.tui.reading.pictures import Picture
from progtrain.tui.reading.sample_files import Shown
from progtrain.tui.reading.samples import Outcome
from progtrain.tui.widgets.table_view import TableView


def sign(outcome: Outcome, signs: words.Signs) -> tuple[str, str]:
    """Right or wrong, with its style."""
    if outcome.correct is None:
        return " ", ""
    return (signs.done, GOOD) if outcome.correct else (signs.failed, BAD)


def head(version: str, outcome: Outcome, others: Mapping[str, Mapping[str, Outcome]], signs: words.Signs) -> Text:
    """The sample in this version, and beside it in the others."""
    text = Text(f"{clean_line(outcome.sample_id)}\n", style="bold")
    text.append(f"truth {clean_line(outcome.truth)}\n", style="not bold")
    rows = [(version, outcome)]
    rows += [(v, found[outcome.sample_id]) for v, found in others.items() if outcome.sample_id in found]
    for name, seen in sorted(rows, key=lambda row: row[0]):
        mark, style = sign(seen, signs)
        text.append(f"{signs.running if name == version else ' '} ", style="not bold")
        text.append(name, version_colour(name))
        text.append(f" {mark} {clean_line(seen.prediction)}", f"not bold {style}")
        told = f"  loss {words.number(seen.loss, signs)}"
        if seen.confidence is not None:
            told += f"  sure {seen.confidence:.0%}"
        text.append(f"{told}\n", f"not bold {QUIET}")
    return text


def widgets(found: Sequence[Shown], draw: Callable[[Picture], Widget]) -> list[Widget]:
    """What was kept of a sample, or how it lies in the data."""
    if not found:
        note = "its id leads to no file, row or item of the validation data, and nothing was kept of it"
        return [Static(Text(note, style=QUIET), markup=False)]
    made: list[Widget] = []
    for shown in found:
        made.append(Static(Text(clean_line(shown.source), style=QUIET), markup=False))
        if shown.picture is not None:
            made.append(draw(shown.picture))
        if shown.delimiter:
            made.append(TableView(shown.text, shown.delimiter))
        elif shown.text or shown.picture is None:
            made.append(Static(Text(clean_text(shown.text) or "not shown here"), markup=False))
    return made
