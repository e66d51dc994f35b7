"""A workspace over MCP: real servers in child processes, a real client."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from mcp import Client, StdioServerParameters

from progtrain.engine.agents import fetching, sources
from progtrain.engine.cli.main import main
from progtrain.engine.clock import now
from progtrain.engine.control import decisions
from progtrain.engine.control.launch import Options
from progtrain.engine.files import LineReader, write_json
from progtrain.engine.loop import runner
from progtrain.engine.workspace import Workspace
from tests.agents.conftest import files
from tests.cli.commands import progtrain

READ = ["status", "leaderboard", "facts", "candidates", "samples", "journal", "diff", "rules", "review", "evidence"]


@asynccontextmanager
async def client(ws: Workspace, *options: str) -> AsyncIterator[Client]:
    command = ["-m", "progtrain", "mcp", str(ws.root), *options]
    async with Client(StdioServerParameters(command=sys.executable, args=command)) as connected:
        yield connected


async def said(connected: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    answer = await connected.call_tool(tool, arguments)
    assert not answer.is_error, answer.content
    assert answer.structured_content is not None
    return answer.structured_content


async def refused(connected: Client, tool: str, **arguments: Any) -> str:
    answer = await connected.call_tool(tool, arguments)
    assert answer.is_error
    text: str = answer.content[0].text
    assert "Traceback" not in text
    return text


async def test_an_agent_reads_all_with_sources_and_writes_nothing(asked: Workspace) -> None:
    before = files(asked)
    async with client(asked) as connected:
        tools = (await connected.list_tools()).tools
        assert [tool.name for tool in tools] == READ
        assert all(tool.annotations and tool.annotations.read_only_hint for tool in tools)
        status = await said(connected, "status")
        assert (status["status"], status["version"]) == ("waiting", "v001")
        review = await said(connected, "review")
        assert review["question"] == status["question"]
        assert "result-analysis.md" in review["documents"]
        facts = await said(connected, "facts", version="v001")
        assert all(fact["source"] for fact in facts["facts"])
        offered = await said(connected, "candidates", version="v001")
        assert [one["id"] for one in offered["candidates"]] == [one["id"] for one in review["candidates"]]
        assert len((await said(connected, "samples", version="v001", wrong_only=False, limit=10**6))["rows"]) == 120
        assert len((await said(connected, "journal", last=3))["events"]) == 3
        assert "02_train_v001.py" in (await said(connected, "diff", new="v001"))["diff"]
        assert "no argument 'verson'\n  fix: version?" in await refused(connected, "facts", version="v001", verson="x")
        assert "fix: status takes none" in await refused(connected, "status", version="v001")
        for tool, given in (("leaderboard", {}), ("rules", {}), ("evidence", {})):
            assert (await said(connected, tool, **given))["source"]
        for tool in ("decide", "accept"):
            assert "Unknown tool" in await refused(connected, tool, question=review["question"])
    assert files(asked) == before
    assert not asked.inbox.exists() or not list(asked.inbox.glob("v001*"))


async def test_it_chooses_under_the_rules_of_the_moment_and_a_person_accepts(
    asked: Workspace, edit_rules: Callable[..., None]
) -> None:
    rules = asked.rules.read_text()
    async with client(asked, "--decide") as connected:
        question = (await said(connected, "status"))["question"]
        assert "not the open question" in await refused(connected, "decide", question="../x", answer="redraft")
        given = {"question": question, "answer": "choose"}
        assert "no candidate 'x'" in await refused(connected, "decide", candidate="x", **given)
        for answer in ("accept", "edit", "stop", "skip", "retry"):
            assert "'choose' or 'redraft'" in await refused(connected, "decide", question=question, answer=answer)
        edit_rules(asked, training_config={"learning_rate": 0.02})
        told = await refused(connected, "decide", candidate="learning_rate_up", **given)
        assert "locked by the rules: learning_rate" in told
        assert decisions.answer_to(asked, question) is None
        asked.rules.write_text(rules)
        answered = await said(connected, "decide", candidate="learning_rate_up", **given)
        assert answered["source"] == f".progtrain/inbox/{question}.json"
        assert "an agent has answered" in await refused(connected, "decide", question=question, answer="redraft")
    event = LineReader(asked.journal).read()[-1]
    assert event["client"]
    assert {key: event[key] for key in ("event", "tool", "question", "candidate")} == {
        "event": "mcp_call",
        "tool": "decide",
        "question": question,
        "candidate": "learning_rate_up",
    }
    # it has started nothing, and a person is told so
    shown = progtrain(asked, "review", "accept")
    assert (shown.returncode, "progtrain run goes on with it" in shown.stderr) == (2, True)
    assert runner.run(asked, Options()) == 3
    assert runner.run(asked, Options(autopilot=True, until="extract")) == 0
    assert "learning_rate" in asked.version("v001").action.read_text()


async def test_it_accepts_only_what_it_has_read_and_never_what_is_for_people(
    asked: Workspace, edit_rules: Callable[..., None]
) -> None:
    rules, path = asked.rules.read_text(), asked.drafts("v001").review
    async with client(asked, "--decide", "--accept") as connected:
        assert [tool.name for tool in (await connected.list_tools()).tools] == [*READ, "decide", "accept"]
        review, drafted = await said(connected, "review"), path.read_text()
        given = {"question": review["question"], "shown": review["shown"]}
        for kind in ("audit", "repair", "attempts"):
            answers = ["accept", "choose", "redraft", "skip", "retry"]
            write_json(path, {**json.loads(drafted), "kind": kind, "answers": answers})
            for tool, answer in (
                ("decide", {"answer": "choose", "candidate": review["chosen"]}),
                ("decide", {"answer": "redraft"}),
                ("accept", {"shown": review["shown"]}),
            ):
                told = await refused(connected, tool, question=review["question"], **answer)
                assert f"({kind}) is for a person" in told
        path.write_text(drafted)
        assert "not what would be written" in await refused(connected, "accept", **{**given, "shown": "x"})
        edit_rules(asked, training_config={"epochs": 6})
        assert "locked by the rules: epochs" in await refused(connected, "accept", **given)
        asked.rules.write_text(rules)
        assert decisions.answer_to(asked, review["question"]) is None
        await said(connected, "accept", **given)
    assert runner.run(asked, Options(until="author")) == 0
    assert "Accepted by an agent." in asked.version("v001").action.read_text()


async def of_many_one(ws: Workspace, count: int) -> None:
    """Each client has a server of its own."""

    async def one(number: int) -> bool:
        async with client(ws, "--decide") as connected:
            question = (await said(connected, "status"))["question"] or "answered already"
            ready.append(number)
            while len(ready) < count:
                await asyncio.sleep(0.01)
            return not (await connected.call_tool("decide", {"question": question, "answer": "redraft"})).is_error

    ready: list[int] = []
    assert sum(await asyncio.gather(*map(one, range(count)))) == 1
    events = [event for event in LineReader(ws.journal).read() if event["event"] == "mcp_call"]
    assert len(events) == 1
    assert len(list(ws.inbox.glob("v001-review*"))) == 1


async def test_of_two_who_answer_one_wins(asked: Workspace) -> None:
    await of_many_one(asked, 2)


@pytest.mark.slow
async def test_of_twenty_who_answer_one_wins(asked: Workspace) -> None:
    await of_many_one(asked, 20)


def odd(rng: random.Random) -> Any:
    """What a client might send."""
    return rng.choice(
        [
            "../..", "../../etc/passwd", "v001", "v999", "V001", "v001\0", "", "v001/../v001", "/etc", "stop",
            "💥" * 50, "x" * rng.choice([10, 10_000]), 0, -1, 10**30, 1.5, 1e300, True, None, [], ["v001"], {},
            {"version": "v001"}, "\x1b[31m", "$(touch x)", "learning_rate_up", "choose", "redraft", "accept", "edit",
        ]
    )  # fmt: skip


async def fuzzed(ws: Workspace, calls: int, largest: int) -> None:
    """What it answers is an answer with its source, or a reason; nothing but answers is written."""
    rng = random.Random(7)
    before = files(ws)
    names = [
        "version",
        "new",
        "old",
        "limit",
        "last",
        "wrong_only",
        "question",
        "answer",
        "candidate",
        "hint",
        "shown",
        "ws",
    ]
    async with client(ws, "--decide", "--accept") as connected:
        tools = {one.name: list(one.input_schema["properties"]) for one in (await connected.list_tools()).tools}
        for number in range(calls):
            tool = rng.choice([*tools, "train", "edit", "final_test", "../facts"])
            # what a tool does not know is refused before it looks at the rest
            told = tools.get(tool, names) if rng.random() < 0.8 else names
            given = {name: odd(rng) for name in rng.sample(told, rng.randrange(len(told) + 1))}
            if number % 100 == 0:
                given["version"] = "x" * largest
            answer = await connected.call_tool(tool, given)
            text = "".join(part.text for part in answer.content)
            assert "Traceback" not in text and 'File "' not in text and "in progtrain itself" not in text, (tool, given)
            if answer.is_error:
                assert len(text) < 5_000, (tool, len(text))
            else:
                assert answer.structured_content is not None and answer.structured_content["source"]
    assert files(ws) == before
    assert {path.name for path in ws.root.parent.iterdir()} == {ws.root.name}


async def test_odd_calls_get_a_reason(asked: Workspace) -> None:
    await fuzzed(asked, 60, 100_000)


@pytest.mark.slow
async def test_500_odd_calls_get_a_reason(asked: Workspace) -> None:
    await fuzzed(asked, 500, 10_000_000)


def test_both_ends(asked: Workspace, ws: Workspace) -> None:
    """One workspace is evidence for another."""
    given = ["--tool", "status", "--tool", 'facts={"version": "v001"}', "--max-age", "2h"]
    command = ["--", sys.executable, "-m", "progtrain", "mcp", str(asked.root)]
    assert main(["-C", str(ws.root), "evidence", "add", "other", *given, *command]) == 0
    assert main(["-C", str(ws.root), "evidence", "fetch"]) == 0
    kept = json.loads(sources.folder_of(ws, "other").snapshot.read_text())
    assert kept["server"]["name"] == "progtrain"
    assert [tool["name"] for tool in kept["tools"]] == sorted(READ)
    facts, states = sources.for_insight(ws, now())
    assert states[0]["state"] == "fresh"
    assert len(facts) == 20
    assert len(json.dumps(kept)) < fetching.MOST_BYTES
