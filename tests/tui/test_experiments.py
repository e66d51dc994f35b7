"""The screen of experiments, on a real one: its runs are commands that take a tenth of a second."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from progtrain.engine.control import lock
from progtrain.engine.experiment import board, expand, state
from progtrain.engine.experiment import folder as folders
from progtrain.engine.experiment import plan as plans
from progtrain.engine.experiment.folder import ExperimentFolder
from progtrain.engine.experiment.opening import opened
from progtrain.engine.experiment.runner import Options
from progtrain.engine.experiment.stages import analyze
from progtrain.engine.experiment.stages import run as run_stage
from progtrain.engine.workspace import Workspace
from progtrain.tui import clipboard, experimenting
from progtrain.tui.app import ProgtrainApp
from progtrain.tui.client import EngineClient
from progtrain.tui.reading import experiment as reading
from progtrain.tui.reading.runs import attempts_text, briefly
from progtrain.tui.screens.ask import Confirm
from progtrain.tui.screens.edit import EditScreen
from progtrain.tui.screens.experiments import ExperimentsScreen
from tests.experiment.conftest import carried_out, scaffolded
from tests.tui.fakes import make_app, settle, snapshot, write_experiment

Planned = Callable[..., ExperimentFolder]
Faults = Callable[[dict[int, dict[str, Any]]], None]
_NOW = datetime(2026, 11, 27, 16, 0, tzinfo=UTC)


def text_of(pilot: Pilot[None]) -> str:
    """What stands on the terminal, and what was said."""
    strips = pilot.app.screen._compositor.render_strips()
    lines = ["".join(segment.text for segment in strip).rstrip() for strip in strips]
    return "\n".join([*lines, *(note.message for note in pilot.app._notifications)])


def line_with(pilot: Pilot[None], word: str) -> list[str]:
    found = [line for line in text_of(pilot).splitlines() if f" {word} " in f" {line} "]
    return found[0].split() if found else []


def opened_app(ws: Workspace, **options: Any) -> ProgtrainApp:
    return make_app(ws, snapshot(ws.root, "finished"), engine=options.pop("engine", EngineClient(ws)), **options)


async def shows(pilot: Pilot[None], *words: str, seconds: float = 60.0) -> None:
    try:
        await settle(pilot, lambda: all(word in text_of(pilot) for word in words), seconds)
    except AssertionError:
        raise AssertionError(f"{words} not in\n{text_of(pilot)}") from None


# how it looks


async def test_at_80_columns_a_row_has_name_state_metric_and_eta(
    lab: Workspace, planned: Planned, faults: Faults
) -> None:
    planned(variables={"rank": [8, 16], "rate": [0.2]})
    faults({16: {"exit": 7}})
    assert carried_out(lab) == 1
    async with opened_app(lab).run_test(size=(80, 24)) as pilot:
        await pilot.press("7")
        await shows(pilot, "rank16_rate0.2", "accuracy", "cap  partly  Does rank matter?")
        assert "✓ design  >  ✓ scaffold  >  ✗ train 2/3  >  · eval 2/3  >  · analyze" in text_of(pilot)
        assert "on this machine" in text_of(pilot) and "s starts again what failed" in text_of(pilot)
        assert line_with(pilot, "accuracy") == ["run", "state", "accuracy", "ETA"]
        assert line_with(pilot, "rank8_rate0.2") == ["rank8_rate0.2", "done", "0.3250"]
        assert line_with(pilot, "rank16_rate0.2")[1] == "failed:"
        await pilot.press("j")
        await shows(pilot, "exit code 7", "mend it, then: progtrain experiment")
        assert all(len(line) <= 80 for line in text_of(pilot).splitlines())


async def test_a_wide_terminal_shows_all_of_a_run(lab: Workspace, planned: Planned) -> None:
    folder = planned(variables={"rank": [8, 16], "rate": [0.2]})
    assert carried_out(lab) == 0
    analyze.run(opened(lab, "cap"))
    async with opened_app(lab).run_test(size=(160, 45)) as pilot:
        await pilot.press("7")
        await shows(pilot, "✓ analyze", "rank16_rate0.2")
        header = "run rank rate state progress ETA accuracy 95 % verdict job node tries"
        assert " ".join(line_with(pilot, "verdict")) == header
        assert " ".join(line_with(pilot, "rank8_rate0.2")) == "rank8_rate0.2 8 0.2 done 0.3250 ±0.0000 worse 1"
        await shows(
            pilot, "rank8_rate0.2  rank 8, rate 0.2", "accuracy 0.3250  95 % interval 0.3250 to 0.3250  worse than base"
        )
        assert "compares the runs" not in text_of(pilot)
    # results that came since are not what was analysed
    with folder.results.open("a") as file:
        file.write("{}\n")
    assert all(row.interval is None and row.verdict is None for row in board.read(lab, "cap").rows)


async def test_no_experiment_says_how_to_make_one(ws: Workspace) -> None:
    async with opened_app(ws).run_test(size=(80, 24)) as pilot:
        await pilot.press("7")
        await shows(pilot, "no experiment yet", "progtrain experiment design NAME")
        for key in ("enter", "space", "o", "c", "r", "L", "p", "colon", "s", "y"):
            await pilot.press(key)
        await pilot.pause(0.2)
        await pilot.press("escape")
        assert pilot.app.current_mode == "loop"


async def test_several_are_a_list_to_choose_from(ws: Workspace) -> None:
    for name in ("cap", "dim"):
        write_experiment(ws, name)
    (ws.experiments / "dim" / "experiment.yaml").write_text("experiment: {name: dim}\nvariabels: {}\n")
    async with opened_app(ws).run_test(size=(100, 24)) as pilot:
        await pilot.press("7")
        await shows(pilot, "cap", "planned", "3 planned", "broken", "there is no key 'variabels'")
        await pilot.press("j", "enter")
        await shows(pilot, "there is no key 'variabels' here; did you mean variables?", ": edits the plan")
        await pilot.press("colon")
        await settle(pilot, lambda: isinstance(pilot.app.screen, EditScreen))
        await pilot.press("escape", "escape")
        await shows(pilot, "experiments  2")
        await pilot.press("k", "enter")
        await shows(pilot, "rank8", "cap  planned")


async def test_a_run_that_was_searched_for_is_shown(ws: Workspace, monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("cap", "dim"):
        write_experiment(ws, name)
    async with opened_app(ws).run_test(size=(120, 30)) as pilot:
        await pilot.press("7")
        await shows(pilot, "experiments  2")
        await pilot.press("i", *"rank>8", "enter")
        await shows(pilot, "2 runs: rank>8", "accuracy 0.8000, rank 16")
        await pilot.press("enter")
        await shows(pilot, "runs  3", "rank16  rank 16")
        await pilot.press("i", *"rnak>8", "enter")
        await shows(pilot, "did you mean rank?")


async def test_a_look_that_is_due_while_the_app_ends_does_no_harm(ws: Workspace) -> None:
    write_experiment(ws)
    app = opened_app(ws)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("7")
        await shows(pilot, "rank8")
        screen = app.screen
        assert isinstance(screen, ExperimentsScreen)
        # as when the app is quit: its screens are gone, and a timer of this one is not yet
        screens, app._screen_stacks[app.current_mode] = app._screen_stack, []
        screen.look_soon()
        assert screen._looking is not None, "it follows its journal, as behind another screen"
        app._screen_stacks[app.current_mode] = screens


# what goes on


@pytest.mark.slow
async def test_a_run_is_followed_from_scaffold_to_done(lab: Workspace, planned: Planned, faults: Faults) -> None:
    """All by `s`: scaffold, run, then analyze; the bell tells of the end, whatever screen is on show."""
    planned(variables={"rank": [8, 16]}, controls={"rate": 0.1})
    app = opened_app(lab)
    rung: list[str] = []
    app.ring = rung.append  # type: ignore[method-assign]
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot.press("7")
        await shows(pilot, "s writes what each run needs")
        await pilot.press("s")
        await shows(pilot, "✓ scaffold", "s trains and evaluates")
        await pilot.press("s")
        await settle(pilot, lambda: lock.held(lab.experiments / "cap" / ".lock"))
        await pilot.press("1")
        await settle(pilot, lambda: bool(rung), 40)
        assert rung == ["cap ended: done: 3 done"]
        await pilot.press("7")
        await shows(pilot, "✓ train 3/3", "✓ eval 3/3", "s compares the runs")
        await pilot.press("s")
        await shows(pilot, "✓ analyze", "worse than base")
        await pilot.press("p")
        await shows(pilot, "what to draw")
        await pilot.press("enter")
        await shows(pilot, "Differences in accuracy", "rank8 against base")
        await pilot.press("escape")
        await shows(pilot, "verdict")


async def test_runs_are_cancelled_after_a_question_and_resumed(
    lab: Workspace, planned: Planned, faults: Faults
) -> None:
    folder = planned(variables={"rank": [8, 16]}, controls={"rate": 0.1}, runs={}, resources={"parallel": 2})
    faults({8: {"seconds": 30}, 16: {"seconds": 30}})
    scaffolded(lab)
    runner = run_stage.start(lab, "cap", Options())
    async with opened_app(lab).run_test(size=(120, 30)) as pilot:
        await pilot.press("7")
        await shows(pilot, "▶ train 0/2", "trains")
        await pilot.press("j", "space", "c")
        await shows(pilot, "Cancel rank16?")
        await pilot.press("n")
        assert not folder.inbox.exists()
        await pilot.press("c")
        await pilot.press("y")
        await shows(pilot, "cancelled by you")
        assert line_with(pilot, "rank8")[:3] == ["rank8", "8", "trains"]
        await pilot.press("g", "r")
        await shows(pilot, "again: rank16")
        await settle(pilot, lambda: folder.run("rank16").again("train", 1).exists())
        experimenting.carry_out(lab, "cancel", "cap", (), {})
        await shows(pilot, "cap  failed")
    assert runner.wait(60) == 1


async def test_a_run_shows_its_curves_logs_and_attempts(lab: Workspace, planned: Planned, faults: Faults) -> None:
    folder = planned(variables={"rank": [8, 16]}, runs={}, controls={"rate": 0.1, "batch_size": 8})
    faults({16: {"fits": 4}})
    assert carried_out(lab) == 0
    for run, loss in (("rank8", 0.5), ("rank16", 0.25)):
        (folder.run(run).artifacts / "metrics.csv").write_text(f"step,train_loss\n0,1.0\n1,{loss}\n")
    async with opened_app(lab).run_test(size=(160, 45)) as pilot:
        await pilot.press("7")
        await shows(pilot, "rank16")
        await pilot.press("j", "enter")
        await shows(
            pilot,
            "rank16 train 0.2500",
            "[tool]",
            "CUDA out of memory",
            "@@ train-2  done @@",
            "-batch_size = 8",
            "+batch_size = 4",
        )
        assert "@@ train-1  failed: out of memory @@" in text_of(pilot)
        await pilot.press("t")
        await shows(pilot, "[stage]", "  submitted as train-2")
        await pilot.press("t")
        await shows(pilot, "[worker]", "  submitted as train-2")
        await pilot.press("escape", "space", "k", "space", "o")
        # in the order of the table, each with a mark of its own
        await shows(pilot, "cap  2 runs  ● rank8 ▲ rank16", "● rank8 train 0.5000  ▲ rank16 train 0.2500")
        await pilot.resize_terminal(80, 24)
        await shows(pilot, "▲ rank16")
        await pilot.press("tab", "tab")
        await shows(pilot, "attempts of rank8")
        shutil.rmtree(folder.path)
        await shows(pilot, "there is no experiment cap")
        await pilot.press("escape")
        await shows(pilot, "there is no experiment cap", "e shows all experiments")


async def test_the_plan_is_edited_as_rules_are(lab: Workspace, planned: Planned, monkeypatch: Any) -> None:
    for name in ("EDITOR", "VISUAL"):
        monkeypatch.delenv(name, raising=False)
    folder = planned()
    async with opened_app(lab).run_test(size=(100, 30)) as pilot:
        await pilot.press("7")
        await shows(pilot, "rank16_rate0.2")
        await pilot.press("colon")
        await shows(pilot, "cap/experiment.yaml", "valid: 5 runs, 5 evaluations")
        area = pilot.app.screen.query_one("#text")
        area.text = folder.plan.read_text().replace("  - 16\n", "  - 16\n  - 32\n")  # type: ignore[attr-defined]
        await shows(pilot, "valid: 7 runs")
        await pilot.press("f2")
        await shows(pilot, "rank32_rate0.2")
        await pilot.press("colon")
        await settle(pilot, lambda: isinstance(pilot.app.screen, EditScreen))
        area = pilot.app.screen.query_one("#text")
        area.text = "experiment: {name: other}\n"  # type: ignore[attr-defined]
        await shows(pilot, "refused:")


# what others do to it


async def test_names_logs_and_reasons_send_no_commands_to_the_terminal(ws: Workspace) -> None:
    folder = write_experiment(ws)
    text = folder.plan.read_text().replace("Does rank matter?", "'[bold]red\x1b[31m \x9b?'")
    folder.plan.write_text(text.replace("'[bold]red\x1b[31m \x9b?'", '"[bold]red\\x1b[31m \\x9b?"'))
    run = folder.run("rank8")
    run.attempt("train", 1).path.mkdir(parents=True)
    run.attempt("train", 1).log.write_text("\x1b]0;owned\x07 printed\n")
    run.changes("train", 1).write_text(json.dumps({"why": "\x1b[2J why", "settings": {"a": "\x1b[1m"}}))
    run.failure("train", 1).write_text(json.dumps({"cause": "\x07", "reason": "line\nbreak"}))
    async with opened_app(ws).run_test(size=(120, 30)) as pilot:
        await pilot.press("7")
        await shows(pilot, "[bold]red")
        await pilot.press("enter")
        await shows(pilot, "printed", "why", "line break")
        assert not any(ord(sign) < 32 and sign != "\n" for sign in text_of(pilot))
    assert "\x1b" not in clipboard.bell("a\x1b[31mb\x07", {}).removeprefix("\x07\x1b]9;").removesuffix("\x07")


async def test_three_hundred_runs_of_long_names_hold_up_no_key(ws: Workspace) -> None:
    folder = write_experiment(ws)
    values = [f"x{number}{'y' * 80}" for number in range(300)]
    text = folder.plan.read_text().replace("{rank=4}", "{rank=a}").replace("[8, 16]", json.dumps(values))
    folder.plan.write_text(text)
    async with opened_app(ws).run_test(size=(80, 24)) as pilot:
        await pilot.press("7")
        await shows(pilot, "runs  301")
        began = time.thread_time()
        for _ in range(20):
            await pilot.press("j")
        assert time.thread_time() - began < 30
        await pilot.press("G")
        await shows(pilot, "base")
        assert all(len(line) <= 80 for line in text_of(pilot).splitlines())


async def test_a_cluster_that_does_not_answer_is_told_with_its_age(ws: Workspace) -> None:
    folder = write_experiment(ws)
    folder.plan.write_text(folder.plan.read_text() + "resources: {executor: slurm}\n")

    def clock() -> datetime:
        return _NOW

    told = {"at": (_NOW - timedelta(seconds=42)).isoformat(), "jobs": {}}
    assert board.read(ws, "cap", clock).answered is None
    folder.seen.write_text(json.dumps(told))
    seen = board.read(ws, "cap", clock)
    assert (seen.answered, seen.stale) == (42, False)
    run = folder.run("rank8")
    plan = opened(ws, "cap").plan
    runs = runs_of(ws)
    files = {"plan": state.identity_of(plan, runs["rank8"]), "files": "x"}
    run.path.mkdir()
    run.scaffolded.write_text(json.dumps({**files, "tool": "command", "trains": True, "cells": {}}))
    run.attempt("train", 1).path.mkdir(parents=True)
    run.changes("train", 1).write_text(json.dumps({"of": {**files, "train": ""}}))
    held = {"phase": "queued", "reason": "Priority", "job": "17", "stale": 240.0}
    folder.seen.write_text(json.dumps({**told, "jobs": {"rank8/attempts/train-1": held}}))
    with lock.hold_file(folder.lock, RuntimeError("busy")):  # type: ignore[arg-type]
        seen = board.read(ws, "cap", clock)
        assert (seen.answered, seen.stale, seen.running) == (282, True, True)
        async with opened_app(ws, clock=clock).run_test(size=(100, 30)) as pilot:
            await pilot.press("7")
            await shows(pilot, "slurm has not answered for 04:42", "queued: Priority", "17")
            began = time.monotonic()
            await pilot.press("j", "space", "c")
            assert isinstance(pilot.app.screen, Confirm) and time.monotonic() - began < 30
            await pilot.press("n")
    async with opened_app(ws, clock=clock).run_test(size=(100, 30)) as pilot:
        await pilot.press("7")
        await shows(pilot, "slurm: nobody asks it, states are 00:42 old")


def runs_of(ws: Workspace) -> dict[str, Any]:
    return {run.name: run for run in expand.runs(plans.read(folders.folder(ws, "cap")), folders.folder(ws, "cap"))}


async def test_a_disk_that_does_not_answer_holds_up_no_key(ws: Workspace, monkeypatch: Any) -> None:
    write_experiment(ws)
    later = [_NOW]
    app = opened_app(ws, clock=lambda: later[0])
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("7")
        await shows(pilot, "rank16")
        real = reading.look
        monkeypatch.setattr(reading, "look", lambda *args, **given: time.sleep(3) or real(*args, **given))
        later[0] += timedelta(seconds=30)
        await pilot.pause(0.8)
        later[0] += timedelta(seconds=30)
        await shows(pilot, "the disk does not answer")
        await pilot.press("space")
        assert app.screen.marked == {"rank8"}  # type: ignore[attr-defined]


async def test_readonly_changes_nothing(ws: Workspace) -> None:
    folder = write_experiment(ws)
    async with opened_app(ws, readonly=True).run_test(size=(100, 30)) as pilot:
        await pilot.press("7")
        await shows(pilot, "rank16")
        for key in ("s", "c", "r"):
            await pilot.press(key)
        await shows(pilot, "opened with --readonly")
        assert sorted(path.name for path in folder.path.iterdir()) == ["experiment.yaml", "results.jsonl"]


# from the palette


async def test_the_palette_designs_repeats_of_the_present_version(lab: Workspace) -> None:
    lab.script("v003").write_text("SEED = 1\n")
    engine = Remembers(lab)
    async with opened_app(lab, engine=engine).run_test(size=(100, 30)) as pilot:
        await pilot.pause(0.3)
        await pilot.press("ctrl+p")
        await pilot.press(*"experiment: repeats")
        await pilot.pause(0.5)
        await pilot.press("enter")
        await shows(pilot, "name of an experiment: v003 with 3 seeds", "v003_repeats")
        await pilot.press("enter")
        await settle(pilot, lambda: bool(engine.asked))
    assert engine.asked == [("design", "v003_repeats", (), {"base": "02_train_v003.py", "repeats": 3})]


async def test_the_palette_adopts_the_marked_run_after_it_was_said_what_that_is(ws: Workspace) -> None:
    write_experiment(ws, "cap")
    engine = Remembers(ws)
    async with opened_app(ws, engine=engine).run_test(size=(100, 30)) as pilot:
        await pilot.press("7")
        await shows(pilot, "rank8", "rank16")
        await pilot.press("space", "ctrl+p")
        await pilot.press(*"experiment: adopt")
        await pilot.pause(0.5)
        await pilot.press("enter")
        await settle(pilot, lambda: isinstance(pilot.app.screen, Confirm))
        marked = engine.asked[0][2]
        assert engine.asked == [("adopt", "cap", marked, {"dry_run": True})] and len(marked) == 1
        await pilot.press("n")
        await settle(pilot, lambda: not isinstance(pilot.app.screen, Confirm))
        pilot.app.screen.carry_out("adopt")  # type: ignore[attr-defined]
        await settle(pilot, lambda: isinstance(pilot.app.screen, Confirm))
        await pilot.press("y")
        await settle(pilot, lambda: len(engine.asked) == 3)
        assert engine.asked[2] == ("adopt", "cap", marked, {})
        await pilot.press("j", "space")
        pilot.app.screen.carry_out("adopt")  # type: ignore[attr-defined]
        await shows(pilot, "mark that one, or none for the best")


class Remembers(EngineClient):
    def __init__(self, ws: Workspace) -> None:
        super().__init__(ws)
        self.asked: list[Any] = []

    def experiment(self, verb: Any, name: str, runs: Any = (), **given: Any) -> str:
        self.asked.append((verb, name, tuple(runs), given))
        return "done"


# parts


def test_news_is_what_the_plan_wants_to_hear_of() -> None:
    events = [
        {"event": "state", "text": "running"},
        {"event": "failed", "run": "rank8", "text": "no further attempt"},
        {"event": "failed", "run": "rank16", "text": "no further attempt"},
        {"event": "stage_done", "stage": "scaffold", "text": "2 written"},
    ]
    assert reading.news(events, ("ended", "failed")) == "failed: rank16: no further attempt and 1 more"
    assert reading.news(events, ("ended", "waiting")) == ""
    assert reading.news([{"event": "stage_done", "stage": "run", "text": "done"}], ("ended",)) == "ended: done"


def test_a_bell_comes_through_tmux() -> None:
    assert clipboard.bell("done", {}) == "\x07\x1b]9;progtrain: done\x07"
    assert clipboard.bell("done", {"TMUX": "x"}).endswith("\x1bPtmux;\x1b\x1b]9;progtrain: done\x07\x1b\\")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("2026-11-27T17:23:33.264+00:00  rank8: submitted as train-1", "17:23:33  submitted as train-1"),
        ("2026-11-27T17:23:33.264+00:00  rank8/caps_best: queued", "17:23:33  caps_best: queued"),
        ("2026-11-27T17:23:33.264+00:00  rank80: queued", "17:23:33  rank80: queued"),
        ("a line of another kind", "a line of another kind"),
    ],
)
def test_a_stage_s_log_is_short_for_its_pane(line: str, told: str) -> None:
    assert briefly(line, "rank8") == told


def test_attempts_of_a_damaged_run_are_told_all_the_same(tmp_path: Path) -> None:
    run = ExperimentFolder(tmp_path).run("rank8")
    assert attempts_text(run) == ""
    run.attempts.mkdir(parents=True)
    run.changes("train", 1).write_text("{broken")
    (run.attempts / "train-x.changes.json").write_text("[]")
    assert "@@ train-1  not started @@" in attempts_text(run)
