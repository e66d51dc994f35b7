"""`progtrain mcp`: the workspace for an agent."""

from __future__ import annotations

from pathlib import Path

import click

from progtrain.engine.agents.optional import with_mcp
from progtrain.engine.cli.common import workspace
from progtrain.engine.workspace import Workspace


@click.command("mcp")
@click.argument(
    "folder", metavar="[WORKSPACE]", required=False, type=click.Path(path_type=Path, exists=True, file_okay=False)
)
@click.option("--decide", "may_decide", is_flag=True, help="It may choose another candidate, or have drafted again.")
@click.option("--accept", "may_accept", is_flag=True, help="It may accept what is drafted, which else a person does.")
@click.pass_context
def command(ctx: click.Context, folder: Path | None, may_decide: bool, may_accept: bool) -> None:
    """Serve the workspace to an agent over MCP.

    An agent reads status, facts, candidates, samples, scripts' differences and the open question. It can start
    nothing and change no file.
    """
    server = with_mcp("server")
    ws = workspace(ctx) if folder is None else Workspace(folder.resolve())
    server.serve(ws, may_decide=may_decide, may_accept=may_accept)
