"""Whatever lies in a workspace is text: on no screen does any byte of it command the terminal."""

from __future__ import annotations

import json
import os
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from progtrain.engine.workspace import Workspace
from tests.tui.fakes import DIFF, review
from tests.tui.terminal import Terminal, app
from tests.tui.walks import fill_all, tell

#: title, clipboard, colours, clearing, C1 forms, tmux's passthrough, an unfinished one, direction and line separators
EVIL = (
    "\x1b]0;pwned\x07\x1b]52;c;cHduZWQ=\x07\x1b[31m\x1b[2J\x1b[5n\x9b31m\x9d0;pwned\x9c\x1bPtmux;\x1b\x1b]0;pwned\x07\x1b\\"
    "\x1bc\x1b(0\x07\x08\x7f\u202e\u2066\u2028\u0085"
)
#: Textual's markup: a link that would run an action, styles, and a tag without a beginning, which is an error
MARKUP = "[@click=app.leave][red][/]"

#: all that Textual and the guard have to say to a terminal
_COMMANDS = re.compile(
    r"\x1b\[[\d;]*m"  # styles
    r"|\x1b\[\d+;\d+H"  # where to write
    r"|\x1b\[\?(?:7|25|1000|1002|1003|1004|1006|1015|1016|1049|2004|2026|2048)[hl]"  # modes
    r"|\x1b\]22;[a-z]+\x07"  # the mouse pointer's shape
    r"|\x1b\[\?\d+\$p|\x1b\[>\d+u|\x1b\[<u"  # what it can do, and its keyboard
)


def evil(word: str) -> str:
    """The word stands on the screen; what is around it must not have any effect."""
    return f"{EVIL}{MARKUP}{word}{EVIL}"


def evil_name(word: str) -> str:
    """As a file's name."""
    return f"\x1b]0;x\x07\x1b[31m[red]{word}\u202e\x9b2J"


def disobeyed(written: bytes) -> Iterator[str]:
    """Whatever a terminal would take for a command, and is none of ours."""
    text = _COMMANDS.sub("", written.decode("utf-8", "strict"))
    for match in re.finditer(r"[^\n\r -~]", text):
        if unicodedata.category(match[0]) in {"Cc", "Cf", "Zl", "Zp", "Cs"}:
            yield repr(text[max(0, match.start() - 20) : match.end() + 20])


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.setenv("COLORTERM", "truecolor")
    root = tmp_path / evil_name("Wroot")
    root.mkdir()
    ws = Workspace(root)
    fill_all(ws)
    _versions(ws)
    _drafts(ws)
    report = ws.reports / f"2027{evil_name('Wfolder')}"
    report.mkdir()
    (report / "final-analysis.md").write_text(
        f"# {evil('Wreport')}\n\n<b>{EVIL}</b> `{evil('x')}` [{EVIL}](javascript:{EVIL})\n\n```\n{EVIL}\n```\n"
    )
    ws.job("v003-train-1").log.write_text(f"{evil('Wlog')}\nprogress\r{evil('Wopen')}", newline="")
    ws.instruction.write_text(f"keep {evil('Wline')}\n")
    ws.rules.write_text(
        json.dumps({"training_config": {f"epochs{EVIL}": evil("Wrule")}, "eval_config": {"primary_metric": "accuracy"}})
    )
    tell(
        ws,
        {"event": "warning", "text": evil("Wtext"), "version": evil("x")},
        {"event": f"warning{EVIL}", "text": evil("x"), evil("Wkey"): evil("Wvalue"), "command": [evil("Wcommand")]},
    )
    return ws


def _versions(ws: Workspace) -> None:
    rows = [
        {"name": f"{EVIL}[/]Wmetric{EVIL}", "value": 0.5, "higher_is_better": True},
        {"name": "accuracy", "value": 0.5},
    ]
    external = ws.external / evil_name("Wmo")
    external.mkdir()
    (external / "eval_score.json").write_text(json.dumps({"metrics": rows}))
    for number, version in enumerate(("v001", "v002", "v003")):
        folder = ws.version(version)
        folder.eval_score.write_text(json.dumps({"metrics": rows, "created_at": EVIL, "latency_ms": 1.0}))
        sample = f"{evil('Wsample')},{evil('Wtruth')},{evil('Wclass')}"
        quoted = ",".join(f'"{part}"' for part in sample.split(","))
        folder.per_sample.write_text(
            f"sample_id,truth,prediction,correct,loss\n{quoted},{number % 2},1\n", newline="", encoding="utf-8"
        )
        kept = folder.infer_samples / "0001"
        (kept / "meta.json").write_text(json.dumps({"sample_id": evil("Wsample"), EVIL: evil("Wmeta")}))
        (kept / evil_name("Wfile")).write_text("x")
        (kept / "input.txt").write_text(evil("Winput"))
        (kept / "gt.csv").write_text(f'"{evil("Wcell")}",b\n')
        (kept / "input.png").write_bytes(b"no picture")
        value = EVIL + str(number)
        ws.script(version).write_text(f"# {evil('Wscript')}{number}\nWset = 0.{number}\nNAME = {value!r}\n")
    metrics = ws.version("v003").log_dirs()[-1] / "metrics.csv"
    metrics.write_text(f'step,train_loss,"[/]","{EVIL.replace(chr(0x85), "")}wcurve"\n0,1,1,1\n1,2,2,2\n')
    ws.live("v003").write_text(json.dumps({"step": 1, "metrics": {evil("Wlive"): 1.0}}) + "\n")
    tell(ws, {"event": "version_authored", "version": "v003", "action": evil("Waction"), "reason": evil("Wreason")})
    tell(ws, {"event": "loop_waiting", "reason": EVIL})


