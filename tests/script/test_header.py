"""The change summary on top, and VERSION."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from progtrain.engine.errors import InputError, in_file
from progtrain.engine.script.action.difference import compare
from progtrain.engine.script.header import read_header, set_version, with_header

SOURCE = '#!/usr/bin/env python\n# -*- coding: utf-8 -*-\n\n# my own note\n"""Doc."""\n\nVERSION = "v001"  # moves\n'


def test_it_stands_after_shebang_and_encoding() -> None:
    lines = with_header(SOURCE, "v002", "v001", "learning_rate 0.1 → 0.03", "the loss jumps").splitlines()
    assert lines[:6] == [
        "#!/usr/bin/env python",
        "# -*- coding: utf-8 -*-",
        "# --- progtrain: v002, made from v001 ---",
        "# action: learning_rate 0.1 → 0.03",
        "# why: the loss jumps",
        "# --- end of the change summary ---",
    ]
    assert "# my own note" in lines


def test_a_later_one_takes_its_place() -> None:
    once = with_header(SOURCE, "v002", "v001", "first", "because")
    assert with_header(once, "v003", "v002", "second", "why not") == with_header(
        SOURCE, "v003", "v002", "second", "why not"
    )
    assert with_header(once, "v002", "v001", "first", "because") == once


@given(st.text(max_size=300), st.text(max_size=300))
def test_any_text_is_only_a_comment(action: str, reason: str) -> None:
    written = with_header(SOURCE, "v002", "v001", action, reason)
    assert compare(SOURCE, written) == ()
    header = read_header(written)
    assert (header["version"], header["base"]) == ("v002", "v001")
    assert with_header(written, "v002", "v001", action, reason) == written


def test_it_reads_back() -> None:
    reason = "the validation loss rises after epoch 3 while the training loss falls on " * 4
    header = read_header(with_header(SOURCE, "v010", "v007", "add dropout (dropout=0.2)", reason))
    assert header["base"] == "v007"
    assert header["action"] == "add dropout (dropout=0.2)"
    assert header["why"] == reason.strip()
    assert read_header(SOURCE) == {}


def test_windows_line_ends_stay() -> None:
    written = with_header(SOURCE.replace("\n", "\r\n"), "v002", "v001", "a", "b")
    assert "\n" not in written.replace("\r\n", "")


@pytest.mark.parametrize("statement", ['VERSION = "v001"', "VERSION: str = 'v001'"])
def test_version_moves(statement: str) -> None:
    moved = set_version(f"X = 1\n{statement}  # here\n", "v002")
    assert moved == f"X = 1\n{statement.replace('v001', 'v002')}  # here\n"


def test_a_script_without_version_is_refused() -> None:
    match = r"t.py: the script has no VERSION constant\n  fix: add `VERSION = "
    with pytest.raises(InputError, match=match), in_file("t.py"):
        set_version("X = 1\n", "v002")
