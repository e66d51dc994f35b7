"""`result-analysis.md` and `action-extract.md`: tables and lists from the insight, sentences from the draft.

`action_file` reads the second one back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from progtrain.advisor.interface import Candidate, Draft
from progtrain.engine.analysis.action_file import (
    CHANGE,
    DEFERRED,
    GOAL,
    IMPACT,
    RISK,
    SELECTED,
    VERIFICATION,
    WHERE,
)
from progtrain.engine.analysis.compare import added_rows
from progtrain.engine.analysis.facts import metric_text, signed_text
from progtrain.engine.analysis.types import Comparison, Insight, MetricRow
from progtrain.engine.script.action.operations import parse_operation
from progtrain.engine.text import clean_text, shortened

_SHOWN_SLICES = 5
_SHOWN_SAMPLES = 5
_KEY = re.compile(r"@([a-z][a-z0-9_]*)")


def render_analysis(version: str, insight: Insight, draft: Draft) -> str:
    """The analysis."""
    prose = draft.prose
    parts = [
        f"# Analysis of {version}",
        "## Summary",
        prose_text(prose.summary),
        "## Metric deltas",
        _metric_table(insight),
        *_intervals(insight),
        _bullets(map(prose_text, prose.metric_deltas)),
        _bullets(insight.trade_offs),
        *_added_rows(insight),
        "## Evidence",
        _bullets(map(prose_text, prose.evidence)),
        *_beside(insight),
        *_elsewhere(insight),
        *_findings(insight),
        *_failures(insight),
        *_fact_table(insight),
        *_warnings(insight),
        "## Hypotheses",
        _bullets(map(prose_text, prose.hypotheses)),
        "## Next focus candidates",
        _bullets(map(prose_text, prose.next_focus)),
        _candidate_table(insight, draft),
        _bullets(f"Not offered: {shortened(reason, 300)}" for reason in insight.not_offered),
        _footer(insight, draft),
    ]
    return _joined(parts)


def render_action(
    version: str,
    insight: Insight,
    draft: Draft,
    candidate: Candidate,
    *,
    source: str | None = None,
) -> str:
    """The action. `source` is the script that it is applied to: with it, `Where` names the line."""
    prose = draft.prose
    chosen = candidate.id == draft.chosen
    parts = [
        f"# Action after {version}",
        f"## {SELECTED}",
        f"### {GOAL}",
        prose_text(prose.goal) if chosen else f"{_sentence(with_facts(candidate.why, insight))}",
        f"### {CHANGE}",
        f"{_sentence(candidate.title)} `{shortened(candidate.change).replace('`', '')}`",
        f"```yaml\n{operation_block(candidate)}```",
        f"### {WHERE}",
        _where(version, candidate, source),
        f"### {IMPACT}",
        prose_text(prose.expected_impact) if chosen else _impact(insight),
        f"### {RISK}",
        _risk(candidate, prose.risk if chosen else ""),
        f"### {VERIFICATION}",
        prose_text(prose.verification) if chosen else _verification(insight),
        *_why(candidate),
        f"## {DEFERRED}",
        _deferred(insight, candidate),
        _footer(insight, draft),
    ]
    return _joined(parts)


def operation_block(candidate: Candidate) -> str:
    """The YAML of the block, with `base` where the action is for another version."""
    text = parse_operation(candidate.operation).to_yaml()
    return text + (f"base: {candidate.base}\n" if candidate.base else "")


def with_facts(text: str, insight: Insight) -> str:
    """Placeholders filled in; one that no fact stands behind keeps its name without the mark."""

    def fill(match: re.Match[str]) -> str:
        fact = insight.fact(match[1])
        return shortened(fact.display) if fact else match[1].replace("_", " ")

    return _KEY.sub(fill, text)


# parts


def _metric_table(insight: Insight) -> str:
    if insight.previous is None:
        rows = [[shortened(row.name) + _arrow(row), metric_text(row.value) or "no number"] for row in insight.metrics]
        return f"{insight.version} is the first version: there is no previous version to compare with.\n\n" + table(
            ["metric", insight.version], rows
        )
    header = ["metric", insight.version, insight.previous, "change", "verdict"]
    best = insight.best_earlier if insight.best_earlier != insight.previous else None
    header += [f"best ({best})", "change", "verdict"] if best else []
    rows = []
    for row in insight.metrics:
        cells = [shortened(row.name) + _arrow(row), metric_text(row.value) or "no number"]
        cells += [metric_text(row.previous), signed_text(row.delta_previous, row.value), row.verdict_previous or ""]
        if best:
            cells += [metric_text(row.best), signed_text(row.delta_best, row.value), row.verdict_best or ""]
        rows.append(cells)
    return table(header, rows)


def _arrow(row: MetricRow) -> str:
    return " ↑" if row.higher_is_better else " ↓"


def _intervals(insight: Insight) -> list[str]:
    compared = [insight.against_previous]
    if insight.best_earlier != insight.previous:
        compared.append(insight.against_best)
    lines = [_interval(c) for c in compared if c is not None]
    notes = [f"{shortened(row.name)}: {row.note}" for row in insight.metrics if row.note]
    undecided = [insight.undecided] if insight.undecided else []
    return [_bullets([*lines, *undecided, *notes])]


def _interval(c: Comparison) -> str:
    return (
        f"{shortened(c.metric)} against {c.against}: {signed_text(c.delta)}, 95 % interval {signed_text(c.low)} to "
        f"{signed_text(c.high)} over {_over(c)}: **{c.verdict}** ({shortened(c.method, 200)}; {c.seed_noise})"
    )


def _over(c: Comparison) -> str:
    samples = f"{c.n} common samples" if c.n else "what was reported"
    return samples if c.runs == (1, 1) else f"{samples}, {c.runs[1]} of its runs against {c.runs[0]}"


def _added_rows(insight: Insight) -> list[str]:
    rows = insight.added_rows
    return (
        ["### Added training rows", _bullets(shortened(line, 300) for line in added_rows.lines(rows))] if rows else []
    )


def _findings(insight: Insight) -> list[str]:
    lines = [
        f"**{finding.id.replace('_', ' ')}** (strength {finding.strength:.2f}): {with_facts(finding.text, insight)}"
        for finding in insight.findings
    ]
    return ["### Diagnosis", _bullets(lines)]


def _failures(insight: Insight) -> list[str]:
    parts: list[str] = []
    if insight.slices:
        parts += ["### Where it fails", _slice_table(insight)]
    if insight.worst_samples:
        rows = [
            [
                shortened(row.sample_id),
                shortened(row.truth),
                shortened(row.prediction),
                metric_text(row.loss),
                "" if row.confidence is None else f"{row.confidence:.2f}",
            ]
            for row in insight.worst_samples[:_SHOWN_SAMPLES]
        ]
        parts += ["Worst samples:", table(["sample", "truth", "prediction", "loss", "confidence"], rows)]
    if insight.flips:
        parts += ["### What changed sides", _flip_table(insight)]
    return parts


def _slice_table(insight: Insight) -> str:
    classes = insight.slices[0].kind == "class"
    before = any(row.right_previous is not None for row in insight.slices)
    header = [insight.slices[0].kind, "samples", *(["right"] if classes else []), "mean loss"]
    header += [f"right in {insight.previous}"] if before else []
    rows = []
    for row in insight.slices[:_SHOWN_SLICES]:
        cells = [shortened(row.name), str(row.samples), *([_percent(row.right)] if classes else [])]
        cells.append(metric_text(row.mean_loss))
        rows.append(cells + ([_percent(row.right_previous)] if before else []))
    more = len(insight.slices) - len(rows)
    return table(header, rows) + (f"\n\n{more} more are no worse than these." if more > 0 else "")


def _flip_table(insight: Insight) -> str:
    wrong = [flip for flip in insight.flips if flip.now == "wrong"]
    right = [flip for flip in insight.flips if flip.now == "right"]
    rows = [
        [shortened(f.sample_id), shortened(f.truth), shortened(f.before), shortened(f.prediction), f.now or ""]
        for f in [*wrong[:_SHOWN_SAMPLES], *right[:_SHOWN_SAMPLES]]
    ]
    said = (
        f"Against {insight.previous}, {len(right)} samples are right now that were wrong, "
        f"and {len(wrong)} are wrong that were right."
    )
    return f"{said}\n\n" + table(["sample", "truth", f"in {insight.previous}", insight.version, "now"], rows)


def _beside(insight: Insight) -> list[str]:
    """What was trained side by side with it, or on it."""
    lines = [
        f"{shortened(one.version, 120)}: {shortened(one.action)}: {shortened(one.verdict, 120)}"
        for one in insight.beside
    ]
    return ["### Tried beside it", _bullets(lines)] if lines else []


def _elsewhere(insight: Insight) -> list[str]:
    """What runs of other trackers had otherwise."""
    lines = [f"{one.version}: {shortened(one.action, 300)}: {shortened(one.verdict)}" for one in insight.elsewhere]
    said = "Imported runs. They were not measured here: no verdict, rank or candidate rests on them."
    return ["### Tried elsewhere", said, _bullets(lines)] if lines else []


def _fact_table(insight: Insight) -> list[str]:
    rows = [
        [f"`@{fact.key}`", shortened(fact.display), fact.bucket or "", fact.meaning, shortened(fact.source, 120)]
        for fact in insight.facts
    ]
    return ["### Facts", table(["key", "value", "", "meaning", "source"], rows)] if rows else []


def _warnings(insight: Insight) -> list[str]:
    lines = [f"Training log read: {shortened(insight.log, 200)}"] if insight.log else []
    return [_bullets([*lines, *(f"Warning: {shortened(warning, 300)}" for warning in insight.warnings)])]


def _candidate_table(insight: Insight, draft: Draft) -> str:
    # what the rules alone drafted has no opinion of a model to show
    ranking = draft.ranking if draft.model_sha256 else ()
    chances = {r.id: (r.probability, r.model) for r in ranking}
    rows = []
    for c in insight.candidates:
        chance = chances.get(c.id, (None, None))
        cells = [str(c.rank), f"`{c.id}`", shortened(c.change), c.risk, f"{c.score:.2f}"]
        told = ["–" if value is None else f"{value:.2f}" for value in chance] if chances else []
        rows.append([*cells, *told, shortened("; ".join(c.reasons), 300)])
    header = ["rank", "candidate", "change", "risk", "score", *(["chance", "model"] if chances else []), "reasons"]
    return table(header, rows) if rows else ""


def _risk(candidate: Candidate, text: str) -> str:
    """The level, and the draft's words on it, which may begin with the level themselves."""
    level = candidate.risk
    words = prose_text(text)
    return words if words.casefold().startswith(level) else f"{level.capitalize()}. {words}".strip()


