"""Actions on offer: settings up and down, recipes, undoing an earlier action, going back to the best version.

A candidate applies to the script as it stands, breaks no rule, and leads to a script that was not trained yet.
What was tried from the same state is not offered again, nor the opposite of what has just helped.
"""

from __future__ import annotations

import ast
import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from progtrain.advisor.interface import Candidate, Risk
from progtrain.engine import values
from progtrain.engine.analysis.advise import at_run_time
from progtrain.engine.analysis.advise.evidence import FLOOR, circumstances, reasons, rests_on, score
from progtrain.engine.analysis.advise.switches import find_switches, replaced
from progtrain.engine.analysis.advise.tuning import TUNINGS, Situation, kind_of, nice
from progtrain.engine.analysis.types import Limits, VersionRecord
from progtrain.engine.analysis.vocabulary import CANDIDATES
from progtrain.engine.errors import InputError
from progtrain.engine.script.action.catalogue import recipes
from progtrain.engine.script.action.operation import ancestry
from progtrain.engine.script.action.operations import Lineage, Operation, RevertOperation, parse_operation
from progtrain.engine.script.names import FIXED, canonical
from progtrain.engine.script.settings import choose_setting, find_settings
from progtrain.engine.script.sources import files_of

#: changing these would not make the model better, only the score different
_NO_ACTION = frozenset({*FIXED, "val_batch_size", "num_workers", "num_classes"})
#: what an earlier outcome of the same kind of change, from another state, leaves of a score
_MEMORY = {"worse": 0.45, "within noise": 0.65, "trade-off": 0.65, "better": 1.0}
_NO_GAIN = ("worse", "within noise", "trade-off")
#: what a change of the score without a verdict leaves: noise may have made it, so it counts for less than one
_UNMEASURED = 0.6
NO_VERDICT = ", which may be noise: no verdict could be measured"


def find_candidates(situation: Situation, *, base: str | None = None) -> tuple[Candidate, ...]:
    """Ranked, the best first; the same input gives the same list. `base` where it is not the latest version."""
    proposals = [p for p in _proposals(situation) if canonical(p.operation.get("setting", "")) not in _NO_ACTION]
    legal = [checked for p in proposals if (checked := _checked(p, situation) or _half_way(p, situation)) is not None]
    weighed = [weighed for p in legal if (weighed := _with_memory(p, situation)) is not None]
    note = f"applied to {base}, the best version so far" if base else ""
    return rank(
        candidate.model_copy(update={"score": round(candidate.score, 4), "base": base, "note": note})
        for candidate in weighed
    )


