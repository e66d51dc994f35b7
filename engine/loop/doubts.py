"""What speaks against a score that has just been made: other truth than before, its own table, its training's log.

An honest script gives no reason for any of it. What is told here stays in the journal; nothing is taken back.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from progtrain.engine import metrics, values
from progtrain.engine.analysis.compare.statistics import ROOTED
from progtrain.engine.analysis.measure.curves import read_metrics
from progtrain.engine.analysis.measure.reading import choose_log
from progtrain.engine.analysis.measure.samples import PerSample, read_per_sample
from progtrain.engine.control.context import Context
from progtrain.engine.errors import InputError
from progtrain.engine.files import object_in
from progtrain.engine.schema import EvalScore
from progtrain.engine.workspace import Workspace, version_number

#: a score may be worked out otherwise than its log's: so much better than any epoch of it is no matter of that
_BETTER_SHARE, _BETTER_RATIO = 0.05, 0.5
#: of a mean, for rounding in the table
_SAME = 1e-3


def tell(context: Context, version: str, score: EvalScore) -> None:
    """Warns of what speaks against it."""
    table = _table(context.ws, version)
    for doubt in (*_against_table(version, score, table), *_against_log(context, version, score)):
        context.journal.warn(doubt)
    if table is not None and (doubt := _against_truth(context.ws, version, table)):
        context.journal.warn(doubt)


def _table(ws: Workspace, version: str) -> PerSample | None:
    path = ws.version(version).per_sample
    try:
        return read_per_sample(path) if path.is_file() else None
    except InputError:
        return None


def _against_table(version: str, score: EvalScore, table: PerSample | None) -> Iterator[str]:
    """The means of its own samples, where the table has what each adds to a metric."""
    for name, parts in (table.parts if table else {}).items():
        known, said = [part for part in parts if part is not None], score.metric(name)
        value = metrics.finite(said.value) if said else None
        if value is None or len(known) != len(parts) or not known:
            continue
        mean = math.fsum(known) / len(known)
        mean = math.sqrt(max(0.0, mean)) if metrics.canonical(name) in ROOTED else mean
        if abs(mean - value) > _SAME * max(1.0, abs(mean)):
            told = (
                f"{name} is {values.metric(value)} in eval_score.json and {values.metric(mean)} in its per-sample table"
            )
            yield f"{version}: {told}: one of them was changed after it was worked out"


def _against_log(context: Context, version: str, score: EvalScore) -> Iterator[str]:
    """The primary metric, better than in any epoch of the training's own log."""
    primary = context.rules.primary_metric
    found, path = score.metric(primary), choose_log(context.ws, context.ws.version(version))
    value = metrics.finite(found.value) if found else None
    if value is None or path is None or not score.num_samples or metrics.same(primary, "loss"):
        return
    try:
        curves = read_metrics(path)
    except InputError:
        return
    _, known = curves.series(metrics.find(primary, curves.columns) or "")
    if not known:
        return
    higher = context.rules.higher_is_better(primary)
    best = max(known) if higher else min(known)
    gain = value - best if higher else best - value
    limit = _BETTER_SHARE if metrics.is_share(primary) else _BETTER_RATIO * abs(best)
    if gain > limit:
        yield (
            f"{version}: {primary} is {values.metric(value)} by the evaluation, and {values.metric(best)} at best in "
            "the log of its own training: does the script answer otherwise when it is evaluated?"
        )


def _against_truth(ws: Workspace, version: str, table: PerSample) -> str:
    """Of the samples that the last version before was scored on too, those that had another truth there."""
    number = version_number(version) or 0
    for earlier in reversed([one for one in ws.versions() if (version_number(one) or 0) < number]):
        before = _table(ws, earlier)
        if before is None:
            continue
        known = dict(zip(before.ids, before.truth, strict=True))
        other = sum(known.get(one, truth) != truth for one, truth in zip(table.ids, table.truth, strict=True))
        if other:
            return f"{version}: {other} of {len(table)} samples have another truth than {earlier} was scored on"
        mine, theirs = _inputs(ws, version), _inputs(ws, earlier)
        if mine and theirs and mine != theirs and known.keys() == set(table.ids):
            return f"{version}: its load_split gives other inputs for the same samples than that of {earlier}"
        return ""
    return ""


def _inputs(ws: Workspace, version: str) -> str:
    """Fingerprint of what the samples' inputs were; empty where nobody knows."""
    return str(object_in(ws.version(version).protocol).get("inputs_sha256") or "")
