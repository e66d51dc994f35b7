"""Arms that walk the real loop: a person's workspace, autopilot, another adviser each time.

Scripts run in the warm Python instead of under a guard, and the loop ends with the evaluation of its last version;
everything else is what `progtrain run --yes` does.
"""

from __future__ import annotations

import json
import math
import random
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.advice_tasks import Cell
from benchmarks.advice_trials import Trial
from benchmarks.lab.bench import TIMEOUT, clock, evaluate, read_score
from benchmarks.lab.warm import WarmPython
from progtrain.advisor.check.grounding import Grounding
from progtrain.advisor.interface import Briefing, Draft, Prose, Settings
from progtrain.advisor.prose import rules_draft
from progtrain.engine import values
from progtrain.engine.analysis.advise import evidence
from progtrain.engine.control import marks
from progtrain.engine.control.context import Context, Stopped
from progtrain.engine.control.journal import Journal
from progtrain.engine.control.launch import Options
from progtrain.engine.drafting import history
from progtrain.engine.errors import InputError, StepFailed
from progtrain.engine.files import LineReader, read_text, write_json
from progtrain.engine.jobs import alive
from progtrain.engine.jobs.local import Local
from progtrain.engine.loop import runner, sequence
from progtrain.engine.rules import rules
from progtrain.engine.schema import JobRequest, load
from progtrain.engine.script.settings import find_setting
from progtrain.engine.workspace import JobFolder, Workspace, version_id

Adviser = Callable[[Briefing], Draft]


class Warm(Local):
    """Runs scripts in forks of a Python that has imported the heavy packages already."""

    def __init__(self, warm: WarmPython) -> None:
        self.warm = warm

    def submit(self, folder: JobFolder, request: JobRequest) -> None:
        """Runs the script to its end, and leaves the state that a guard would have left."""
        begun = datetime.now(UTC)
        write_json(folder.job, request.model_dump())
        ended = self.warm.run(
            request.command[1:],
            cwd=Path(request.cwd),
            log=folder.log,
            timeout=TIMEOUT,
            environment=dict(request.environment),
        )
        state = {
            "status": "ended",
            "host": socket.gethostname(),
            **alive.myself(),
            "started_at": begun.isoformat(),
            "ended_at": datetime.now(UTC).isoformat(),
            "exit_code": ended.exit_code,
            "ended_by": "time limit" if ended.timed_out else None,
        }
        write_json(folder.state, state)


@dataclass
class LoopContext(Context):
    """The engine's context with another adviser, until all versions are measured."""

    #: drafts in the advisor's place; None: the advisor itself, in a process of its own
    adviser: Adviser | None = None
    #: changes what the advisor is told
    retold: Callable[[Briefing], Briefing] = lambda briefing: briefing

    def check_stop(self) -> None:
        super().check_stop()
        if marks.read(self.ws, version_id(self.rules.max_versions), "evaluate") is not None:
            raise Stopped("all versions are measured")

    def draft(self, briefing: Briefing, settings: Settings, *, events: Path, log: Path) -> Draft:
        if self.adviser is not None:
            return self.adviser(briefing)
        return super().draft(self.retold(briefing), settings, events=events, log=log)


def run(cell: Cell, arm: str, out: Path, warm: WarmPython, root: Path, versions: int) -> list[Trial]:
    """Walks the loop, measures its versions on the held-out split, and keeps what else is to be told of it."""
    cell.write(root, versions)
    ws = Workspace(root)
    prepared = runner.prepare(ws, Options(autopilot=True), clock=clock)
    context = LoopContext(**{f.name: getattr(prepared, f.name) for f in fields(Context)})
    context.executor = Warm(warm)
    context.journal = Journal(ws.journal, clock, None)
    if arm == "rules":
        context.adviser = rules_draft.draft
    elif arm == "random_legal":
        context.adviser = _random(random.Random(cell.name))
    elif arm != "model":
        context.retold = _retold(cell, out, arm)
    begun = time.monotonic()
    ended = _walk(context)
    seconds = time.monotonic() - begun
    trials = _measured(context, versions)
    about = {
        "cell": cell.name,
        "arm": arm,
        "seconds": round(seconds, 2),
        "ended": ended,
        "attempts_failed": sum(e["event"] == "attempt_failed" for e in LineReader(ws.journal).read()),
        "violations": _violations(context),
        **_told(context),
    }
    _keep(out / "loops" / f"{cell.name}.{arm}.json", about)
    if arm == "rules":
        _keep(out / "briefings" / f"{cell.name}.json", [b.model_dump(mode="json") for b in _briefings(ws)])
    return trials


def _walk(context: Context) -> str:
    """Why the loop ended before its last version; "" where it did not."""
    try:
        sequence.run(context, None, lambda: context.rules)
    except Stopped:
        return ""
    except StepFailed as error:
        return error.reason
    return "nothing was left to try"


def _keep(path: Path, data: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data, indent=1) + "\n")


# advisers


