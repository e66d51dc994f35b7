"""The command `progtrain`: finds the subcommand, and turns errors into one clear message and an exit code."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

import click

from progtrain.engine.errors import ProgtrainError

#: name -> what it does, in the order of the help; the module has the same name
COMMANDS = {
    "init": "Set up a workspace, empty or with an example.",
    "check": "Is everything ready: workspace, rules, machine, model, terminal?",
    "run": "Run the loop until it needs you, or to its end.",
    "step": "Run one step by itself.",
    "status": "Where the loop stands.",
    "review": "See and answer what the loop asks.",
    "stop": "Stop the loop after the batch that runs.",
    "leaderboard": "All versions, ranked by the primary metric.",
    "diff": "What changed between two versions' scripts.",
    "samples": "Outcome of the validation samples of a version.",
    "journal": "What happened when, with the command to repeat it.",
    "model": "The advisor's model: info, check, bench.",
}


class Commands(click.Group):
    """Imports a subcommand when it is called: `status` must not wait for what `run` needs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command = importlib.import_module(f"progtrain.engine.cli.{name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="progtrain")
@click.option(
    "-C",
    "--workspace",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=".",
    help="The project folder; by default the present one.",
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def progtrain(ctx: click.Context, workspace: Path, debug: bool) -> None:
    """Improve a training script version by version, one change at a time, under your rules."""
    ctx.obj = {"root": workspace.resolve(), "debug": debug}


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 1 a step failed, 2 wrong input or usage, 3 a decision is needed, 4 another runner is at
    work, 5 the disk is full or read-only, 70 an error in progtrain itself, 130 interrupted.
    """
    debug = "--debug" in (sys.argv[1:] if arguments is None else arguments)
    try:
        code = progtrain.main(args=arguments, prog_name="progtrain", standalone_mode=False)
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.Abort:
        return 130
    except click.ClickException as error:
        error.show()
        return 2
    except ProgtrainError as error:
        if debug:
            traceback.print_exc()
        click.echo(f"progtrain: {error}", err=True)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # the reader has gone (`| head`): nothing is left to say, and Python must not say it at its end either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code if isinstance(code, int) else 0


def entry() -> None:
    sys.exit(main())


if __name__ == "__main__":
    entry()
