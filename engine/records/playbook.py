"""The failure playbook of a version: its failures in groups, each with its samples and what may be tried against it.

Groups: pairs of classes that are taken for each other, classes and ranges of the target, what is wrong although the
model is sure, what has no answer, and training rows with a doubtful label. A sample may belong to several.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from progtrain.engine import comparable
from progtrain.engine.analysis.measure.failures import SURE, find_slices
from progtrain.engine.analysis.measure.reading import read_samples
from progtrain.engine.analysis.measure.samples import PerSample, read_per_sample
from progtrain.engine.analysis.types import Insight
from progtrain.engine.drafting import history, next_script
from progtrain.engine.errors import InputError
from progtrain.engine.files import sha256
from progtrain.engine.records import labels
from progtrain.engine.records.against import samples_of
from progtrain.engine.rules.rules import Rules
from progtrain.engine.text import clean_line
from progtrain.engine.workspace import Workspace, version_number

#: of a group's samples so many are named, those with the highest loss first
EXAMPLES = 20
_MOST_PAIRS = 10
_LEAST_OF_A_PAIR = 2
#: kind of a group -> facts that an action against it rests on
_FACTS = {
    "confusion": frozenset({"confused_pair", "confused_count"}),
    "class": frozenset({"worst_class", "worst_class_recall", "class_spread", "imbalance"}),
    "target range": frozenset({"tail_loss"}),
    "confident and wrong": frozenset({"confident_wrong"}),
}


class Group(NamedTuple):
    #: "confusion", "class", "target range", "confident and wrong", "unanswered", "suspected label error"
    kind: str
    name: str
    #: which samples belong to it, in words
    rule: str
    samples: int
    #: of all validation samples; of suspected label errors: of all training rows
    share: float
    mean_loss: float | None
    #: ids, the highest loss first
    examples: tuple[str, ...]
    #: the version from which on at least half of them have been wrong throughout; None where nothing is right or wrong
    since: str | None
    #: how many of them were right in the version before; None where there is none to compare with
    flips: int | None
    #: ids of candidates of this version that rest on this failure and that the rules allow
    suggested: tuple[str, ...]


class Playbook(NamedTuple):
    version: str
    #: path@sha256 of the samples that it was made from
    source: str
    samples: int
    #: None where nothing is right or wrong
    wrong: int | None
    groups: tuple[Group, ...]


def playbook(ws: Workspace, rules: Rules, version: str) -> Playbook:
    """Raises `InputError` where the version has no samples."""
    path = ws.version(version).per_sample
    samples = read_per_sample(path)
    found = [*_confusions(samples), *_slices(samples), *_sure(samples), *_unanswered(samples)]
    wrong_in = _wrong_before(ws, version, samples) if samples.is_classification else {}
    allowed = _allowed(ws, rules, version)
    groups = tuple(_group(samples, wrong_in, allowed, *one) for one in found)
    groups += tuple(_suspects(ws, version)) if samples.is_classification else ()
    wrong = sum(right is False for right in samples.correct) if samples.is_classification else None
    return Playbook(version, f"{ws.relative(path)}@{sha256(path)}", len(samples), wrong, groups)


# ---- which samples belong to which group: kind, name, rule, rows


def _confusions(samples: PerSample) -> Iterable[tuple[str, str, str, list[int]]]:
    if not samples.is_classification:
        return
    answered = [row for row, right in enumerate(samples.correct) if right is False and row not in _missing(samples)]
    pairs = Counter((samples.truth[row], samples.prediction[row]) for row in answered)
    for pair in sorted(pairs, key=lambda pair: (-pairs[pair], pair))[:_MOST_PAIRS]:
        if pairs[pair] >= _LEAST_OF_A_PAIR:
            truth, said = map(clean_line, pair)
            rows = [row for row in answered if (samples.truth[row], samples.prediction[row]) == pair]
            yield "confusion", f"{truth} taken for {said}", f"truth is {truth}, prediction is {said}", rows


def _slices(samples: PerSample) -> Iterable[tuple[str, str, str, list[int]]]:
    """Classes with something wrong; ranges of the target with more than the mean loss."""
    losses = [loss for loss in samples.loss if loss is not None]
    mean = sum(losses) / len(losses) if losses else 0.0
    for part in find_slices(samples, None):
        name, ids = clean_line(part.name), samples_of(samples, part.kind, part.name)
        rows = [row for row, one in enumerate(samples.ids) if one in ids]
        if part.kind == "class":
            rows = [row for row in rows if samples.correct[row] is False]
            rule = f"truth is {name}, and the answer is not right ({len(rows)} of {part.samples})"
            yield from [("class", f"class {name}", rule, rows)] if rows else []
        elif part.mean_loss is not None and part.mean_loss > mean:
            yield "target range", f"target {name}", f"the target is {name}, where the loss is above its mean", rows


def _sure(samples: PerSample) -> Iterable[tuple[str, str, str, list[int]]]:
    told = enumerate(zip(samples.correct, samples.confidence, strict=True))
    rows = [row for row, (right, sure) in told if right is False and sure is not None and sure >= SURE]
    if rows:
        rule = f"the answer is not right, with a confidence of at least {SURE}"
        yield "confident and wrong", "confident and wrong", rule, rows


def _unanswered(samples: PerSample) -> Iterable[tuple[str, str, str, list[int]]]:
    if rows := sorted(_missing(samples)):
        yield "unanswered", "unanswered", "there is no answer: column `error` says why", rows


def _missing(samples: PerSample) -> set[int]:
    return {row for row, error in enumerate(samples.error) if error}


def _suspects(ws: Workspace, version: str) -> Iterable[Group]:
    held, of = labels.doubtful(ws, version) or ([], 0)
    if held:
        kind, ids = "suspected label error", tuple(clean_line(one) for one, _ in held[:EXAMPLES])
        mean = sum(loss for _, loss in held) / len(held)
        yield Group(kind, "doubtful labels in train", labels.RULE, len(held), len(held) / of, mean, ids, None, None, ())


# ---- what is known of a group


def _group(
    samples: PerSample,
    wrong_in: Mapping[str, frozenset[str]],
    allowed: Sequence[tuple[str, frozenset[str]]],
    kind: str,
    name: str,
    rule: str,
    rows: list[int],
) -> Group:
    losses = [loss for row in rows if (loss := samples.loss[row]) is not None]
    worst = sorted(rows, key=lambda row: (-(samples.loss[row] or 0.0), samples.ids[row]))
    ids = [samples.ids[row] for row in rows]
    before = list(wrong_in)[-2:-1]
    return Group(
        kind,
        name,
        rule,
        len(rows),
        len(rows) / len(samples),
        sum(losses) / len(losses) if losses else None,
        tuple(clean_line(samples.ids[row]) for row in worst[:EXAMPLES]),
        _since(ids, wrong_in),
        sum(one not in wrong_in[before[0]] for one in ids) if before else None,
        tuple(name for name, facts in allowed if facts & _FACTS.get(kind, frozenset())),
    )


def _wrong_before(ws: Workspace, version: str, samples: PerSample) -> dict[str, frozenset[str]]:
    """Version -> ids of what is wrong in it; those before this one that can be compared with it, this one last."""
    found = {}
    for earlier in ws.versions():
        if (version_number(earlier) or 0) < (version_number(version) or 0):
            other = None if comparable.why_not(ws, earlier, version) else read_samples(ws, earlier, [])
            if other is not None and other.is_classification:
                found[earlier] = _wrong(other)
    return {**found, version: _wrong(samples)}


def _wrong(samples: PerSample) -> frozenset[str]:
    return frozenset(one for one, right in zip(samples.ids, samples.correct, strict=True) if right is False)


def _since(ids: Sequence[str], wrong_in: Mapping[str, frozenset[str]]) -> str | None:
    found: str | None = None
    left = set(ids)
    for version, wrong in reversed(list(wrong_in.items())):
        left &= wrong
        if 2 * len(left) < len(ids):
            break
        found = version
    return found


def _allowed(ws: Workspace, rules: Rules, version: str) -> list[tuple[str, frozenset[str]]]:
    """Candidates of the version's insight that the rules allow as they are now, with the facts that they rest on."""
    insight: Insight | None = history.read_insight(ws, version)
    if insight is None or not insight.candidates:
        return []
    records, limits = history.records(ws, rules, until=version), next_script.limits(rules)
    found = []
    for card in insight.candidates:
        try:
            touched = next_script.touches(ws, rules, version, card.operation, records, base=card.base)
        except InputError:
            continue
        if limits.refusal(touched) is None:
            found.append((card.id, frozenset(card.evidence)))
    return found


def as_dict(found: Playbook) -> dict[str, Any]:
    """For programs."""
    groups = [
        {name: list(value) if isinstance(value, tuple) else value for name, value in group._asdict().items()}
        for group in found.groups
    ]
    return {**found._asdict(), "groups": groups}