def rank(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """By score; equal scores in the order of the vocabulary."""
    order = {name: number for number, name in enumerate(CANDIDATES)}
    ordered = sorted(candidates, key=lambda c: (-c.score, order.get(c.id, len(order)), c.id))
    return tuple(c.model_copy(update={"rank": place}) for place, c in enumerate(ordered, start=1))


def _proposals(situation: Situation) -> Iterator[Candidate]:
    yield from _settings(situation)
    yield from _switches(situation)
    yield from _recipes(situation)
    yield from _undos(situation)
    if situation.rows:
        yield situation.rows


def _settings(situation: Situation) -> Iterator[Candidate]:
    try:
        found = find_settings(situation.source)
    except InputError:
        return
    for name, (risk, why, size) in TUNINGS.items():
        try:
            setting = choose_setting(found, _place(name.rpartition("_")[0], situation))
        except InputError:
            # set in two places with different values: which one counts is not ours to guess
            continue
        if setting is None or isinstance(setting.value, bool | str) or setting.value is None:
            continue
        value = size(setting.value, situation)
        if value is None or value == setting.value:
            continue
        before, to = (list(v) if isinstance(v, tuple) else v for v in (setting.value, value))
        operation = {"operation": "set", "setting": setting.key, "from": before, "to": to}
        yield _proposal(name, operation, risk, why, situation)


def _place(key: str, situation: Situation) -> str:
    """The setting that a move acts on."""
    return place_of_rate(situation.source, situation.training, situation.limits) if key == "learning_rate" else key


def place_of_rate(source: str, training: Mapping[str, Any], limits: Limits) -> str:
    """Where the learning rate stands: at the peak of a one-cycle schedule where that rules it."""
    if limits.refusal(["learning_rate"]):
        return "learning_rate"
    by = at_run_time.decided(source, training, limits.arguments).get("learning_rate", "")
    return "max_learning_rate" if by.startswith("OneCycleLR") else "learning_rate"


def _switches(situation: Situation) -> Iterator[Candidate]:
    for switch in find_switches(situation):
        setting = switch.setting
        operation = {"operation": "set", "setting": setting.key, "from": setting.value, "to": switch.to}
        proposal = _proposal(switch.like, operation, switch.risk, switch.why, situation)
        yield proposal.model_copy(update={"id": switch.name, "title": switch.title, "effects": (switch.like,)})


def _recipes(situation: Situation) -> Iterator[Candidate]:
    second_time = replaced(situation)
    for recipe in recipes():
        if not recipe.suits(situation.measured) or recipe.candidate_id in second_time:
            continue
        try:
            fitted = recipe.fitted(str(situation.source))
        except InputError:
            continue
        # written out, so that the document says what the script will say
        parameters = {**fitted, **recipe.sized(situation)}
        operation: dict[str, Any] = {"operation": "recipe", "recipe": recipe.id}
        if parameters:
            operation["parameters"] = parameters
        yield _proposal(recipe.candidate_id, operation, recipe.risk, recipe.why, situation)


def _proposal(name: str, operation: dict[str, Any], risk: Risk, why: str, situation: Situation) -> Candidate:
    findings = situation.findings
    share, least, because = circumstances(name, situation.measured)
    told = reasons(name, findings) or ("nothing in the evidence speaks for it",)
    if because:
        told = (*told, because)
    value = max(least, share * score(name, findings, risk))
    return Candidate(
        id=name,
        title=CANDIDATES.get(name, name),
        operation=operation,
        change="",
        risk=risk,
        why=why,
        reasons=told,
        evidence=rests_on(name, findings),
        score=value,
        rank=0,
    )


def _undos(situation: Situation) -> Iterator[Candidate]:
    """Actions among the ancestors that brought nothing, or harm, and are still in the script."""
    for record in reversed(_ancestors([*situation.history, situation.record], situation.record.version)):
        change = _score_change(record, situation)
        if record.operation is None or (record.outcome not in _NO_GAIN and not (change or 0) < 0):
            continue
        told = record.action_text or "its action"
        worse = record.outcome == "worse"
        yield Candidate(
            id=f"undo_{record.version}",
            title=f"undo the action that made {record.version}",
            change="",
            rank=0,
            operation={"operation": "revert", "version": record.version},
            risk="low",
            why="a change that did not help only makes the script harder to understand",
            evidence=("verdict_previous",) if record.version == situation.record.version else (),
            reasons=(f"for: {told} {_unmeasured(record, 'worse') if change else _measured(record)}",),
            score=0.6 if worse else 0.35 if change else 0.15,
        )


def lineage(records: Sequence[VersionRecord], version: str) -> tuple[Lineage, ...]:
    """The versions that led to `version`, the oldest first, `version` last."""
    return tuple(
        Lineage(entry.version, entry.source, parse_operation(entry.operation) if entry.operation else None, entry.base)
        for entry in _ancestors(records, version)
    )


def _ancestors(records: Sequence[VersionRecord], version: str) -> list[VersionRecord]:
    known = {entry.version: entry for entry in records}
    return [known[name] for name in ancestry(version, {entry.version: entry.base for entry in records})]


# what may be offered


def _checked(proposal: Candidate, situation: Situation) -> Candidate | None:
    """None where a rule forbids it, it cannot be applied, or its script was trained already."""
    history = [*situation.history, situation.record]
    try:
        operation = parse_operation(proposal.operation)
        line = lineage(history, situation.record.version)
        touched = operation.touches(situation.source, line)
        if situation.limits.refusal(touched):
            return None
        ruled = (situation.source, situation.training, situation.limits.arguments)
        if at_run_time.without_effect(proposal.operation, touched, *ruled):
            return None
    except InputError:
        return None
    result = _applied(situation.source, operation, line)
    if result is None or state_of(result) in {state_of(record.source) for record in history}:
        return None
    if _tried_from_here(proposal.operation, situation):
        return None
    return proposal.model_copy(update={"change": operation.describe()})


def _half_way(proposal: Candidate, situation: Situation) -> Candidate | None:
    """Where the usual step leads to what was trained already: half of it, for settings that are real numbers."""
    before, after = proposal.operation.get("from"), proposal.operation.get("to")
    if not isinstance(before, float) or not isinstance(after, float) or min(before, after) <= 0:
        return None
    if _tried_from_here(proposal.operation, situation):
        return None
    between = nice(math.sqrt(before * after))
    if between in (before, after):
        return None
    return _checked(proposal.model_copy(update={"operation": {**proposal.operation, "to": between}}), situation)


def _applied(source: str, operation: Operation, line: tuple[Lineage, ...]) -> str | None:
    """The script with it; None where it cannot be applied, or undone so that the check could tell."""
    if not isinstance(operation, RevertOperation):
        return _rewritten(source, operation.model_dump_json(by_alias=True, exclude_unset=True))
    try:
        changed = operation.apply(source, lineage=line)
        operation.verify(source, changed, lineage=line)
    except InputError:
        return None
    return changed


@lru_cache(maxsize=256)
def _rewritten(source: str, operation: str) -> str | None:
    """Rewriting takes 50 ms, and a review that is drafted again asks for the same."""
    try:
        return parse_operation(json.loads(operation)).apply(source)
    except InputError:
        return None


def _tried_from_here(operation: dict[str, Any], situation: Situation) -> bool:
    """The same operation was applied to the same script before, whatever came of it but better; in an experiment,
    whatever came of it: that run is there, and can be adopted."""
    here = state_of(situation.source)
    sources = {record.version: record.source for record in situation.history}
    return any(
        record.operation is not None
        and (record.outcome != "better" or record in situation.beside)
        and same_operation(record.operation, operation)
        and record.base in sources
        and state_of(sources[record.base]) == here
        for record in (*situation.history, *situation.beside)
    )


def same_operation(one: Any, other: Any) -> bool:
    """The same kind on the same thing, to the same value; what stood there before does not matter."""
    if one.get("operation") != other.get("operation"):
        return False
    if one["operation"] == "set":
        same = canonical(str(one.get("setting"))) == canonical(str(other.get("setting")))
        return same and values.same(one.get("to"), other.get("to"))
    if one["operation"] == "recipe":
        return one.get("recipe") == other.get("recipe") and (one.get("parameters") or {}) == (
            other.get("parameters") or {}
        )
    told = ("version", "function", "body", "focus", "augment", "replay")
    return all((one.get(key) or None) == (other.get(key) or None) for key in told)


@lru_cache(maxsize=512)
def state_of(source: str) -> str:
    """Equal for scripts that differ in comments, layout and `VERSION` only, with the same files."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return hashlib.sha256(source.encode()).hexdigest()
    tree.body = [node for node in tree.body if not _is_version(node)]
    files = "".join(f"\0{name}\0{text}" for name, text in sorted(files_of(source).items()))
    return hashlib.sha256((ast.dump(tree) + files).encode()).hexdigest()


def _is_version(node: ast.stmt) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return any(isinstance(target, ast.Name) and target.id == "VERSION" for target in targets)


# what the past says


def _with_memory(proposal: Candidate, situation: Situation) -> Candidate | None:
    """The same kind of change counts for less after it failed, and for more after it helped. Where no verdict could
    be given the score alone tells: a change that came with a worse one is not made a second time on top of itself.
    """
    last = situation.record
    mine = kind_of(proposal.operation)
    if last.operation and last.outcome == "better" and _is_opposite(mine, kind_of(last.operation)):
        return None
    standing = {record.version for record in _ancestors([*situation.history, last], last.version)}
    told, value = list(proposal.reasons), proposal.score
    for record in (*situation.history, *situation.beside):
        if record.operation is None:
            continue
        kind, action = kind_of(record.operation), record.action_text or "the same kind of change"
        change = _score_change(record, situation) or 0.0
        if kind == mine and record.outcome == "better":
            value = min(1.0, value + 0.12)
            told.insert(0, f"for: the same kind of change {_measured(record)}")
        elif kind == mine and record.outcome in _MEMORY:
            value *= _MEMORY[record.outcome]
            told.append(f"against: {action} {_measured(record)}")
        elif kind == mine and change < 0:
            if record.version in standing:
                return None
            value *= _UNMEASURED
            told.append(f"against: {action} {_unmeasured(record, 'worse')}")
        elif record is last and change > 0 and _is_opposite(mine, kind):
            value *= _UNMEASURED
            told.append(f"against: it would take back {action}, which {_unmeasured(record, 'better')}")
    return proposal.model_copy(update={"reasons": tuple(told), "score": max(FLOOR / 4, value)})


def _score_change(record: VersionRecord, situation: Situation) -> float | None:
    """By how much the score is better (above 0) or worse than that of the version it was made from, where there is
    no verdict; None where there is one, or a number is missing."""
    base = next((one for one in situation.history if one.version == record.base), None)
    if record.outcome is not None or base is None or not (record.comparable and base.comparable):
        return None
    if record.primary is None or base.primary is None or values.same(record.primary, base.primary):
        return None
    return (record.primary - base.primary) * (1 if situation.limits.higher_is_better else -1)


def _measured(record: VersionRecord) -> str:
    return f"was {record.outcome} in {record.version}"


def _unmeasured(record: VersionRecord, how: str) -> str:
    return f"came with a {how} score in {record.version}{NO_VERDICT}"


def _is_opposite(one: tuple[str, str], other: tuple[str, str]) -> bool:
    return one[0] == other[0] and {one[1], other[1]} == {"up", "down"}


def back_to(best: Situation, worse_by: str, *, measured: bool = True) -> Candidate | None:
    """The best version's own first candidate, for when the latest one is worse; None when it has none. Clearly worse,
    or not `measured`: then it is one among others."""
    own = find_candidates(best)
    if not own:
        return None
    first, version = own[0], best.record.version
    return first.model_copy(
        update={
            "id": f"back_to_{version}",
            "title": f"go back to {version} and {first.title}",
            "change": f"back to {version}: {first.change}",
            "why": "what comes next should not stand on a change that made things worse",
            "reasons": (f"for: {worse_by}", *first.reasons),
            "evidence": tuple(dict.fromkeys(("verdict_best", "delta_best", *first.evidence))),
            "score": round((0.6 if measured else 0.2) + 0.4 * first.score, 4),
            "base": version,
            "note": f"{first.id} on {version}",
        }
    )


def with_way_back(own: Sequence[Candidate], back: Candidate) -> tuple[Candidate, ...]:
    """All of them ranked; what would stand on the worse version counts for less."""
    reason = f"against: it would stand on a version that is clearly worse than {back.base}"
    lowered = [
        candidate.model_copy(update={"score": round(0.6 * candidate.score, 4), "reasons": (*candidate.reasons, reason)})
        for candidate in own
    ]
    return rank((back, *lowered))
