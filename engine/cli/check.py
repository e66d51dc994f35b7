"""`progtrain check`: is everything ready, and what is to be fixed?"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import click

from progtrain.advisor import process
from progtrain.advisor.locate import bundled_model
from progtrain.engine import metrics, prepared_data
from progtrain.engine.cli import check_machine, check_rows, imports
from progtrain.engine.cli.common import from_here, json_option, run_options, workspace
from progtrain.engine.cli.model import described
from progtrain.engine.cli.output import overwrite, print_json, say, shell
from progtrain.engine.clock import now
from progtrain.engine.control.context import Context
from progtrain.engine.control.journal import Journal
from progtrain.engine.control.launch import Options, named_python
from progtrain.engine.drafting import rounds
from progtrain.engine.errors import InputError, ProgtrainError
from progtrain.engine.files import object_in, read_text
from progtrain.engine.loop.near_misses import near_misses
from progtrain.engine.loop.runner import prepare
from progtrain.engine.loop.steps import initialize
from progtrain.engine.rules import instruction, rules
from progtrain.engine.rules.rules import Rules
from progtrain.engine.script import probe as probing
from progtrain.engine.script import version_files
from progtrain.engine.script.config_files import is_config, places
from progtrain.engine.workspace import Workspace

#: what 03_eval.py is made with, and what it needs for metrics besides the loss
_PACKAGES, _METRICS = ("torch",), "torchmetrics"

Area = Literal["rules", "instruction", "workspace", "scripts", "machine", "model", "terminal"]
#: "ok"; "note": good to know; "warning": it works, but; "error": the loop would not start
State = Literal["ok", "note", "warning", "error"]
_SIGNS = {"ok": "✓", "note": "·", "warning": "!", "error": "✗"}
#: area, state, text, fix
Item = tuple[Area, State, str, str]


@click.command("check")
@json_option
@run_options
@click.pass_context
def command(
    ctx: click.Context, as_json: bool, python: str | None, model: str | None, dataset_id: str | None, probe: bool
) -> int:
    """Is everything ready: workspace, rules, scripts, machine, model, terminal?

    Everything that is wrong is listed. The training script is run up to the point where its training would begin;
    nothing is trained, and what it writes by then is taken back.
    """
    ws = workspace(ctx)
    options = Options(
        python=from_here(python),
        model=model and str(Path(model).expanduser().absolute()),
        dataset_id=dataset_id,
        probe=probe,
    )
    if as_json:
        items = list(check(ws, options))
        errors = sum(state == "error" for _, state, _, _ in items)
        rows = [dict(zip(("area", "state", "text", "fix"), item, strict=True)) for item in items]
        print_json("check", {"ready": not errors, "rows": rows})
        return 2 if errors else 0
    shown = 0

    def busy(text: str) -> None:
        """What takes its time, on a line that goes again; empty takes it away."""
        nonlocal shown
        shown = overwrite(text, shown) if sys.stdout.isatty() else 0

    errors = _say(check(ws, options, busy), busy)
    say(f"\nnot ready: {errors} to fix" if errors else "\nready: progtrain run", bold=True)
    return 2 if errors else 0


def _say(items: Iterator[Item], busy: Callable[[str], None]) -> int:
    """Each as soon as it is known. Returns how many are errors."""
    errors = 0
    for area, state, text, fix in items:
        busy("")
        say(f"{_SIGNS[state]} {area:12}{text}")
        if fix:
            say(f"{'':14}fix: {fix}")
        errors += state == "error"
    return errors


def check(ws: Workspace, options: Options, busy: Callable[[str], None] = lambda text: None) -> Iterator[Item]:
    """All items, also after errors: what cannot be known because of one is left out. `busy` hears what takes long."""
    present = yield from _rules(ws)
    yield from _instruction(ws, present)
    if not os.access(ws.root, os.W_OK):
        yield "workspace", "error", f"{ws.root} cannot be written", "give yourself write permission there"
    context = yield from _context(ws, options, present)
    whole = True
    for text in near_misses(ws):
        what, _, way = text.partition("; to use it: ")
        yield "workspace", "note", what, way
    for item in _workspace(context) if context.dataset_id else ():
        whole &= item[1] != "error"
        yield item
    if not whole:
        context.probes = False  # what it would stumble over is told already
    with ThreadPoolExecutor(1) as beside:
        # while the script runs up to its training
        rest = beside.submit(
            lambda: [
                *_leaks(context),
                *_model(ws, context.rules, options),
                *check_machine.look(context),
                *_interpreter(context),
            ]
        )
        yield from _scripts(context, busy)
        yield from rest.result()
    yield from _terminal()


def _rules(ws: Workspace) -> Generator[Item, None, Rules | None]:
    """None when they are broken."""
    try:
        present = rules.load(ws)
    except InputError as error:
        yield from (_error("rules", problem) for problem in rules.problems(ws) or [error])
        return None
    if not present.has_rules:
        yield "rules", "note", f"no {ws.rules.name}: no constraint of that kind, only the defaults", ""
    else:
        locks = ", ".join(f"{key} = {value!r}" for key, value in present.locked.items()) or "nothing"
        limit = present.max_versions
        yield "rules", "ok", f"{ws.rules.name}: up to {limit} versions, locked: {locks}", ""
    for warning in present.warnings:
        yield "rules", "warning", warning, ""
    higher = "higher" if present.higher_is_better(present.primary_metric) else "lower"
    yield "rules", "ok", f"ranked by {present.primary_metric} ({higher} is better)", ""
    for name in present.metric_names:
        if not metrics.measured(name):
            text = f"{name} is not worked out from outputs and targets: it counts where validation_step logs it"
            yield "rules", "note", text, "log it there, or take one that the evaluation knows: progtrain docs metrics"
    return present


def _instruction(ws: Workspace, present: Rules | None) -> Iterator[Item]:
    """Each line with what was understood."""
    if not ws.instruction.exists():
        yield "instruction", "note", "no user_instruction.md: no constraint of that kind", ""
        return
    try:
        found = present.instruction if present else instruction.read(read_text(ws.instruction))
    except InputError as error:
        yield _error("instruction", error)
        return
    for line in found.lines:
        state: State = "ok" if line.understood else "note"
        yield "instruction", state, f"“{line.text}” → {line.understood or 'told to the advisor, not enforced'}", ""


def _context(ws: Workspace, options: Options, present: Rules | None) -> Generator[Item, None, Context]:
    """What a loop would have; where that cannot be, as much of it as is known, so that the rest can be looked at."""
    guess = _dataset(ws, options)
    if present is not None:
        told: set[str] = set()
        for given in (options, options.model_copy(update={"dataset_id": guess or None})):
            try:
                return prepare(ws, given, dry_run=True)
            except ProgtrainError as error:
                if error.reason not in told:
                    yield _error("workspace", error)
                told.add(error.reason)
    known = present or Rules(ws.rules, {}, instruction.read(""), False, False, "", ())
    python = options.python or named_python(ws) or sys.executable
    return Context(ws, known, guess, python, Journal(ws.journal, silent=True), now, dry_run=True, probes=options.probe)


def _dataset(ws: Workspace, options: Options) -> str:
    """The data set that is meant, as far as broken rules still say it; empty when nothing does."""
    config = object_in(ws.rules).get("dataset_config")
    named = config.get("dataset_id") if isinstance(config, dict) else None
    there = prepared_data.available(ws)
    return options.dataset_id or (named if isinstance(named, str) else "") or (there[0] if len(there) == 1 else "")


def _workspace(context: Context) -> Iterator[Item]:
    ws, dataset = context.ws, context.dataset_id
    wrong = list(initialize.problems(context))
    # an interpreter that is not there is told with the machine
    yield from (_error("workspace", problem) for problem in wrong if problem.file != context.python)
    if wrong:
        return
    yield "workspace", "ok", prepared_data.describe(ws, dataset), ""
    if apart := prepared_data.elsewhere(ws, dataset):
        gone = [path for path in apart if not path.is_file()]
        text = f"data stay where they are: {ws.relative(ws.source(dataset))} lists {len(apart)} of their files"
        fix = "put them back, or prepare the data anew"
        yield "workspace", "ok", text, ""
        if gone:
            yield "workspace", "error", f"{len(gone)} of them are not there, such as {ws.relative(gone[0])}", fix
        elif told := prepared_data.told_of_change(ws, dataset):
            yield (
                "workspace",
                "warning",
                told,
                "put them back as they were, or begin another loop with them in another folder",
            )
        return
    for name in ("train", "valid"):
        if not ws.split(dataset, name).is_dir():
            yield "workspace", "note", f"there is no {ws.relative(ws.split(dataset, name))}/ to keep an eye on", ""


def _leaks(context: Context) -> Iterator[Item]:
    """Rows that stand in more than one split, and why none can be added."""
    for state, text, fix in check_rows.all_told(context) if context.dataset_id else ():
        yield "workspace", state, text, fix


def _scripts(context: Context, busy: Callable[[str], None]) -> Iterator[Item]:
    ws = context.ws
    versions = ws.versions()
    if versions:
        yield "scripts", "ok", f"versions {versions[0]} to {versions[-1]}", ""
        yield from _run_up(context, versions[-1], busy)
    elif not ws.baseline_script.is_file():
        fix = "put your training script there, or try: progtrain init --example digits DIR"
        yield "scripts", "error", f"there is no {ws.baseline_script.name}, and no version", fix
    else:
        items = list(_audit(ws, context.dataset_id, context.rules)) if context.dataset_id else []
        yield from items
        monitors = any(" monitors " in text for _, _, text, _ in items)
        yield from _run_up(context, "baseline", busy, audited=monitors)


def _run_up(context: Context, version: str, busy: Callable[[str], None], *, audited: bool = False) -> Iterator[Item]:
    """What the script sets up, by running it to its training; without that, which modules it lacks."""
    script = context.ws.script(version)
    lacking = list(_missing(context, script))
    yield from lacking
    yield from _configs(context, version)
    if lacking or not context.probes or shutil.which(context.python) is None or not probing.can_be_probed(script):
        return
    seconds = context.rules.timeout_seconds or probing.SECONDS
    busy(f"{script.name} runs up to its training, for at most {seconds:.0f} s")
    words = version_files.arguments(context.ws, version, context.rules.training_args)
    found = probing.run(context.python, script, words, root=context.ws.root, seconds=seconds)
    yield from _split(context, script, words, found, seconds)
    # the audit sets the baseline to what the rules say before it trains
    locked = context.rules.locked if script != context.ws.baseline_script else {}
    for state, text, fix in probing.remarks(found, script.name, locked):
        if not (audited and text.startswith("the checkpoint keeps")):
            yield "scripts", state, text, fix


def _split(context: Context, script: Path, words: list[str], found: dict[str, Any], seconds: float) -> Iterator[Item]:
    """A split that the script draws is drawn a second time, to see whether it is the same one."""
    if not probing.draws_split(found, read_text(script)):
        return
    again = probing.run(context.python, script, words, root=context.ws.root, seconds=seconds)
    if told := probing.unsteady_split(found, again, script.name):
        yield ("scripts", *told)


def _configs(context: Context, version: str) -> Iterator[Item]:
    """The config files that actions may change."""
    try:
        source = version_files.read(context.ws, version)
    except InputError:
        return  # told by others
    for name, text in source.files.items():
        if not is_config(name):
            continue
        try:
            count = len(places(name, text))
        except InputError as error:
            yield _error("scripts", error)
        else:
            if count:
                yield "scripts", "ok", f"{name}: {count} value{'s' if count > 1 else ''} that can be set", ""


def _missing(context: Context, training: Path) -> Iterator[Item]:
    """What the scripts import and their interpreter does not have."""
    ws = context.ws
    needed: dict[str, tuple[Path, int]] = {}
    for script in (training, ws.eval_script, ws.report_script):
        try:
            needed = (imports.needed(script) if script.is_file() else {}) | needed
        except InputError as error:
            # what is wrong with the baseline is the audit's to tell
            if script != ws.baseline_script:
                yield _error("scripts", error)
    try:
        lacking = imports.missing(context.python, needed.keys() - {*_PACKAGES, ws.eval_modules.name}, ws.root)
    except InputError:
        return  # told with the machine
    for name in lacking:
        path, line = needed[name]
        install = shell(context.python, "-m", "pip", "install", "PACKAGE")
        fix = f"install the package that has it ({install}), or put {name}.py beside the script"
        yield "scripts", "error", f"{ws.relative(path)}, line {line}: there is no module {name}", fix


def _audit(ws: Workspace, dataset_id: str, present: Rules) -> Iterator[Item]:
    try:
        found = initialize.examine(ws, dataset_id, present)
    except ProgtrainError as error:
        yield _error("scripts", error)
        return
    if not found.findings:
        yield "scripts", "ok", f"{ws.baseline_script.name} is ready as it is", ""
    for finding in found.findings:
        text = f"{finding.file}{f', line {finding.line}' if finding.line else ''}: {finding.problem}"
        if finding.error:
            yield "scripts", "error", text, finding.fix or ""
        else:
            yield "scripts", "note", f"{text} (fixed at the start, you see the diff first)", ""


def _model(ws: Workspace, present: Rules, options: Options) -> Iterator[Item]:
    settings = rounds.settings(present, ws, seed=present.seed)
    path = Path(options.model) if options.model else settings.model or bundled_model()
    if options.model and not path.is_file():
        yield "model", "error", f"--model {path}: there is no such file", "name a GGUF file, or leave it out"
        return
    info = process.inspect(path)
    for problem in info.problems:
        text = problem if str(path) in problem else f"{path}: {problem}"
        yield "model", "warning", text, "until then the rules alone draft"
    if not info.problems:
        yield "model", "ok", described(info)[0], ""
    for remark in info.remarks:
        yield "model", "note", remark, ""
    if present.allow_code_edits:
        none = "allow_code_edits has no effect: the bundled model cannot write code"
        some = "allow_code_edits: this model may propose code; with --yes it runs without anybody having read it"
        yield "model", "note", none if info.native else some, ""


def _interpreter(context: Context) -> Iterator[Item]:
    python = context.python
    try:
        lacking = imports.missing(python, [*_PACKAGES, _METRICS], context.ws.root)
    except InputError as error:
        yield _error("machine", error)
        return
    needed = [name for name in lacking if name in _PACKAGES]
    near = [other for other in _interpreters_near(context.ws) if other != python]
    others = [shell("progtrain", "run", "--python", other) for other in near]
    if needed:
        install = shell(python, "-m", "pip", "install", *needed)
        fix = f"{others[0] if others else 'name another with --python'}, or {install}"
        yield "machine", "error", f"{python} has no {', '.join(needed)}", fix
        return
    yield "machine", "ok", f"scripts run with {python}", ""
    if python == sys.executable and others:
        yield "machine", "note", f"there are interpreters that may be your scripts' own: {'; '.join(others)}", ""
    if lacking:
        told = f"{python} has no {_METRICS}: only the loss and what the script logs can be scored"
        yield "machine", "warning", told, shell(python, "-m", "pip", "install", _METRICS)


def _interpreters_near(ws: Workspace) -> list[str]:
    """Of virtual environments in the workspace, and of the one that is active where progtrain was started."""
    active = [Path(folder) for name in ("VIRTUAL_ENV", "CONDA_PREFIX") if (folder := os.environ.get(name))]
    folders = [*(ws.root / name for name in (".venv", "venv", "env")), *active]
    found = [folder / "bin" / "python" for folder in folders]
    return list(dict.fromkeys(str(path) for path in found if path.is_file() and Path(sys.prefix) != path.parents[1]))


def _terminal() -> Iterator[Item]:
    if not sys.stdout.isatty():
        yield "terminal", "note", "no terminal here: progtrain run works without one", ""
        return
    size = shutil.get_terminal_size()
    colours = os.environ.get("COLORTERM") or os.environ.get("TERM", "unknown")
    if size.columns < 80 or size.lines < 24:
        yield "terminal", "warning", f"{size.columns}x{size.lines} is small", "80x24 or more shows everything"
    elif "utf" not in (sys.stdout.encoding or "").lower():
        yield ("terminal", "warning", f"encoding {sys.stdout.encoding}", "progtrain-tui --ascii, or set a UTF-8 locale")
    else:
        yield "terminal", "ok", f"{size.columns}x{size.lines}, {colours}", ""


def _error(area: Area, error: ProgtrainError) -> Item:
    return area, "error", error.located, error.fix or ""