def _where(version: str, candidate: Candidate, source: str | None) -> str:
    base = candidate.base or version
    script = f"`02_train_{base}.py`"
    return parse_operation(candidate.operation).place(script, source)


def _impact(insight: Insight) -> str:
    direction = "rises" if insight.higher_is_better else "falls"
    return f"{shortened(insight.primary_metric)} {direction} by more than the noise between versions."


def _verification(insight: Insight) -> str:
    return (
        f"Train and evaluate the next version, then compare {shortened(insight.primary_metric)} on the same validation "
        "samples: the change stays when the paired bootstrap says better."
    )


def _why(candidate: Candidate) -> list[str]:
    lines = [*candidate.reasons, *([candidate.note] if candidate.note else [])]
    return ["### Why this one", _bullets(shortened(line, 300) for line in lines)] if lines else []


def _deferred(insight: Insight, selected: Candidate) -> str:
    rows = [
        [str(c.rank), f"`{c.id}`", shortened(c.change), c.risk, shortened("; ".join(c.reasons), 200)]
        for c in insight.candidates
        if c.id != selected.id
    ]
    return table(["rank", "candidate", "change", "risk", "reasons"], rows) if rows else "None."


def _footer(insight: Insight, draft: Draft) -> str:
    """Which model wrote it, and from which facts. What the user changed is added when it is accepted."""
    model = f", model sha256 {draft.model_sha256[:12]}" if draft.model_sha256 else ""
    facts = f"from {len(insight.facts)} facts in {PurePosixPath('.progtrain/insight') / insight.version}.json"
    lines = [f"Drafted by {shortened(draft.author)}{model}, {facts}."]
    lines += [f"Note: {shortened(note, 300)}" for note in draft.remarks]
    return "---\n\n" + "  \n".join(f"*{line}*" for line in lines)


# Markdown


def prose_text(text: str) -> str:
    """Sentences of a draft: whatever they hold, they are no heading and no operation."""
    lines = (re.sub(r"^\s*(#+|`{3,}|~{3,})\s*", "", line).replace("```", "'''") for line in text.splitlines())
    return clean_text("\n".join(lines)).strip()


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    return "\n".join([line(header), "|" + " --- |" * len(header), *(line(row) for row in rows)])


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "." if text else ""


def _joined(parts: Iterable[str]) -> str:
    return "\n\n".join(part.rstrip("\n") for part in parts if part.strip()) + "\n"
