"""`progtrain evidence`: snapshots of other MCP servers. Nothing is fetched but by `fetch`."""

from __future__ import annotations

import json
import os
import shutil
from typing import Any

import click

from progtrain.engine.agents import sources
from progtrain.engine.agents.optional import with_mcp
from progtrain.engine.agents.sources import Call, Source, Standing
from progtrain.engine.cli.common import from_here, json_option, workspace
from progtrain.engine.cli.output import print_json, say, table
from progtrain.engine.clock import now
from progtrain.engine.errors import InputError
from progtrain.engine.files import write_json
from progtrain.engine.text import shortened


def _names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in sources.names(workspace(ctx)) if name.startswith(incomplete)]


@click.group("evidence")
def command() -> None:
    """What other MCP servers say, fetched when you say so and kept as evidence.

    A source is a command that starts a server, the tools that may be called, and an age.
    """


@command.command("add")
@click.argument("name")
@click.option("--max-age", default="24h", show_default=True, help="How long it counts as fresh: 90m, 24h, 7d.")
@click.option("--tool", "tools", multiple=True, required=True, metavar="TOOL[={...}]", help="May be called, so.")
@click.option("--trust", "trusted", multiple=True, metavar="TOOL", help="Call it though it is not marked read-only.")
@click.option("--env", multiple=True, metavar="NAME", help="A variable of yours that the server gets.")
@click.argument("server", nargs=-1, required=True, metavar="-- COMMAND...")
@click.pass_context
def add(
    ctx: click.Context,
    name: str,
    max_age: str,
    tools: tuple[str, ...],
    trusted: tuple[str, ...],
    env: tuple[str, ...],
    server: tuple[str, ...],
) -> None:
    """Name a source. Nothing is started yet."""
    ws = workspace(ctx)
    folder = sources.folder_of(ws, name)
    if folder.source.exists():
        fix = f"progtrain evidence remove {name} takes it away with its snapshots"
        raise InputError(f"there is a source {name!r} already", file=folder.source, fix=fix)
    calls = [_call(text) for text in tools]
    for one in trusted:
        if one not in {call.tool for call in calls}:
            raise InputError(f"{one!r} is not among the tools", place="--trust", fix=f"--tool {one} names it")
    for one in env:
        if not one.isidentifier():
            # what stands behind a `=` may be a secret: it is neither kept nor shown
            shown = shortened(one.partition("=")[0], 40)
            fix = f"--env {shown}: the value is taken from your own environment, and is never written down"
            raise InputError("it takes the name of a variable, without a value", place="--env", fix=fix)
    command_ = [from_here(server[0]) or "", *server[1:]]
    source = Source(
        command=command_, tools=calls, trusted=list(trusted), env=list(env), max_age_hours=sources.hours(max_age)
    )
    write_json(folder.source, source.model_dump(mode="json"))
    say(f"added in {ws.relative(folder.path)}; progtrain evidence fetch {name} asks it")


def _call(text: str) -> Call:
    tool, _, given = text.partition("=")
    try:
        arguments = json.loads(given or "{}")
    except ValueError as error:
        arguments = error
    if not tool or not isinstance(arguments, dict):
        fix = "write the arguments as a JSON object: --tool 'status={\"last\": 5}'"
        raise InputError(f"{text!r} is no tool with its arguments", place="--tool", fix=fix)
    return Call(tool=tool, arguments=arguments)


@command.command("fetch")
@click.argument("name", required=False, shell_complete=_names)
@click.option("--timeout", type=click.FloatRange(min=0.1), default=60.0, show_default=True, help="Seconds a source.")
@click.option("--accept-tools", is_flag=True, help="Take its list of tools as it is now.")
@json_option
@click.pass_context
def fetch(ctx: click.Context, name: str | None, timeout: float, accept_tools: bool, as_json: bool) -> int:
    """Ask the server of a source, or those of all, and keep what they say.

    Where that fails, the snapshot stays as it was. Exit code 1: not every source is fresh now.
    """
    fetching = with_mcp("fetching")
    ws = workspace(ctx)
    wanted = [name] if name else sources.names(ws)
    found = [
        fetching.fetch(ws, one, clock=now, environment=os.environ, seconds=timeout, accept_tools=accept_tools)
        for one in wanted
    ]
    _tell(found, as_json)
    return 0 if all(one.state == "fresh" for one in found) else 1


@command.command("list")
@json_option
@click.pass_context
def listed(ctx: click.Context, as_json: bool) -> None:
    """The sources, how fresh each is, and why it is not."""
    _tell(sources.standings(workspace(ctx), now()), as_json)


@command.command("remove")
@click.argument("name", shell_complete=_names)
@click.pass_context
def remove(ctx: click.Context, name: str) -> None:
    """Take a source away, with its snapshots."""
    ws = workspace(ctx)
    sources.read(ws, name)
    shutil.rmtree(sources.folder_of(ws, name).path)
    say(f"removed: {name}")


def _tell(found: list[Standing], as_json: bool) -> None:
    rows: list[dict[str, Any]] = [one._asdict() for one in found]
    if as_json:
        print_json("evidence", rows)
        return
    if not found:
        say("no sources: progtrain evidence add names one")
        return
    cells = [(one.name, one.state, sources.age_text(one.age_hours), one.reason) for one in found]
    say(table(("source", "state", "age", "why"), cells))