def _drafts(ws: Workspace) -> None:
    cards = [
        card.model_copy(update={"id": f"{number}{evil('Wcard')}", "change": evil("Wchange"), "why": evil("Wwhy")})
        for number, card in enumerate(review().candidates)
    ]
    told: dict[str, Any] = {
        "title": evil("Wtitle"),
        "author": evil("Wauthor"),
        "target": evil("Wtarget"),
        "diff": DIFF + f"+{evil('Wdiff')}\n",
        "checks": [evil("Wcheck")],
        "notes": [evil("Wnote")],
        "not_enforced": [EVIL],
        "candidates": cards,
        "chosen": cards[0].id,
    }
    ws.drafts("v003").review.write_text(review(**told).model_dump_json())
    ws.drafts("v003").analysis.write_text(f"## {evil('Wanalysis')}\n\n{evil('x')}\n")
    ws.drafts("v003").action.write_text(f"## {evil('Wchosen')}\n\n```yaml\n{EVIL}\n```\n")
    fact = {"key": evil("Wfact"), "display": evil("Wshown"), "meaning": evil("Wmeans"), "source": evil("Wsource")}
    ws.insight("v003").write_text(json.dumps({"facts": [fact]}))


#: key, and the words that it brings to the screen
STOPS: list[tuple[str, str]] = [
    ("", "Wroot Wtitle Waction Wreason Wlog Wopen"),
    ("]", "wlive"),
    ("]", ""),
    ("]", ""),
    ("/", ""),
    ("\x1b", ""),
    ("2", "Wmetric Wmo"),
    ("3", "Wsample Wtruth Wclass Wfile Winput Wmeta Wcell"),
    ("t", "Wtruth"),
    ("\x1b", ""),
    ("4", "Wrule Wline"),
    ("e", "Wrule"),
    ("\x1b", ""),
    ("i", "Wline"),
    ("\x1b", ""),
    ("5", "Wtext Wkey Wvalue Wcommand"),
    ("6", "Wfolder Wreport"),
    ("r", "Wauthor Wtarget Wdiff Wcheck Wnote Wcard Wchange Wwhy Wanalysis Wchosen"),
    ("u", ""),
    ("f", "Wfact Wshown Wmeans Wsource"),
    ("\x1b", ""),
    ("e", "Wchosen"),
    ("\x1b", ""),
    ("2", ""),
    ("\x1b", ""),
    ("c", "Wset Wscript"),
    ("\x1b", ""),
    ("?", "keys of this screen"),
    ("\x1b", ""),
]


@pytest.mark.parametrize("size", [(200, 60), pytest.param((80, 24), marks=pytest.mark.slow)])
def test_no_byte_of_a_hostile_workspace_commands_the_terminal(hostile: Workspace, size: tuple[int, int]) -> None:
    """In the large terminal every word has to be seen: nothing is left out. The small one has its own layout."""
    terminal = Terminal(app(hostile), size)
    seen = 0
    try:
        terminal.until(b"v003")
        for key, words in STOPS:
            before = len(terminal.written)
            os.write(terminal.master, key.encode())
            for word in words.split() if size[0] == 200 else []:
                terminal.until(word.encode(), since=seen)
            if key:
                # an escape and the key after it are one key to whoever reads both at once
                terminal.answered(before, 0.5 if key == "\x1b" else 0.1)
            seen = len(terminal.written)
        os.write(terminal.master, b"q")
        assert terminal.ended() == 0
    finally:
        terminal.close()
    assert list(disobeyed(bytes(terminal.written))) == []


def test_a_command_that_is_not_ours_would_be_noticed() -> None:
    for command in ("\x1b]0;x\x07", "\x1b[2J", "\x1b[5n", "\x9b31m", "\x1bPtmux;", "\x07", "\u202e", "\x1b[?1h"):
        assert list(disobeyed(f"text \x1b[1;1H\x1b[0m{command} text".encode())) != [], command
    assert list(disobeyed("\x1b[1;22;38;2;1;2;3mtext ▲ \x1b[12;3H\r\n".encode())) == []
