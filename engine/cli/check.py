"""`progtrain check`: is everything ready, and what is to be fixed?"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import click
import psutil

from progtrain.advisor import process
from progtrain.advisor.locate import bundled_model
from progtrain.engine.cli.common import json_option, print_json, run_options, say, workspace
from progtrain.engine.cli.model import described
from progtrain.engine.control.options import Options
from progtrain.engine.drafting import rounds
from progtrain.engine.errors import ProgtrainError
from progtrain.engine.files import read_text
from progtrain.engine.loop.runner import prepare
from progtrain.engine.loop.steps import initialize
from progtrain.engine.rules import rules
from progtrain.engine.rules.rules import Rules
from progtrain.engine.script.baseline.audit import audit
from progtrain.engine.workspace import Workspace

_LOW_DISK_BYTES = 1024**3


@dataclass(frozen=True)
class Item:
    area: Literal["rules", "instruction", "workspace", "scripts", "machine", "model", "terminal"]
    #: "ok"; "note": good to know; "warning": it works, but; "error": the loop would not start
    state: Literal["ok", "note", "warning", "error"]
    text: str
    fix: str = ""


@click.command("check")
@json_option
@run_options
@click.pass_context
def command(ctx: click.Context, as_json: bool, python: str | None, model: str | None, dataset_id: str | None) -> int:
    """Is everything ready: workspace, rules, scripts, machine, model, terminal? Nothing is run or written."""
    ws = workspace(ctx)
    options = Options(python=python, model=model, dataset_id=dataset_id)
    items = list(check(ws, options))
    if as_json:
        print_json([item.__dict__ for item in items])
    else:
        for item in items:
            sign = {"ok": "✓", "note": "·", "warning": "!", "error": "✗"}[item.state]
            say(f"{sign} {item.area:12}{item.text}")
            if item.fix:
                say(f"{'':14}fix: {item.fix}")
        errors = sum(item.state == "error" for item in items)
        say("\nready: progtrain run" if not errors else f"\nnot ready: {errors} to fix", bold=True)
    return 2 if any(item.state == "error" for item in items) else 0


def check(ws: Workspace, options: Options) -> Iterator[Item]:
    try:
        present = rules.load(ws)
    except ProgtrainError as error:
        yield _error("rules", error)
        present = None
    if present is not None:
        yield from _rules(ws, present)
        yield from _instruction(present)
        yield from _workspace(ws, options)
        yield from _model(ws, present, options)
    yield from _machine(ws, options.python or sys.executable)
    yield from _terminal()


def _rules(ws: Workspace, present: Rules) -> Iterator[Item]:
    if not present.has_rules:
        yield Item("rules", "note", f"no {ws.rules.name}: no constraint of that kind, only the defaults")
    else:
        locks = ", ".join(f"{key} = {value!r}" for key, value in present.locked.items()) or "nothing"
        limit = present.file.loop_config.max_versions
        yield Item("rules", "ok", f"{ws.rules.name}: up to {limit} versions, locked: {locks}")
    for warning in present.warnings:
        yield Item("rules", "warning", warning)
    higher = "higher" if present.higher_is_better(present.primary_metric) else "lower"
    yield Item("rules", "ok", f"ranked by {present.primary_metric} ({higher} is better)")


def _instruction(present: Rules) -> Iterator[Item]:
    """Each line with what was understood."""
    if not present.has_instruction:
        yield Item("instruction", "note", "no user_instruction.md: no constraint of that kind")
    for line in present.instruction.lines:
        if line.understood:
            yield Item("instruction", "ok", f"“{line.text}” → {line.understood}")
        else:
            yield Item("instruction", "note", f"“{line.text}” → told to the advisor, not enforced")


def _workspace(ws: Workspace, options: Options) -> Iterator[Item]:
    if not os.access(ws.root, os.W_OK):
        yield Item("workspace", "error", f"{ws.root} cannot be written", "give yourself write permission there")
    try:
        context = prepare(ws, options, dry_run=True)
        for note in initialize.look(context)[:1]:
            yield Item("workspace", "ok", note)
    except ProgtrainError as error:
        yield _error("workspace", error)
        return
    versions = ws.versions()
    if versions:
        yield Item("scripts", "ok", f"versions {versions[0]} to {versions[-1]}")
    elif not ws.baseline_script.is_file():
        yield Item(
            "scripts",
            "error",
            f"there is no {ws.baseline_script.name}, and no version",
            "put your training script there, or try: progtrain init --example digits DIR",
        )
    else:
        yield from _audit(ws, context.dataset_id, context.rules)


def _audit(ws: Workspace, dataset_id: str, present: Rules) -> Iterator[Item]:
    try:
        found = audit(
            ws,
            dataset_id=dataset_id,
            settings=initialize.settings_for(present, read_text(ws.baseline_script)),
            locked=present.instruction.locked,
        )
    except ProgtrainError as error:
        yield _error("scripts", error)
        return
    if not found.findings:
        yield Item("scripts", "ok", f"{ws.baseline_script.name} is ready as it is")
    for finding in found.findings:
        where = f"{finding.file}, line {finding.line}: " if finding.line else f"{finding.file}: "
        if finding.error:
            yield Item("scripts", "error", where + finding.problem, finding.fix or "")
        else:
            yield Item("scripts", "note", f"{where}{finding.problem} (fixed at the start, you see the diff first)")


def _model(ws: Workspace, present: Rules, options: Options) -> Iterator[Item]:
    settings = rounds.settings(present, ws, seed=present.file.seed)
    path = Path(options.model) if options.model else settings.model or bundled_model()
    info = process.inspect(path)
    for problem in info.problems:
        yield Item(
            "model",
            "warning",
            problem if str(path) in problem else f"{path}: {problem}",
            "until then the rules alone draft",
        )
    if not info.problems:
        yield Item("model", "ok", described(info)[0])
    for remark in info.remarks:
        yield Item("model", "note", remark)
    if present.file.advisor_config.allow_code_edits:
        none = "allow_code_edits has no effect: the bundled model cannot write code"
        some = "allow_code_edits: this model may propose code; with --yes it runs without anybody having read it"
        yield Item("model", "note", none if info.native else some)


def _machine(ws: Workspace, python: str) -> Iterator[Item]:
    memory = psutil.virtual_memory()
    yield Item("machine", "ok", f"{psutil.cpu_count()} cores, {memory.available / 2**30:.1f} GiB of memory free")
    free = shutil.disk_usage(ws.root).free
    if free < _LOW_DISK_BYTES:
        yield Item("machine", "warning", f"{free / 2**20:.0f} MiB of disk free", "checkpoints need room: free some")
    else:
        yield Item("machine", "ok", f"{free / 2**30:.0f} GiB of disk free")
    probe = (
        "import importlib.util as u; print(*(n for n in ('torch','lightning','torchmetrics') if not u.find_spec(n)))"
    )
    try:
        ended = subprocess.run([python, "-c", probe], capture_output=True, text=True, timeout=60, check=False)
    except OSError as error:
        yield Item("machine", "error", f"{python}: {error.strerror}", "name your scripts' interpreter with --python")
        return
    missing = ended.stdout.split()
    if ended.returncode or missing:
        what = f"has no {', '.join(missing)}" if missing else f"does not run: {ended.stderr.strip()[-200:]}"
        yield Item("machine", "error", f"{python} {what}", "install it there, or name another with --python")
    else:
        yield Item("machine", "ok", f"scripts run with {python}")


def _terminal() -> Iterator[Item]:
    if not sys.stdout.isatty():
        yield Item("terminal", "note", "no terminal here: progtrain run works without one")
        return
    size = shutil.get_terminal_size()
    colours = os.environ.get("COLORTERM") or os.environ.get("TERM", "unknown")
    if size.columns < 80 or size.lines < 24:
        yield Item("terminal", "warning", f"{size.columns}x{size.lines} is small", "80x24 or more shows everything")
    elif "utf" not in (sys.stdout.encoding or "").lower():
        yield Item(
            "terminal", "warning", f"encoding {sys.stdout.encoding}", "progtrain-tui --ascii, or set a UTF-8 locale"
        )
    else:
        yield Item("terminal", "ok", f"{size.columns}x{size.lines}, {colours}")


def _error(area: Literal["rules", "workspace", "scripts"], error: ProgtrainError) -> Item:
    where = ", ".join(part for part in (error.file, error.place) if part)
    return Item(area, "error", f"{where}: {error.reason}" if where else error.reason, error.fix or "")
