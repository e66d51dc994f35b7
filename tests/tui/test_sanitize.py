"""What others wrote is text, never markup and never terminal control."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from progtrain.tui.look.sanitize import as_text, clean_line, clean_markdown, clean_text, last_overwrite, shorten

ALLOWED_CONTROL = {"\n"}


def is_harmless(text: str) -> bool:
    return all(c in ALLOWED_CONTROL or unicodedata.category(c) not in {"Cc", "Cs", "Zl", "Zp"} for c in text)


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]52;c;cHduZWQ=\x1b\\text", "text"),
        ("\x1bPtmux;\x1b\x1b]0;x\x07\x1b\\text", "text"),
        ("\x9b31mred", "red"),
        ("\x9d0;title\x9ctext", "text"),
        ("\x1b(0text", "text"),
        ("a\x00b\x08c\x7f", "abc"),
        ("abc\u202ecba", "abccba"),
        ("zero\u200bwidth", "zerowidth"),
        ("[bold red]x[/]", "[bold red]x[/]"),
        ("one\ttwo", "one two"),
        ("a\r\nb\u2028c", "a\nb\nc"),
        ("\ud800half", "half"),
    ],
)
def test_escape_sequences_and_controls_vanish_and_markup_stays_text(raw: str, shown: str) -> None:
    assert clean_text(raw) == shown


def test_an_escape_without_end_does_not_swallow_the_next_line() -> None:
    assert clean_text("\x1b]0;never ended\nnext") == "\nnext"


@given(st.binary(max_size=300))
def test_no_bytes_at_all_get_through_as_control(raw: bytes) -> None:
    assert is_harmless(clean_text(raw))
    assert is_harmless(last_overwrite(raw)) and "\n" not in last_overwrite(raw)


@given(st.text(alphabet=st.characters(), max_size=200))
def test_no_text_at_all_gets_through_as_control(raw: str) -> None:
    assert is_harmless(clean_text(raw))
    assert "\n" not in clean_line(raw)
    assert is_harmless(clean_markdown(raw))


@given(
    st.lists(st.sampled_from(["\x1b", "[", "]", "P", "0;", "m", "\x07", "\\", "\x9b", "31", "x", "\n"]), max_size=40)
)
def test_pieces_of_sequences_in_any_order_leave_no_escape(pieces: list[str]) -> None:
    assert is_harmless(clean_text("".join(pieces)))


@given(st.text(max_size=60), st.integers(min_value=1, max_value=30))
def test_a_shortened_name_fits_its_width(text: str, width: int) -> None:
    assert cell_len(shorten(clean_line(text), width)) <= max(width, 1)


def test_long_names_keep_both_ends() -> None:
    assert shorten("a_very_long_name_of_an_experiment_v12", 16) == "a_very_l…ent_v12"


def test_markup_in_a_value_is_not_read() -> None:
    assert as_text("[red]x[/red]").plain == "[red]x[/red]"
    assert as_text("[red]x[/red]").spans == []


def test_links_and_pictures_in_documents_have_no_effect() -> None:
    shown = clean_markdown("[here](https://example.org/x) ![pic](file:///etc/passwd)")
    assert shown == "here (`https://example.org/x`) [picture: pic]"


def test_a_progress_bar_shows_what_stands_there_in_the_end() -> None:
    assert last_overwrite("  1%\r 50%\r100%\n") == "100%"
