"""`progtrain scaffold-TOOL` and `run-TOOL`: a worker of experiments by itself."""

from __future__ import annotations

import pkgutil
from typing import Any

import click

from progtrain.engine.cli.common import json_option, workspace
from progtrain.engine.cli.experiment_common import dry_run_option, name_argument, run_option
from progtrain.engine.experiment import workers

_VERBS = {
    "scaffold": "Write what runs of an experiment need for {tool}, and nothing else.",
    "run": "Carry out what {tool} does in an experiment, and nothing else.",
}
#: tool -> how commands call it: what it does is evaluate with `03_eval.py`
_CALLED = {"progtrain": "eval"}


def listed() -> dict[str, str]:
    """name -> what it does."""
    tools = [module.name for module in pkgutil.iter_modules(workers.__path__) if module.name != "base"]
    return {f"{verb}-{_CALLED.get(tool, tool)}": _about(verb, tool) for verb in _VERBS for tool in tools}


def _about(verb: str, tool: str) -> str:
    return _VERBS[verb].format(tool="03_eval.py" if tool in _CALLED else tool)


def command_of(name: str) -> click.Command | None:
    """None where no worker has that name."""
    from progtrain.engine.experiment.workers import base

    verb, _, called = name.partition("-")
    known = {_CALLED.get(tool, tool): tool for kind in ("training", "evaluation") for tool in base.known(kind)}
    if verb not in _VERBS or called not in known:
        return None
    tool = known[called]
    made = _scaffold(name, tool) if verb == "scaffold" else _run(name, tool)
    made.help = _about(verb, tool)
    return made


def _scaffold(name: str, tool: str) -> click.Command:
    @click.command(name)
    @name_argument
    @run_option
    @dry_run_option
    @json_option
    @click.pass_context
    def command(ctx: click.Context, /, runs: tuple[str, ...], **options: Any) -> None:
        from progtrain.engine.cli.experiment_stages import scaffold_with

        scaffold_with(workspace(ctx), options.pop("name"), runs, tool, **options)

    return command


def _run(name: str, tool: str) -> click.Command:
    @click.command(name)
    @name_argument
    @run_option
    @click.option("--detach", is_flag=True, help="Do not follow: start it and return.")
    @dry_run_option
    @json_option
    @click.pass_context
    def command(ctx: click.Context, /, runs: tuple[str, ...], **options: Any) -> int:
        from progtrain.engine.cli.experiment_stages import run_with
        from progtrain.engine.experiment.runner import Options

        return run_with(workspace(ctx), options.pop("name"), Options(runs, tool), **options)

    return command
