"""What was written of versions and loops: drafts as far as the advisor has come, facts, reports and records."""

from __future__ import annotations

import re
from functools import reduce
from pathlib import Path
from typing import NamedTuple

from progtrain.engine.files import LineReader, object_in, opened
from progtrain.engine.metrics import finite
from progtrain.engine.workspace import Workspace, version_number

_MOST = 400_000


class Documents(NamedTuple):
    """Of the version under review: as drafted, as accepted, or as far as the advisor has come."""

    version: str
    analysis: str = ""
    action: str = ""
    #: what the advisor has written up to now, while it drafts
    stream: str = ""
    #: read from the drafts: nobody has accepted them yet
    drafted: bool = True


class DraftReader:
    """Reads only what has changed since the last call."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._version = ""
        self._events: LineReader | None = None
        self._signature: tuple[object, ...] = ()
        self._documents = Documents("")

    def read(self, version: str | None) -> Documents | None:
        """None when nothing is new."""
        if version is None:
            return None
        if version != self._version:
            self._version, self._signature = version, ()
            self._documents = Documents(version)
            self._events = LineReader(self._workspace.drafts(version).events)
        events = self._events.look() if self._events else []
        self._documents = reduce(_with_event, events, self._documents)
        changed = self._read_files(version)
        return self._documents if events or changed else None

    def _read_files(self, version: str) -> bool:
        drafts, accepted = self._workspace.drafts(version), self._workspace.version(version)
        pairs = ((drafts.analysis, accepted.analysis), (drafts.action, accepted.action))
        waiting = drafts.review.exists()
        paths = [first if (waiting or not second.exists()) else second for first, second in pairs]
        signature = (waiting, *(_stamp(path) for path in paths))
        if signature == self._signature:
            return False
        self._signature = signature
        self._documents = self._documents._replace(
            analysis=_beginning(paths[0]), action=_beginning(paths[1]), drafted=paths[1] == drafts.action
        )
        return True


def _with_event(documents: Documents, event: dict[str, object]) -> Documents:
    kind, text = event.get("event"), str(event.get("text") or event.get("name") or "")
    if kind == "start":
        return documents._replace(stream="")
    if kind == "section":
        text = f"\n\n## {text.replace('_', ' ').strip().capitalize()}\n\n"
    elif kind != "text":
        return documents
    return documents._replace(stream=(documents.stream + text)[-_MOST:])


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size


def read_facts(workspace: Workspace, version: str) -> tuple[dict[str, str], ...]:
    """Each with `key`, `display`, `meaning` and `source`. Empty where there are none, or while they are written."""
    found = object_in(workspace.insight(version)).get("facts")
    return tuple(
        {name: str(fact.get(name) or "") for name in ("key", "display", "meaning", "source")}
        for fact in (found if isinstance(found, list) else [])
        if isinstance(fact, dict)
    )


def read_evidence(workspace: Workspace, version: str) -> str:
    """How the snapshots of other servers stood for the analysis, in a line; empty where there were none."""
    found = object_in(workspace.insight(version)).get("evidence")
    told = []
    for one in (one for one in (found if isinstance(found, list) else []) if isinstance(one, dict)):
        age = finite(one.get("age_hours"))
        told.append(f"{one.get('name')} {one.get('state')}" + (f" ({age:.1f} h old)" if age is not None else ""))
    return f"other servers: {', '.join(told)}" if told else ""


#: as it is called in the list of reports
LOG = "workflow log"
_PLAYBOOK = "playbook "
#: folders of `progtrain compare` are called so, and then by their time
_COMPARISON = "compare-"
_CAMPAIGN = "campaign-"
_TIME = re.compile(r"\d{4}-\d\d-\d\d_\d\d-\d\d(-\d+)?$")


def report_names(workspace: Workspace) -> tuple[str, ...]:
    """Reports, comparisons and campaigns, then the workflow log, then playbooks; the newest first."""
    try:
        names = [p.name for p in workspace.reports.iterdir() if p.is_dir()]
        reports = sorted(names, key=_time_of, reverse=True)
    except OSError:
        reports = []
    log = [LOG] if workspace.workflow_log.is_file() else []
    versions = reversed(workspace.versions())
    return (*reports, *log, *(playbook(v) for v in versions if workspace.version(v).playbook.is_file()))


def _time_of(name: str) -> str:
    """Of a folder of reports: what its name ends with."""
    found = _TIME.search(name)
    return found[0] if found else name.removeprefix(_COMPARISON)


def playbook(version: str) -> str:
    """As the playbook of a version is called in the list of reports."""
    return f"{_PLAYBOOK}{version}"


def version_in(name: str | None) -> str | None:
    """The version that a playbook of that name is of; None for all else in the list."""
    version = (name or "").removeprefix(_PLAYBOOK)
    return version if name and name.startswith(_PLAYBOOK) and version_number(version) else None


def read_report(workspace: Workspace, name: str) -> tuple[str, str, str]:
    """Its text, the same for programs, and what that is: leaderboard, comparison, variants, log, or what failed."""
    if (version := version_in(name)) is not None:
        folder = workspace.version(version)
        return _beginning(folder.playbook), _beginning(folder.failure_cases), "the JSON of the playbook"
    if name == LOG:
        return _beginning(workspace.workflow_log), _beginning(workspace.workflow_table), "the log"
    report = workspace.reports / name
    if name.startswith(_COMPARISON):
        return _beginning(report / "comparison.md"), _beginning(report / "comparison.csv"), "the comparison"
    if name.startswith(_CAMPAIGN):
        return _beginning(report / "campaign.md"), _beginning(report / "variants.csv"), "the table of variants"
    return _beginning(report / "final-analysis.md"), _beginning(report / "leaderboard.csv"), "the leaderboard"


def _beginning(path: Path) -> str:
    """Empty where nothing can be read. Bytes that are not UTF-8 show as `�`."""
    try:
        with opened(path) as file:
            return file.read(_MOST).decode("utf-8", "replace")
    except OSError:
        return ""
