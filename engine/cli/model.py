"""`progtrain model`: what the advisor's model is, whether it serves, and how fast it is here."""

from __future__ import annotations

from pathlib import Path

import click

from progtrain.advisor import process
from progtrain.advisor.interface import Settings
from progtrain.advisor.locate import bundled_model
from progtrain.advisor.process import ModelInfo
from progtrain.engine.cli.common import chosen_version, json_option, model_file, model_files, versions, workspace
from progtrain.engine.cli.output import print_json, say
from progtrain.engine.drafting import rounds
from progtrain.engine.rules import rules

_path = click.argument("path", required=False, type=click.Path(path_type=Path), shell_complete=model_files)

#: what is measured of a model -> its name and unit for a person
_SPEEDS = {
    "load_seconds": ("loads in", "s"),
    "read_per_second": ("reads", "tokens/s"),
    "write_per_second": ("writes", "tokens/s"),
    "grammar_write_per_second": ("writes under a grammar", "tokens/s"),
    "own_loop_write_per_second": ("llama.cpp's own loop", "tokens/s"),
    "share_of_own_loop": ("share of its speed", "in processor time"),
}


@click.group("model")
def command() -> None:
    """The advisor's model: what it is, whether it serves, how fast it is.

    PATH: a GGUF; by default the one that the rules name, else the bundled one.
    """


@command.command("info")
@_path
@json_option
@click.pass_context
def info(ctx: click.Context, path: Path | None, as_json: bool) -> int:
    """What the file is."""
    return _tell(process.inspect(_settings(ctx, path).model or bundled_model()), as_json)


@command.command("check")
@_path
@json_option
@click.pass_context
def check(ctx: click.Context, path: Path | None, as_json: bool) -> int:
    """Will it serve? It is loaded, and sits a small exam: facts, diagnosis, choice, form."""
    from progtrain.engine.cli import exam

    settings = _settings(ctx, path)
    found = process.inspect(settings.model or bundled_model())
    if not as_json:
        _tell(found, False)
    marks = () if found.problems else exam.sit(settings, lambda line: None if as_json else say(f"  {line}"))
    if as_json:
        told = [mark.model_dump(mode="json") for mark in marks]
        sat = {"marks": told, "line": exam.line(marks)} if marks else None
        print_json("model_check", {**found.model_dump(mode="json"), "exam": sat})
    elif marks:
        for note in () if exam.serves(marks) else marks[-1].notes:
            say(f"  {note}")
        say(exam.line(marks))
        say(exam.pace(marks))
        say(exam.verdict(marks), bold=True)
    return 0 if marks and exam.serves(marks) else 1


@command.command("bench")
@_path
@json_option
@click.pass_context
def bench(ctx: click.Context, path: Path | None, as_json: bool) -> int:
    """How fast it reads and writes here."""
    settings = _settings(ctx, path)
    speed, problem = process.bench(settings.model or bundled_model(), settings=settings)
    if as_json:
        print_json("model_speed", {**{key: speed.get(key) for key in _SPEEDS}, "problem": problem})
    elif problem is None:
        for key, (label, unit) in _SPEEDS.items():
            if (value := speed.get(key)) is not None:
                say(f"{label:24}{value:10.3g} {unit}" if value < 1 else f"{label:24}{value:10.0f} {unit}")
    else:
        say(f"progtrain: {problem}", error=True)
    return 0 if problem is None else 1


@command.command("redo")
@click.argument("version", shell_complete=versions)
@click.option("--round", "number", type=click.IntRange(min=1), help="Which round of the draft; by default the newest.")
@json_option
@click.pass_context
def redo(ctx: click.Context, version: str, number: int | None, as_json: bool) -> int:
    """Make a draft again from what is kept of it, and compare: token for token."""
    from progtrain.engine.drafting.redo import redo as again

    ws = workspace(ctx)
    version = chosen_version(ws, version)
    number, author, differences = again(ws, version, number)
    if as_json:
        told = {"version": version, "round": number, "author": author, "differences": differences}
        print_json("redo", {**told, "same": not differences})
    else:
        say(f"{version}, round {number}, drafted again by {author}")
        for line in differences:
            say(f"  {line}")
        say("another draft" if differences else "the same draft, token for token", bold=True)
    return 1 if differences else 0


def _settings(ctx: click.Context, path: Path | None) -> Settings:
    """Of the rules; a path on the command line comes first. Raises `InputError` when the file is not there."""
    ws = workspace(ctx)
    present = rules.load(ws)
    settings = rounds.settings(present, ws, seed=present.seed)
    if path is not None:
        return settings.model_copy(update={"model": model_file(path)})
    if settings.model is not None:
        model_file(settings.model, "advisor_config.model of the rules")
    return settings


def _tell(found: ModelInfo, as_json: bool) -> int:
    if as_json:
        print_json("model", found.model_dump(mode="json"))
    else:
        say(f"{found.path}")
        for line in described(found):
            say(f"  {line}")
    return 1 if found.problems else 0


def described(found: ModelInfo) -> list[str]:
    """What is known of a model, a line each."""
    lines = []
    if found.architecture:
        size = f", {found.size / 2**20:.1f} MiB" if found.size else ""
        count = f", {found.parameters / 1e6:.1f}M parameters" if found.parameters else ""
        lines.append(f"{found.name or 'unnamed'}: {found.architecture}{count}, {found.file_type}{size}")
        lines.append(f"context {found.context} tokens, vocabulary {found.vocabulary}")
    if found.native:
        lines.append("trained on progtrain's own briefings")
    if found.sha256:
        lines.append(f"sha256 {found.sha256}")
    return [*lines, *found.remarks, *(f"problem: {problem}" for problem in found.problems)]
