"""The command `progtrain`: finds the subcommand, and turns errors into one clear message and an exit code."""

from __future__ import annotations

import gc
import io
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import NoReturn

import click

import progtrain as package
from progtrain.engine import hanging
from progtrain.engine.cli.groups import Commands
from progtrain.engine.cli.output import say
from progtrain.engine.errors import ProgtrainError, StorageError
from progtrain.engine.files import of_storage

#: name -> what it does, in the order of the help; the module has the same name
COMMANDS = {
    "init": "Set up a workspace: empty, with an example, or with a first baseline for data of your own.",
    "adopt": "Set a workspace up around a training script of your own.",
    "baseline": "Train the baseline for a few steps, and find the batches that fit.",
    "check": "Is everything ready: workspace, rules, scripts, machine, model, terminal?",
    "run": "Run the loop until it needs your decision, or to its end.",
    "step": "Run one step by itself, whether or not it was done before.",
    "repeat": "Train and evaluate a version again with other seeds.",
    "status": "Where the loop stands: step, progress, versions, and what is wanted of you.",
    "review": "See and answer what the loop asks.",
    "stop": "Stop the loop, or a repeat, after the batch that runs.",
    "leaderboard": "All versions and external models, ranked by the primary metric.",
    "compare": "Versions and external models over the same samples, side by side.",
    "diff": "What changed between two versions: in their scripts, and in their config files and modules.",
    "samples": "Outcome of the validation samples of a version.",
    "export": "Write versions where other tools show them: CSV, TensorBoard, MLflow, trackio, wandb.",
    "playbook": "Where a version fails, in groups: samples, since when, and what may be tried.",
    "journal": "What happened when, with the command to repeat it.",
    "log": "What was done, version by version: who decided, what it rests on, what came of it.",
    "jobs": "Every attempt at a training, an evaluation or a report, and what became of it.",
    "additions": "Rows that versions train with besides: made from training rows, checked for leaks.",
    "experiment": "Many runs that answer one question, side by side, here or on a cluster.",
    "campaign": "Variants of several versions, one after the other, and what they say should be changed.",
    "publish": "Make a version ready for a hub: a folder with card and checksums. Sends nothing.",
    "import": "Read runs of other trackers as evidence: never ranked, judged or built on.",
    "create-inspect-task": "Write a task of inspect-ai for the rows of a file.",
    "mcp": "Serve the workspace to an agent over MCP.",
    "evidence": "What other MCP servers say, fetched when you say so and kept as evidence.",
    "model": "The advisor's model: what it is, whether it serves, how fast it is.",
    "docs": "Read the documentation.",
}
#: of an error in progtrain itself
INTERNAL = 70
#: what the shell sets to ask for completions
COMPLETE = "_PROGTRAIN_COMPLETE"


def _of_worker(name: str) -> click.Command | None:
    """`scaffold-TOOL`, `run-TOOL`: each worker of experiments is a command of its own too."""
    if not name.startswith(("scaffold-", "run-")):
        return None
    from progtrain.engine.cli.experiment_workers import command_of

    return command_of(name)


def _workers() -> dict[str, dict[str, str]]:
    from progtrain.engine.cli.experiment_workers import listed

    return {"Workers of experiments": listed()}


@click.group(
    cls=Commands,
    table=COMMANDS,
    places={"create-inspect-task": "inspect_task", "import": "import_evidence"},
    other=_of_worker,
    others=_workers,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package.__version__)
@click.option(
    "-C",
    "--workspace",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=".",
    help="The project folder; by default the present one.",
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def progtrain(workspace: Path, debug: bool) -> None:
    """Improve a training script version by version, one change at a time, under your rules."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 1 a step failed, 2 wrong input or usage, 3 a decision is needed, 4 another runner is at
    work, 5 the disk is full or cannot be written, 70 an error in progtrain itself, 130 interrupted.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = _called(given)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # the reader has gone (`| head`): nothing is left to say, and Python must not say it at its end either
        for stream in (sys.stdout, sys.stderr):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return 0
    except (KeyboardInterrupt, EOFError):
        return 130


def _called(arguments: list[str]) -> int:
    """The command's own exit code, or that of its error, which is told. Raises `BrokenPipeError`."""
    try:
        if instruction := os.environ.get(COMPLETE):
            from click.shell_completion import shell_complete

            return shell_complete(progtrain, {}, "progtrain", COMPLETE, instruction)
        # what only looks has nothing to wait for
        with (
            hanging.ending() if "status" in arguments else nullcontext(),
            progtrain.make_context("progtrain", list(arguments)) as ctx,
        ):
            code = progtrain.invoke(ctx)
        return code if isinstance(code, int) else 0
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.Abort:
        return 130
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, the user gets one message and an exit code
        if "--debug" in arguments:
            import traceback  # 5 ms that no other command needs

            say(traceback.format_exc(), error=True)
        return _told(error)


def _told(error: Exception) -> int:
    if isinstance(error, click.ClickException):
        text = io.StringIO()
        error.show(text)
        say(text.getvalue().rstrip(), error=True)
        return 2
    if isinstance(error, ProgtrainError):
        say(f"progtrain: {error}", error=True)
        return error.exit_code
    if isinstance(error, OSError):
        if told := of_storage(error):
            return _told(told)
        reason, fix = error.strerror or str(error), "see that it can be read and written"
        return _told(StorageError(reason, file=error.filename, fix=fix))
    say(
        f"progtrain: an error in progtrain itself: {type(error).__name__}: {error}\n"
        "  fix: please report it, with what `progtrain --debug ...` shows",
        error=True,
    )
    return INTERNAL


def entry() -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # a terminal that cannot show a character gets another one, no traceback
            stream.reconfigure(errors="replace")
    for number in (signal.SIGTERM, signal.SIGHUP):
        # not where whoever started it wants it ignored (nohup)
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _leave)
    code = main()
    # nor at its end: else the interpreter looks through all that was imported, for a sixth of what `status` takes
    gc.freeze()
    sys.exit(code)


def _leave(number: int, _: object) -> NoReturn:
    """A command that is ended, or whose terminal goes, ends the script that it probes."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    entry()
