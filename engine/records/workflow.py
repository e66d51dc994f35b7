"""The log of the loop's cycles: what each version was made from, by which action, who decided, and what came of it.

All from files: script, score, samples, the journal. Made again it is the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from progtrain.engine import metrics, values
from progtrain.engine.analysis.types import MetricRow
from progtrain.engine.errors import InputError
from progtrain.engine.files import LineReader, object_in, read_text, sha256
from progtrain.engine.records.against import Against, against, score_of
from progtrain.engine.rules.rules import Rules
from progtrain.engine.script.header import read_header
from progtrain.engine.templates.progtrain_eval.common import evaluator_sha256
from progtrain.engine.text import clean_line
from progtrain.engine.workspace import Workspace, version_id, version_number


class Cycle(NamedTuple):
    """One version. Lists are in the order of their making."""

    cycle: str
    #: version that it was made from; None for the first
    base: str | None
    goal: str
    #: path@sha256, as they were when it was trained and evaluated
    inputs: tuple[str, ...]
    action: str
    decided_by: str
    #: path@sha256
    output: tuple[str, ...]
    #: path#key; each path is there
    evidence: tuple[str, ...]
    #: of the primary metric against its base, as it is: a fall is negative, whatever is better
    metric_delta: float | None
    #: "better", "worse", "within noise"; None: there is none
    verdict: str | None
    #: why there is no verdict, or what it does not count
    note: str
    #: metrics, classes and ranges of the target that got worse against its base
    regressions: tuple[str, ...]
    #: each, run in a copy of the workspace, makes the files of `output` below `_eval/` again
    commands: tuple[str, ...]
    at: str


def cycles(ws: Workspace, rules: Rules) -> list[Cycle]:
    """A row for each version that has a script, in order."""
    events = LineReader(ws.journal).read()
    return [_cycle(ws, rules, version, events) for version in ws.versions()]


def _cycle(ws: Workspace, rules: Rules, version: str, events: list[dict[str, Any]]) -> Cycle:
    made: dict[str, Any] = next((e for e in reversed(events) if _is_authored(e, version)), {})
    header = _header(ws, version)
    base = made.get("base") or header.get("base")
    base = str(base) if version_number(str(base)) is not None else None
    found = against(ws, rules, version, base)
    row = next((one for one in found.rows if metrics.same(one.name, rules.primary_metric)), None)
    verdict, note = _verdict(found, row, base)
    return Cycle(
        version,
        base,
        clean_line(str(made.get("reason") or header.get("why") or ("" if base else "the starting point"))),
        tuple(_inputs(ws, version, base)),
        clean_line(str(made.get("action") or header.get("action") or ("" if base else "baseline"))),
        _decided_by(version, events),
        tuple(_output(ws, version)),
        tuple(_evidence(ws, version, base, row)),
        row.delta_previous if row else None,
        verdict,
        note,
        (*_worse(found.rows), *found.worse),
        tuple(_commands(ws, version)),
        _at(ws, version, made),
    )


def _is_authored(event: Mapping[str, Any], version: str) -> bool:
    return event.get("event") == "version_authored" and event.get("version") == version


def _header(ws: Workspace, version: str) -> dict[str, str]:
    try:
        return read_header(read_text(ws.script(version)))
    except InputError:
        return {}


def _verdict(found: Against, row: MetricRow | None, base: str | None) -> tuple[str | None, str]:
    """Of the primary metric, and what there is to say about it."""
    if base is None or row is None:
        return None, ""
    compared = found.compared(row.name)
    if compared is None or row.verdict_previous is None:
        return row.verdict_previous, found.why_not or row.note or "no samples in common"
    return row.verdict_previous, "; ".join(note for note in (row.note, compared.seed_noise) if note)


def _worse(rows: Iterable[MetricRow]) -> Iterable[str]:
    for row in rows:
        if row.verdict_previous == "worse":
            delta = "" if row.delta_previous is None else f" {values.change(row.delta_previous)}"
            yield f"{clean_line(row.name)}{delta}"


def _decided_by(version: str, events: Iterable[dict[str, Any]]) -> str:
    """Who answered the reviews that led to it, and how: "user", "mcp CLIENT (choose dropout_up), user". Of the first
    version, the question about the baseline.
    """
    before = version_id((version_number(version) or 0) - 1)
    about = f"{before}-review-" if version_number(before) else "baseline-audit-"
    clients, chose, how, accepted = dict[str, str](), "", "", ""
    for event in events:
        question, answer = str(event.get("question")), event.get("answer")
        if _is_authored(event, version):
            break
        if event.get("event") == "mcp_call":
            clients[question] = str(event.get("client") or "")
        if event.get("event") != "decision" or not question.startswith(about):
            continue
        by, client = event.get("by") or "", clients.get(question, "")
        who = clean_line(f"{by} {client}" if by == "mcp" and client else str(by))
        if answer == "accept":
            accepted = who
        elif answer in ("choose", "edit"):
            chose, how = who, clean_line(f"{answer} {event.get('candidate') or ''}").strip()
        elif answer == "redraft":  # what was chosen before is gone
            chose = how = ""
    if not how:
        return accepted
    return f"{chose} ({how})" + (f", {accepted}" if accepted not in ("", chose) else "")


# ---- what it rests on


def _inputs(ws: Workspace, version: str, base: str | None) -> Iterable[str]:
    """As `spec.json` and the evaluation's protocol recorded them."""
    spec, protocol = object_in(ws.version(version).spec), object_in(ws.version(version).protocol)
    if base is not None:
        yield from _hashed(ws.script(base).name, object_in(ws.version(base).spec).get("script_sha256"))
    yield from _hashed(ws.script(version).name, spec.get("script_sha256"))
    for name, digest in (spec.get("files") or {}).items() if isinstance(spec.get("files"), dict) else ():
        yield from _hashed(clean_line(str(name)), digest)
    data = ws.relative(ws.data(str(spec.get("dataset_id") or "")))
    if spec.get("train_sha256"):
        yield from _hashed(f"{data}/train", spec["train_sha256"])
    else:
        yield from _hashed(data, spec.get("data_sha256"))
    yield from _additions(ws, spec)
    yield from _hashed(f"{data}/{protocol.get('split') or 'valid'}", protocol.get("data_sha256"))
    yield from _hashed(ws.eval_script.name, protocol.get("evaluator_sha256"))


