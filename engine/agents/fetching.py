"""A snapshot of another MCP server, over the stdin and stdout of a child process. The only module that imports `mcp`
for a client.

A foreign server may die, hang, print what is no message, or answer without end: whatever it does, the snapshot that
lay there stays as it was, and the reason is kept beside it with the end of what the server said on stderr.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import IO, Any

import anyio
from mcp import Client
from mcp.client.stdio import get_default_environment
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

from progtrain.engine.agents import sources
from progtrain.engine.agents.sources import Call, Source, SourceFolder, Standing
from progtrain.engine.clock import Clock
from progtrain.engine.errors import InputError
from progtrain.engine.files import try_read_json, write_json
from progtrain.engine.text import clean_text, last_line, shortened
from progtrain.engine.workspace import Workspace

#: one message of a server, at most
MOST_BYTES = 4_000_000
#: how long a fetch takes at most, start of the server included
SECONDS = 60.0
#: for a server to end by itself when its stdin closes
_GRACE_SECONDS = 2.0
_POLL_SECONDS = 0.02
#: earlier snapshots that are kept
_KEPT = 20
_STDERR = 4_000


class _Failed(Exception):
    """A fetch that came to nothing, with the reason in a sentence."""


def fetch(
    ws: Workspace,
    name: str,
    *,
    clock: Clock,
    environment: Mapping[str, str],
    seconds: float = SECONDS,
    accept_tools: bool = False,
) -> Standing:
    """Asks the server, and keeps what it said; how the source stands then.

    `accept_tools`: a list of tools that is another than in the snapshot is taken as it is now. Raises `InputError`
    where the source is wrong, or a variable that it names is not set.
    """
    source, folder = sources.read(ws, name), sources.folder_of(ws, name)
    missing = [one for one in source.env if one not in environment]
    if missing:
        raise InputError(
            f"the variable {missing[0]} is not set, which {name} is to get",
            file=folder.source,
            fix="set it, or add anew",
        )
    given = {one: environment[one] for one in source.env}
    at = clock()
    told: dict[str, Any] = {"at": at.isoformat(timespec="seconds"), "ok": True}
    with tempfile.TemporaryFile() as errors:
        try:
            found = asyncio.run(_within(seconds, source, given, ws.root, errors))
            changed = [] if accept_tools else _changed(try_read_json(folder.snapshot), found["tools"])
            if changed:
                told |= {"ok": False, "reason": f"its tools changed: {', '.join(changed)}", "tools_changed": True}
        except _Failed as failed:
            told |= {"ok": False, "reason": str(failed)}
        told["stderr_tail"] = _end_of(errors)
        if not told["ok"] and "tools_changed" not in told and told["stderr_tail"].strip():
            told["reason"] += f"; on stderr: {shortened(last_line(told['stderr_tail']), 160)}"
    if told["ok"]:
        _keep(
            folder, {"fetched_at": told["at"], "command": source.command, **found, "stderr_tail": told["stderr_tail"]}
        )
    write_json(folder.last_fetch, told)
    return sources.standing(ws, name, at)


async def _within(
    seconds: float, source: Source, given: Mapping[str, str], cwd: Path, errors: IO[bytes]
) -> dict[str, Any]:
    """Raises `_Failed` with whatever went wrong."""
    trouble: list[str] = []
    try:
        with anyio.fail_after(seconds):
            async with Client(_connected(source, given, cwd, errors, trouble)) as client:
                return await _asked(client, source)
    except TimeoutError as error:
        raise _Failed(f"it did not answer within {seconds:g} s") from error
    except Exception as error:
        # a foreign program: whatever it does is a reason, and no error of ours
        first: Exception = error
        while isinstance(first, ExceptionGroup):
            first = first.exceptions[0]
        if isinstance(first, _Failed):
            raise first from error
        said = shortened(str(first), 200) or type(first).__name__
        # that the connection is closed says nothing where it is known why
        reasons = [*trouble, *([] if trouble and "closed" in said.lower() else [said])]
        raise _Failed("; ".join(reversed(reasons))) from error


async def _asked(client: Client, source: Source) -> dict[str, Any]:
    listed = {tool.name: _is_read_only(tool) for tool in await _all_tools(client)}
    calls = [await _call(client, one, source, listed) for one in source.tools]
    if all(call["is_error"] for call in calls):
        raise _Failed(f"no tool answered: {shortened(json.dumps(calls[0]['result'], ensure_ascii=False), 200)}")
    info = client.server_info
    return {
        "protocol": client.protocol_version,
        "server": {"name": clean_text(info.name), "version": clean_text(info.version)} if info else None,
        "tools": [{"name": name, "read_only": hint} for name, hint in sorted(listed.items())],
        "calls": calls,
    }


async def _all_tools(client: Client) -> list[Any]:
    found, page = [], await client.list_tools()
    found += page.tools
    while page.next_cursor and len(found) < 1_000:
        page = await client.list_tools(cursor=page.next_cursor)
        found += page.tools
    return found


def _is_read_only(tool: Any) -> bool:
    return bool(tool.annotations and tool.annotations.read_only_hint)


async def _call(client: Client, one: Call, source: Source, listed: Mapping[str, bool]) -> dict[str, Any]:
    kept: dict[str, Any] = {"tool": one.tool, "arguments": one.arguments}
    if one.tool not in listed:
        return _with_result(kept, "the server has no such tool", is_error=True)
    if not listed[one.tool] and one.tool not in source.trusted:
        return _with_result(kept, "not called: the server does not mark it as read-only (--trust)", is_error=True)
    answer = await client.call_tool(one.tool, one.arguments)
    body = answer.structured_content
    if body is None:
        body = [part.model_dump(mode="json", exclude_none=True) for part in answer.content]
    return _with_result(kept, body, is_error=bool(answer.is_error))


def _with_result(kept: dict[str, Any], result: Any, *, is_error: bool) -> dict[str, Any]:
    digest = hashlib.sha256(json.dumps(result, sort_keys=True).encode()).hexdigest()
    return {**kept, "is_error": is_error, "result": result, "sha256": digest}


def _changed(before: Any, now: list[dict[str, Any]]) -> list[str]:
    """What is new, gone, or marked in another way than in the snapshot that lies there; a few of them."""
    listed = before.get("tools") if isinstance(before, dict) else None
    if not isinstance(listed, list):
        return []
    old = {str(one.get("name")): one.get("read_only") for one in listed if isinstance(one, dict)}
    new = {one["name"]: one["read_only"] for one in now}
    added, gone = sorted(new.keys() - old.keys()), sorted(old.keys() - new.keys())
    marked = sorted(name for name in new.keys() & old.keys() if new[name] != old[name])
    signs = [("+", added), ("-", gone), ("marked anew:", marked)]
    return [f"{sign} {shortened(name, 40)}" for sign, some in signs for name in some][:8]


def _keep(folder: SourceFolder, snapshot: dict[str, Any]) -> None:
    """The one that lay there goes to the history."""
    before = try_read_json(folder.snapshot)
    if before is not None:
        stamp = "".join(c if c.isalnum() else "-" for c in str(before.get("fetched_at")))[:40]
        write_json(folder.history / f"{stamp}.json", before)
        for old in sorted(folder.history.glob("*.json"), key=lambda path: path.stat().st_mtime)[:-_KEPT]:
            old.unlink()
    write_json(folder.snapshot, snapshot)


def _end_of(errors: IO[bytes]) -> str:
    size = errors.seek(0, os.SEEK_END)
    errors.seek(max(0, size - _STDERR))
    return clean_text(errors.read())


@asynccontextmanager
async def _connected(
    source: Source, given: Mapping[str, str], cwd: Path, errors: IO[bytes], trouble: list[str]
) -> AsyncIterator[Any]:
    """The server's messages and ours, as `mcp` takes them. A line longer than `MOST_BYTES` ends the connection, lines
    that are no messages are passed over; `trouble` says so. In the end the server and what it started are gone."""
    try:
        process = await asyncio.create_subprocess_exec(
            *source.command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            env={**get_default_environment(), **given},
            cwd=cwd,
            start_new_session=True,
            limit=MOST_BYTES,
        )
    except OSError as error:
        raise _Failed(f"{shortened(source.command[0], 80)} could not be started: {error.strerror or error}") from error
    to_client, from_server = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    to_server, from_client = anyio.create_memory_object_stream[SessionMessage](0)
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(_listen, process, to_client, trouble)
            group.start_soon(_speak, process, from_client)
            yield from_server, to_server
            group.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await _end(process)
        for stream in (to_client, from_server, to_server, from_client):
            stream.close()


async def _listen(process: asyncio.subprocess.Process, to_client: Any, trouble: list[str]) -> None:
    assert process.stdout is not None
    async with to_client:
        while True:
            try:
                line = await process.stdout.readline()
            except ValueError:
                trouble.append(f"it answered with more than {MOST_BYTES:,} bytes at once: ask for less")
                return
            if not line:
                if await _ended(process):
                    trouble.append(f"it ended with exit code {process.returncode}")
                return
            try:
                message = jsonrpc_message_adapter.validate_json(line, by_name=False)
            except ValueError:
                if not trouble:
                    shown = shortened(line[:200].decode("utf-8", "replace"), 80)
                    trouble.append(f"it printed what is no message: {shown}")
                continue
            with suppress(anyio.BrokenResourceError):
                await to_client.send(SessionMessage(message))


async def _speak(process: asyncio.subprocess.Process, from_client: Any) -> None:
    assert process.stdin is not None
    async with from_client:
        async for item in from_client:
            said = item.message.model_dump_json(by_alias=True, exclude_unset=True)
            # a server that is gone shows where it is listened to
            with suppress(OSError):
                process.stdin.write(f"{said}\n".encode())
                await process.stdin.drain()


async def _end(process: asyncio.subprocess.Process) -> None:
    """Closes its stdin, waits a little, then ends its whole group."""
    assert process.stdin is not None
    with suppress(OSError):
        process.stdin.close()
    await _ended(process)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    await _ended(process)
    # what it left in the pipes is read by nobody
    process._transport.close()  # type: ignore[attr-defined]


async def _ended(process: asyncio.subprocess.Process) -> bool:
    """Whether it ends within a moment. `wait()` would also wait for pipes that nobody reads."""
    with anyio.move_on_after(_GRACE_SECONDS):
        while process.returncode is None:
            await anyio.sleep(_POLL_SECONDS)
    return process.returncode is not None
