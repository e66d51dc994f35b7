"""What every step is given: the workspace, the rules, a way to run a script and a way to ask the user."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from progtrain.advisor import process
from progtrain.advisor.interface import Briefing, Draft, Settings
from progtrain.engine import hooks
from progtrain.engine.clock import Clock
from progtrain.engine.control import decisions, moved, place
from progtrain.engine.control.journal import Journal
from progtrain.engine.errors import DecisionNeeded
from progtrain.engine.files import object_in, storage_errors, write_text
from progtrain.engine.jobs import alive, leftovers
from progtrain.engine.jobs.base import LOST, Executor
from progtrain.engine.jobs.local import Local
from progtrain.engine.rules.rules import Rules
from progtrain.engine.schema import Decision, JobRequest, JobState, Review
from progtrain.engine.script.leading import leading_imports
from progtrain.engine.script.repair.failure import killed
from progtrain.engine.workspace import JobFolder, Workspace

#: Seconds that a script gets to end by itself when a stop is asked for.
_STOP_GRACE_SECONDS = 20.0
#: How often a script other than a training is started at most that was killed, or whose guard was.
_MOST_KILLED = 3
#: Between two looks at the files of a job on a cluster, which lie on a network folder.
_CLUSTER_SECONDS = 1.0


class Stopped(Exception):
    """The user asked for a stop: not an error."""


@contextmanager
def stopping() -> Iterator[None]:
    """An advisor that was cancelled was stopped by the user."""
    try:
        yield
    except process.Cancelled as error:
        raise Stopped from error


@dataclass
class Context:
    ws: Workspace
    rules: Rules
    dataset_id: str
    #: interpreter of the user's scripts
    python: str
    journal: Journal
    clock: Clock
    #: True: proposals are accepted as they are, and where nothing can be proposed the loop fails
    autopilot: bool = False
    #: only looks: nothing is written
    dry_run: bool = False
    #: whether each script starts in a new interpreter, where it could be forked from one that has imported packages
    cold: bool = False
    #: whether scripts are run up to their training before changes to them are proposed
    probes: bool = True
    #: of the user's scripts, added to that of this process
    environment: dict[str, str] = field(default_factory=dict)
    #: where scripts run
    executor: Executor = field(default_factory=Local)

    def check_stop(self) -> None:
        if self.stop_requested():
            raise Stopped

    def ask(self, review: Review, automatic: str | None) -> Decision:
        """The user's answer to a question.

        In autopilot the answer is `automatic`; None there means that only a person can answer. Raises
        `DecisionNeeded` when nobody has answered yet: the loop ends, and finds the answer here the next time.
        """
        answered = decisions.answer_to(self.ws, review.question)
        if answered is None and self.autopilot and automatic:
            answered = Decision.model_validate(
                {"question": review.question, "answer": automatic, "by": "autopilot", "at": self.clock()}
            )
            decisions.decide(self.ws, answered)
        if answered is None:
            write_text(self.ws.drafts(review.version).review, review.model_dump_json(indent=2) + "\n")
            self.journal.write("question", question=review.question, kind=review.kind, version=review.version)
            raise DecisionNeeded(
                f"{review.title}: your decision is needed",
                fix="progtrain review shows it; progtrain review accept goes on",
            )
        self.ws.drafts(review.version).review.unlink(missing_ok=True)
        said = answered.model_dump(include={"question", "answer", "candidate", "by"})
        self.journal.write("decision", version=review.version, **said)
        if answered.answer in {"stop", "skip"}:
            # not for ever: when the loop comes here again, the question is asked again
            decisions.withdraw(self.ws, review.question)
        if answered.answer == "stop":
            raise Stopped
        return answered

    def run_script(
        self,
        name: str,
        arguments: list[str],
        *,
        live_version: str | None = None,
        begins_as: Path | None = None,
        going_on: Path | None = None,
        writes: Path | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> JobState:
        """Runs a Python script of the workspace under a guard, to its end.

        `begins_as`: the script whose first imports it runs too. `going_on`: a checkpoint that it is to go on from.
        `writes`: the folder that it writes to, in a sandbox to no other; None: it runs in none. `variables`: of its
        environment, besides.
        Attaches to the job of that name when it is still alive, and takes its result when it has ended since, but never
        that of a folder which this one was copied from. Where it or its guard is killed it is started again, but for a
        training, of which that is a failed attempt. Raises `Stopped` when the user asked for it, once nothing runs any
        more.
        """
        folder = self.ws.job(name)
        for number in count(1):
            state = self.executor.look(folder)
            its = alive.is_its(alive.told_in(folder.path), folder.path)
            # cancelled while no runner looked: the machine was shut down, or ended all that its user had
            lost = state is not None and state.ended_by in (LOST, "cancelled") and not self.rules.on_cluster
            if state is None or lost or not its:
                if lost and its:
                    set_aside(folder, "lost")
                self._submit(folder, arguments, live_version, begins_as, going_on, writes, variables or {})
            else:
                self.journal.write("note", text=f"attached to {name}, which was started before")
            ended = self._wait(folder, live_version)
            if ended.started:
                self._tell_start(ended.started)
            if self.stop_requested():
                # cut short: what it left counts neither as done nor as failed, and is there to be read alone
                set_aside(folder, "stopped")
                raise Stopped
            how = self._killed(ended)
            if not how or live_version or number == _MOST_KILLED:
                break
            self.journal.write("note", text=f"{name} {how}; it is started again")
            if ended.ended_by != LOST:
                set_aside(folder, "killed")
        return ended

    def _killed(self, ended: JobState) -> str:
        """How a script came to its end that another start may well spare; empty where it would not."""
        if ended.ended_by == LOST and not self.rules.on_cluster:
            return "ended without a word: its guard was killed"
        how = killed(ended.exit_code, ended.ended_by)
        return f"was {how}" if how else ""

    def _submit(
        self,
        folder: JobFolder,
        arguments: list[str],
        live_version: str | None,
        begins_as: Path | None,
        going_on: Path | None,
        writes: Path | None,
        variables: Mapping[str, str],
    ) -> None:
        environment = {**hooks.of_script(), **self.environment, **variables}
        if live_version:
            environment |= self._live_environment(live_version, going_on)
        imports, folders = self._imports_of(begins_as) if begins_as else ([], [])
        request = JobRequest(
            name=folder.path.name,
            command=[self.python, *arguments],
            cwd=str(self.ws.root.absolute()),
            environment=environment,
            timeout_seconds=self.rules.timeout_seconds,
            imports=imports,
            module_folders=folders,
            writable=self._writable(writes, live_version) if writes and self.rules.sandboxed else None,
            resources=place.resources_of(self.rules),
        )
        if self.rules.on_cluster:
            self._make_way(folder)
        self.executor.submit(folder, request)

    def _writable(self, writes: Path, live_version: str | None) -> list[str]:
        """Its folder, and where it tells how it goes: there, since a sandbox opens only what is there."""
        folders = [writes]
        if live_version:
            live = self.ws.live(live_version)
            folders += [live, self.ws.record(live_version).parent]
            with storage_errors(live):
                live.touch()
        with storage_errors(writes):
            writes.mkdir(parents=True, exist_ok=True)
        return [str(path.absolute()) for path in folders]

    def _make_way(self, folder: JobFolder) -> None:
        """On a cluster an attempt that counts as lost may be at work: it ends when it sees who takes its place."""
        kind = folder.path.name.rpartition("-")[0]
        with storage_errors(folder.path):
            for path in self.ws.jobs.glob(f"{kind}-*") if kind else ():
                earlier = JobFolder(path)
                if path != folder.path and object_in(earlier.state).get("status") != "ended":
                    write_text(earlier.fence, folder.path.name)
            shutil.rmtree(folder.path, ignore_errors=True)
            folder.path.mkdir(parents=True)

    def _wait(self, folder: JobFolder, live_version: str | None) -> JobState:
        stopper = self._stopper(folder, live_version)
        if not self.rules.on_cluster:
            return self.executor.wait(folder, stopper)

        def look() -> None:
            place.tell(folder, self.executor.look_all([folder])[folder], self.clock())
            stopper()

        ended = self.executor.wait(folder, look, _CLUSTER_SECONDS)
        place.tell(folder, self.executor.look_all([folder])[folder], self.clock())
        return ended

    def _imports_of(self, script: Path) -> tuple[list[str], list[str]]:
        """What may be imported before it is started, and its folders of modules: nothing where it is to start cold, as
        it always is on a cluster."""
        if self.cold or self.rules.on_cluster:
            return [], []
        statements, folders, why_not = leading_imports(script)
        if why_not:
            self._tell_start(why_not)
        return statements, folders

    def _tell_start(self, how: str) -> None:
        """Once in the life of a loop for each way."""
        warm = "scripts start with their packages imported already (--cold: each in a new interpreter)"
        self.journal.note_once([warm if how == "warm" else f"scripts start in a new interpreter each time: {how}"])

    def _live_environment(self, version: str, going_on: Path | None) -> dict[str, str]:
        """What has a training tell how it goes, keep a record, and listen for a stop."""
        if going_on is None:
            hooks.forget(self.ws, version)
        self.ws.live_stop(version).unlink(missing_ok=True)
        environment = hooks.of_training(self.ws, version)
        if self.rules.on_cluster:
            environment |= hooks.to_go_on(self.ws, version)
        return environment | (hooks.going_on(going_on) if going_on else {})

    def draft(self, briefing: Briefing, settings: Settings, *, events: Path, log: Path) -> Draft:
        """Who drafts: the advisor in a process of its own. Raises `Stopped` when the user asked for it."""
        with stopping():
            return process.draft(briefing, settings, events=events, log=log, should_cancel=self.stop_requested)

    def stop_requested(self) -> bool:
        return decisions.stop_requested(self.ws)

    def _stopper(self, folder: JobFolder, live_version: str | None) -> Callable[[], None]:
        """A check for each poll: on a stop request the script is asked to end, then ended."""
        asked_at: float | None = None
        stays = moved.staying(self.ws.own, moved.away(self.ws.root))

        def check() -> None:
            nonlocal asked_at
            stays()
            if not self.stop_requested():
                return
            now = time.monotonic()
            if asked_at is None:
                asked_at = now
                state = self.executor.look(folder) if live_version else None
                if live_version and (state is None or state.status == "running"):
                    self.ws.live_stop(live_version).touch()
                else:
                    # it cannot listen: no training, or it waits in a queue
                    self.executor.cancel(folder)
            elif now - asked_at > _STOP_GRACE_SECONDS:
                self.executor.cancel(folder)

        return check


def forget(folder: JobFolder) -> None:
    """A job whose result nobody takes any more: what is left of it at work is ended."""
    leftovers.end(folder.path)
    shutil.rmtree(folder.path, ignore_errors=True)


def set_aside(folder: JobFolder, why: str) -> None:
    """What is left of a job that was stopped, or lost, beside the one that takes its place: `v001-train-1.lost-1`."""
    leftovers.end(folder.path)
    names = (folder.path.with_name(f"{folder.path.name}.{why}-{number}") for number in count(1))
    with storage_errors(folder.path), suppress(FileNotFoundError):
        folder.path.rename(next(path for path in names if not path.exists()))