def _additions(ws: Workspace, spec: Mapping[str, Any]) -> Iterable[str]:
    """Rows that it trained with besides, as `spec.json` names them."""
    named, hashes = spec.get("additions"), spec.get("additions_sha256")
    place = ws.relative(ws.additions(str(spec.get("dataset_id") or "")))
    for name in named if isinstance(named, list) else ():
        yield from _hashed(f"{place}/{clean_line(name)}", hashes.get(name) if isinstance(hashes, dict) else hashes)


def _output(ws: Workspace, version: str) -> Iterable[str]:
    folder = ws.version(version)
    recorded = object_in(folder.protocol).get("checkpoint_sha256")
    checkpoint = object_in(folder.spec).get("checkpoint")
    best = checkpoint.get("best_sha256") if isinstance(checkpoint, dict) else None
    yield from _hashed(ws.relative(folder.best_checkpoint), recorded or best)
    if folder.per_sample.is_file():
        yield from _hashed(ws.relative(folder.per_sample), sha256(folder.per_sample))


def _hashed(path: str, digest: object) -> Iterable[str]:
    if isinstance(digest, str) and digest:
        yield f"{path}@{digest}"


def _evidence(ws: Workspace, version: str, base: str | None, row: MetricRow | None) -> Iterable[str]:
    folder = ws.version(version)
    before = version_id((version_number(version) or 0) - 1)
    places = [(ws.version(before).action, "Selected Action")] if base else []
    if row is not None:
        places += [(folder.eval_score, f"metrics.{clean_line(row.name)}")]
    places += [(folder.per_sample, "loss"), (folder.protocol, "evaluator_sha256")]
    if base is not None:
        places += [(ws.insight(version), "against_base")]
    places += [(folder.analysis, "Summary")]
    return (f"{ws.relative(path)}#{key}" for path, key in places if path.is_file())


def _commands(ws: Workspace, version: str) -> Iterable[str]:
    """Only what makes the same again: the evaluation, while evaluator and checkpoint are those that were used."""
    folder, protocol = ws.version(version), object_in(ws.version(version).protocol)
    mark = object_in(ws.mark(version, "evaluate")).get("inputs")
    used = mark.get("evaluator") if isinstance(mark, dict) else None
    if not ws.eval_script.is_file() or protocol.get("reported") or not folder.per_sample.is_file():
        return
    if folder.best_checkpoint.exists() and (used or protocol.get("evaluator_sha256")) == evaluator_sha256(ws.root):
        yield f"python {ws.eval_script.name} --version {version}"


def _at(ws: Workspace, version: str, made: Mapping[str, Any]) -> str:
    """When it was evaluated; before that, when it was written."""
    mark, score = object_in(ws.mark(version, "evaluate")), score_of(ws, version)
    told = mark.get("finished_at") or (score.created_at.isoformat() if score else None) or made.get("at")
    return clean_line(str(told or ""))
