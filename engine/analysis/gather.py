"""Everything that the numbers of a version say: facts, verdicts, diagnosis and candidates in one value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from progtrain.advisor.interface import Candidate, Tried
from progtrain.engine import metrics, values
from progtrain.engine.analysis.advise import at_run_time
from progtrain.engine.analysis.advise.added_rows import not_offered as rows_not_offered
from progtrain.engine.analysis.advise.added_rows import proposed
from progtrain.engine.analysis.advise.branch import branch_record
from progtrain.engine.analysis.advise.candidates import (
    NO_VERDICT,
    back_to,
    find_candidates,
    rank,
    same_operation,
    with_way_back,
)
from progtrain.engine.analysis.advise.diagnosis import diagnose
from progtrain.engine.analysis.advise.tuning import Situation
from progtrain.engine.analysis.compare import added_rows
from progtrain.engine.analysis.compare.deltas import comparer, judge, metric_rows, trade_offs
from progtrain.engine.analysis.compare.pairs import Runs
from progtrain.engine.analysis.compare.repeats import Reported, runs_of
from progtrain.engine.analysis.facts import metric_text, signed_text, tell
from progtrain.engine.analysis.measure import added
from progtrain.engine.analysis.measure.failures import find_flips, find_slices, find_worst
from progtrain.engine.analysis.measure.measurements import Measurements
from progtrain.engine.analysis.measure.reading import read_samples, read_version
from progtrain.engine.analysis.measure.samples import PerSample
from progtrain.engine.analysis.measure.signs import signs
from progtrain.engine.analysis.types import (
    AddedRows,
    Comparison,
    Insight,
    Limits,
    MetricRow,
    Repeat,
    SampleRow,
    Verdict,
    VersionRecord,
)
from progtrain.engine.errors import InputError
from progtrain.engine.hooks import record_of
from progtrain.engine.schema import Metric
from progtrain.engine.workspace import Workspace, version_number


def gather(
    ws: Workspace,
    version: str,
    limits: Limits,
    history: Sequence[VersionRecord],
    beside: Sequence[VersionRecord] = (),
    repeats: Mapping[str, Sequence[Repeat]] | None = None,
) -> Insight:
    """Facts, diagnosis, comparisons and candidates of an evaluated version.

    `history` holds the versions before it, and this one too where base and operation are known (else its script
    is read); later ones are ignored. `beside`: what experiments tried on versions, which is not offered again.
    `repeats`: of versions, what their scripts came to with other seeds. Raises `InputError` where `eval_score.json` or
    the script cannot be read; all else that is missing becomes a warning.
    """
    return _Gathering(ws, version, limits, history, beside, repeats or {}).insight()


class _Gathering:
    def __init__(
        self,
        ws: Workspace,
        version: str,
        limits: Limits,
        history: Sequence[VersionRecord],
        beside: Sequence[VersionRecord],
        repeats: Mapping[str, Sequence[Repeat]],
    ) -> None:
        self.ws, self.version, self.limits = ws, version, limits
        self.warnings: list[str] = []
        own = next((record for record in history if record.version == version), None)
        self.record, self.score, self.samples, self.measured = read_version(ws, version, own, limits, self.warnings)
        before = [record for record in history if _number(record.version) < _number(version)]
        self.earlier = sorted(before, key=lambda record: _number(record.version))
        self.previous = self.earlier[-1] if self.earlier else None
        self.beside = _not_adopted(beside, [*self.earlier, self.record])
        comparable = [record for record in self.earlier if record.comparable]
        self.best_earlier = self._best(comparable)
        counted = [*comparable, self.record] if self.record.comparable else comparable
        self.best = self._best(counted) or self.record
        base = next((record for record in self.earlier if record.version == self.record.base), None)
        self.base = base or (self.previous if self.record.operation else None)
        if not self.record.comparable:
            self._keep_apart()
        self.others = self._samples_of(self.previous, self.best_earlier, self.base)
        self.repeats = repeats
        self.plainly = comparer(version, self._runs(), self._reported(), limits.seed)
        self.added = self._added_rows()
        self.compare_with = added_rows.capping(self.plainly, limits.primary_metric, self.added)
        best_epoch = self.measured.shape.best_epoch
        self.training = record_of(ws, version)
        self.warnings += signs(ws, version, self.training, best_epoch, self.samples)

    def _keep_apart(self) -> None:
        """This version is compared with none: the others are, with each other."""
        self.warnings.append(f"{self.version} {self.record.why_not}: it is not compared, and has no rank")
        self.previous, self.best_earlier, self.base = (
            replace(one, comparable=False) if one else None for one in (self.previous, self.best_earlier, self.base)
        )

    def insight(self) -> Insight:
        primary = self.limits.primary_metric
        rows = metric_rows(self.score, primary, self.compare_with, self.previous, self.best_earlier)
        flips = self._flips()
        measured = self._compared(rows, flips)
        facts = tell(measured)
        samples, before = self.samples, self._samples(self.previous)
        return Insight(
            version=self.version,
            previous=_version(self.previous),
            best=self.best.version,
            best_earlier=_version(self.best_earlier),
            primary_metric=primary,
            higher_is_better=self.limits.higher_is_better,
            task=measured.task or "",
            facts=(*facts, *added_rows.facts(self.added, self.measured.source("per_sample"))),
            findings=diagnose(measured, frozenset(fact.key for fact in facts)),
            candidates=self._candidates(measured),
            not_offered=(
                *at_run_time.told(self.record.source, self.training, self.limits.arguments),
                *rows_not_offered(self._rows(samples, measured), str(self.record.source)),
            ),
            metrics=rows,
            against_previous=self._against(self.previous),
            against_best=self._against(self.best_earlier),
            against_base=self._against(self.base),
            trade_offs=trade_offs(rows),
            added_rows=self.added,
            slices=find_slices(samples, before) if samples else (),
            worst_samples=find_worst(samples) if samples else (),
            flips=flips or (),
            tried=self._tried(),
            beside=self._tried_beside(),
            log=self.measured.source("log"),
            warnings=tuple(dict.fromkeys(self.warnings)),
        )

    def _added_rows(self) -> AddedRows | None:
        """What the rows brought that its action added."""
        base, operation = self.base, self.record.operation
        runs = self._runs()
        if base is None or operation is None or operation.get("operation") != "data" or self.version not in runs:
            return None
        limits, earlier = self.limits, runs.get(base.version)
        held = added.told_of(self.ws, self.score.dataset_id, operation)
        if held is None or earlier is None:
            return None
        focus, meant, count = held
        both, names = (earlier, runs[self.version]), (base.version, self.version)
        metric, higher = limits.primary_metric, limits.higher_is_better
        of_focus, of_rest = added_rows.judge(focus, both, metric, higher, limits.seed, names=names)
        overall = self.plainly(base.version, metric, higher)
        control, why_not = added.control(self.ws, self.version, runs[self.version], metric, higher, limits.seed)
        return AddedRows(
            addition=str(operation.get("addition")),
            count=count,
            meant=meant,
            focus=of_focus,
            rest=of_rest,
            overall=overall,
            control=control,
            no_control=why_not,
            verdict=added_rows.told(*(one.verdict if one else None for one in (of_focus, of_rest, overall))),
            steps=added.steps(self.ws, base.version, self.version),
        )

    def _best(self, records: Iterable[VersionRecord]) -> VersionRecord | None:
        return metrics.best(records, lambda record: record.primary, self.limits.higher_is_better)

    def _samples_of(self, *records: VersionRecord | None) -> dict[str, PerSample | None]:
        found: dict[str, PerSample | None] = {}
        for version, record in {record.version: record for record in records if record}.items():
            found[version] = read_samples(self.ws, version, self.warnings) if record.comparable else None
            if not record.comparable and self.record.comparable:
                reason = record.why_not or "was scored by another evaluator or on other data"
                self.warnings.append(f"{version} {reason}: it is not compared")
        return found

    def _runs(self) -> dict[str, Runs]:
        """Of this version and of those that it is compared with."""
        known = {record.version: record for record in (*self.earlier, self.record)}
        samples = {**self.others, self.version: self.samples}
        return {
            version: runs_of(known[version].metrics, held, self.repeats.get(version, ()))
            for version, held in samples.items()
            if known[version].comparable
        }

    def _reported(self) -> Reported:
        return {
            record.version: [record.metrics, *(repeat.metrics for repeat in self.repeats.get(record.version, ()))]
            for record in (*self.earlier, self.record)
            if record.comparable
        }

    def _samples(self, record: VersionRecord | None) -> PerSample | None:
        return self.others.get(record.version) if record else None

    def _flips(self) -> tuple[SampleRow, ...] | None:
        before, samples = self._samples(self.previous), self.samples
        if before is None or samples is None or not samples.is_classification:
            return None
        return find_flips(before, samples)

    def _compared(self, rows: Sequence[MetricRow], flips: Sequence[SampleRow] | None) -> Measurements:
        """What was measured on this version, with what is known from the others."""
        primary = metrics.value_of(self.limits.primary_metric, {row.name: row for row in rows})
        return replace(
            self.measured,
            best=self.best.version,
            previous=_version(self.previous),
            best_earlier=_version(self.best_earlier),
            previous_value=primary.previous if primary else None,
            best_value=self.best.primary,
            best_earlier_value=primary.best if primary else None,
            against_previous=self._against(self.previous),
            against_best=self._against(self.best_earlier),
            verdict_previous=self._outcome(self.previous),
            verdict_best=self._outcome(self.best_earlier),
            last_action=self.record.action_text,
            flipped_right=sum(flip.now == "right" for flip in flips) if flips is not None else None,
            flipped_wrong=sum(flip.now == "wrong" for flip in flips) if flips is not None else None,
        )

    def _against(self, record: VersionRecord | None) -> Comparison | None:
        """By the primary metric, or the loss where that is no sum over samples."""
        return self.compare_with(_version(record), self.limits.primary_metric, self.limits.higher_is_better)

    def _outcome(self, record: VersionRecord | None) -> Verdict | None:
        """The verdict of the primary metric against a version."""
        if record is None or not record.comparable:
            return None
        name, higher = self.limits.primary_metric, self.limits.higher_is_better
        metric = self.score.metric(name) or Metric(name=name, value=None, higher_is_better=higher)
        return judge(metric, record, self.compare_with)[0]

    # candidates

    def _record(self) -> VersionRecord:
        """This version with what its action brought."""
        return replace(
            self.record,
            base=_version(self.base),
            verdict_previous=self._outcome(self.previous),
            verdict_base=self._outcome(self.base),
        )

    def _candidates(self, measured: Measurements) -> tuple[Candidate, ...]:
        record = self._record()
        history = [*self.earlier, record]
        latest = self._situation(measured, record, history, self.samples)
        branch = branch_record(history, self.limits.branch_from, self.limits.higher_is_better)
        if branch is not None and branch.version != self.version:
            situation = self._situation_of(branch, history)
            if situation is not None:
                return find_candidates(situation, base=branch.version)
        if self.best.version == self.version:
            return find_candidates(latest)
        best = self._situation_of(self.best, history)
        own = find_candidates(latest)
        if best is None or measured.verdict_best not in ("worse", None):
            return own
        if measured.verdict_best is None:
            if values.same(measured.value, measured.best_value):
                return own
            back = back_to(best, self._worse_by(measured) + NO_VERDICT, measured=False)
            return rank((*own, back)) if back else own
        back = back_to(best, self._worse_by(measured))
        return with_way_back(own, back) if back else own

    def _situation(
        self,
        measured: Measurements,
        record: VersionRecord,
        history: Sequence[VersionRecord],
        samples: PerSample | None,
    ) -> Situation:
        known = frozenset(fact.key for fact in tell(measured))
        own = record.version == self.version
        training = self.training if own else record_of(self.ws, record.version)
        findings = diagnose(measured, known)
        rows = self._rows(samples, measured)
        return Situation(record, measured, findings, self.limits, history, training, self.beside, rows)

    def _rows(self, samples: PerSample | None, measured: Measurements) -> Candidate | None:
        """Training rows to add."""
        there = self.ws.split(self.score.dataset_id, "train").is_dir()
        by_loss = added.knows_training_split(self.ws)
        return proposed(samples, measured.skill, by_loss=by_loss) if there else None

    def _situation_of(self, record: VersionRecord, history: Sequence[VersionRecord]) -> Situation | None:
        """An earlier version with its own evidence; None when it can no longer be read."""
        try:
            *_, samples, measured = read_version(self.ws, record.version, record, self.limits, [])
        except InputError as error:
            self.warnings.append(f"{record.version}: {error.reason}: nothing is offered on it")
            return None
        return self._situation(measured, record, history, samples)

    def _worse_by(self, measured: Measurements) -> str:
        delta = measured.best_delta
        told = f" by {signed_text(delta)}" if delta is not None else ""
        best = metric_text(measured.best_earlier_value)
        return f"{self.version} is worse than {self.best.version}{told} in {measured.metric} (there {best})"

    def _tried(self) -> tuple[Tried, ...]:
        return tuple(
            Tried(version=r.version, action=r.action_text, verdict=r.outcome or "not known")
            for r in (*self.earlier, self._record())
            if r.action_text and r.base
        )

    def _tried_beside(self) -> tuple[Tried, ...]:
        """In experiments: on what this version was made from, and on itself."""
        return tuple(
            Tried(version=r.version, action=f"{r.action_text} on {r.base}", verdict=self._beside_verdict(r))
            for r in self.beside
            if r.base in (_version(self.base), self.version)
        )

    def _beside_verdict(self, record: VersionRecord) -> str:
        before = next((one.primary for one in (*self.earlier, self.record) if one.version == record.base), None)
        told = ""
        if record.comparable and before is not None and record.primary is not None:
            told = f" ({signed_text(record.primary - before, record.primary)})"
        return f"{record.outcome or 'no verdict'}: {self.limits.primary_metric} {metric_text(record.primary)}{told}"


def _not_adopted(beside: Sequence[VersionRecord], versions: Sequence[VersionRecord]) -> tuple[VersionRecord, ...]:
    """Without what has become a version, which tells of it itself, and what is about later ones."""
    known = {record.version for record in versions}
    return tuple(
        record
        for record in beside
        if record.base in known
        and not any(
            one.base == record.base and one.operation and same_operation(one.operation, record.operation)
            for one in versions
        )
    )


def _number(version: str) -> int:
    return version_number(version) or 0


def _version(record: VersionRecord | None) -> str | None:
    return record.version if record else None