def _random(rng: random.Random) -> Adviser:
    """Any action that the engine offers, with the rules' prose for it."""

    def adviser(briefing: Briefing) -> Draft:
        made = rules_draft.draft(briefing)
        chosen = rng.choice(briefing.options).id
        prose = rules_draft.prose(rules_draft.sections(briefing, chosen))
        return made.model_copy(update={"chosen": chosen, "prose": prose})

    return adviser


def _retold(cell: Cell, out: Path, arm: str) -> Callable[[Briefing], Briefing]:
    """What the model is told in the arms that are there to find out what it goes by."""
    if arm == "alone":
        return _without_scores
    shuffled = _shuffler(cell, out, order=arm == "shuffled_all")
    return (lambda briefing: _without_scores(shuffled(briefing))) if arm == "alone_shuffled" else shuffled


def _without_scores(briefing: Briefing) -> Briefing:
    """The rules put all options alike, so that the model chooses alone."""
    return briefing.model_copy(update={"options": tuple(o.model_copy(update={"score": 1.0}) for o in briefing.options)})


def _shuffler(cell: Cell, out: Path, *, order: bool) -> Callable[[Briefing], Briefing]:
    """Facts, findings and what was tried from a briefing of another cell; options, hints and rules are its own. With
    `order`, the rules put the options in order by the other's findings as well."""
    rng = random.Random(cell.name)
    others = [path for path in sorted((out / "briefings").glob("*.json")) if path.stem.split("-")[1] != cell.fault]
    pool = [Briefing.model_validate(data) for path in others for data in json.loads(path.read_text())]
    if not pool:
        raise SystemExit("the arm with shuffled facts takes them from the arm of the rules: run that one first")

    def retold(briefing: Briefing) -> Briefing:
        other = rng.choice(pool)
        facts = [fact for fact in other.facts if fact.key != "version"]
        own = [fact for fact in briefing.facts if fact.key == "version"]
        told = {"facts": (*own, *facts), "findings": other.findings, "tried": other.tried}
        if order:
            scores = {o.id: evidence.score(o.id, other.findings, o.risk) for o in briefing.options}
            ordered = sorted(briefing.options, key=lambda option: -scores[option.id])
            told["options"] = tuple(
                o.model_copy(update={"rank": place, "score": scores[o.id]}) for place, o in enumerate(ordered, start=1)
            )
        return briefing.model_copy(update=told)

    return retold


# what came of it


def _measured(context: LoopContext, versions: int) -> list[Trial]:
    """A trial for each version that the rules allow; those that the loop did not reach count as failed."""
    ws = context.ws
    made = history.authored(ws)
    trials: list[Trial] = []
    best = math.inf
    for version in ws.versions():
        try:
            valid = read_score(ws.version(version).path, context.rules).error
        except InputError:
            valid = math.inf
        held = _held_out(context, version) if valid < best else None
        trials.append(Trial(len(trials) + 1, valid, held, made.get(version, {}).get("action") or ""))
        best = min(best, valid)
    # a loop that ended early has nothing more to show for its budget
    return [*trials, *(Trial(n, math.inf, None, "not reached") for n in range(len(trials) + 1, versions + 1))]


def _held_out(context: LoopContext, version: str) -> float | None:
    assert isinstance(context.executor, Warm)
    score = evaluate(context.ws, context.rules, context.executor.warm, version, "test")
    return score.error if score and math.isfinite(score.error) else None


def _violations(context: Context) -> list[str]:
    """Locked settings that a version's script has with another value."""
    found = []
    present = rules.load(context.ws)
    for version in context.ws.versions():
        source = read_text(context.ws.script(version))
        for key, wanted in present.locked.items():
            setting = find_setting(source, key)
            if setting is None or not values.same(setting.value, wanted):
                found.append(f"{version}: {key}")
    return found


def _briefings(ws: Workspace) -> list[Briefing]:
    paths = [ws.drafts(version).briefing for version in ws.versions()]
    return [load(path, Briefing) for path in paths if path.is_file()]


def _told(context: Context) -> dict[str, Any]:
    """Who drafted, numbers in what was written, and those of them that no fact shows."""
    authors: list[str] = []
    seconds: list[float] = []
    foreign: list[str] = []
    numbers = 0
    for briefing in _briefings(context.ws):
        path = context.ws.drafts(briefing.version).draft
        if not path.is_file():
            continue
        data = json.loads(read_text(path))["draft"]
        authors.append("rules" if data["model_sha256"] is None else "model")
        seconds.append(float(data["seconds"].get("total", 0.0)))
        grounding = Grounding(briefing)
        for line in _lines(Prose.model_validate(data["prose"])):
            numbers += sum(character.isdigit() for word in line.split() for character in word[:1])
            foreign += [f"{briefing.version}: {number}" for number in grounding.foreign_numbers(line)]
    return {
        "drafts": len(authors),
        "by_model": authors.count("model"),
        "draft_seconds": round(sum(seconds), 2),
        "numbers": numbers,
        "foreign_numbers": foreign,
    }


def _lines(prose: Prose) -> Sequence[str]:
    return [
        line for value in prose.model_dump().values() for line in ([value] if isinstance(value, str) else list(value))
    ]
