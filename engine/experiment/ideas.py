"""Experiments that versions of the script give reason for: what each would decide, and what stands in its plan."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from progtrain.advisor.interface import Candidate
from progtrain.engine.analysis.advise import evidence
from progtrain.engine.analysis.advise.candidates import place_of_rate, state_of
from progtrain.engine.analysis.advise.tuning import nice
from progtrain.engine.analysis.facts import signed_text
from progtrain.engine.analysis.types import Comparison, Insight, VersionRecord
from progtrain.engine.drafting import history, next_script
from progtrain.engine.errors import InputError
from progtrain.engine.experiment.stages import design
from progtrain.engine.hooks import record_of
from progtrain.engine.rules.rules import Rules
from progtrain.engine.script.settings import choose_setting, find_settings
from progtrain.engine.workspace import Workspace

SEEDS = 3
#: half of a decade, between two rates of a sweep
_STEP = 10**0.5
_UP, _DOWN = "learning_rate_up", "learning_rate_down"
#: from this score on, and twice the other's, a step of the loop says on which side of the present rate to look
_CLEAR = 0.4
_HIGHEST_RATE = {True: 3.0, False: 0.3}
#: settings that are the share of the training data which a script uses, between 0 and 1. `limit_train_batches` is none:
#: each epoch may draw its batches from all of the data
_SHARES = ("train_fraction", "data_fraction", "train_share", "data_share", "train_data_fraction", "dataset_fraction")
_MOST_CANDIDATES = 6

#: an offer, and what stands in its `experiment.yaml`
Idea = tuple[Candidate, Mapping[str, Any]]

#: what a model may write about them, by section
SENTENCES: dict[str, dict[str, tuple[str, ...]]] = {
    "repeats": {
        "goal": ("Find out how much of the score is owed to the seed.",),
        "impact": ("The scores of several seeds show whether the difference is more than noise.",),
        "risk": ("Low: nothing is changed, the same trainings are done with other seeds.",),
        "verification": ("Compare the means over the seeds, with their interval.",),
    },
    "sweep": {
        "goal": ("Find the learning rate that suits this script.",),
        "impact": ("The scores over the rates show where the best one lies, and how much depends on it.",),
        "risk": ("Low: the rates at the ends may train badly, which costs no more than their time.",),
        "verification": ("Compare all rates on the same validation samples.",),
    },
    "data": {
        "goal": ("Find out whether more training data would help.",),
        "impact": ("A score that still rises with the share of the data says that more of it would pay.",),
        "risk": ("Low: all else stays as it is.",),
        "verification": ("Compare the shares on the same validation samples.",),
    },
    "candidates": {
        "goal": ("Try the proposed actions side by side.",),
        "impact": ("The comparison names the action that brings most.",),
        "risk": ("Low: each run is this version with one action.",),
        "verification": ("Compare each run with the version as it is, on the same validation samples.",),
    },
}


def idea(
    name: str, called: str, title: str, decides: str, plan: Mapping[str, Any], reasons: Sequence[str], **more: Any
) -> Idea:
    """`called`: name of the experiment. `plan`: what is in it besides."""
    kind, question = plan.get("kind", "grid"), decides[:1].upper() + decides[1:]
    content = {"experiment": {"name": called, "question": question, "kind": kind}}
    content |= {key: value for key, value in plan.items() if key != "kind" and value}
    offer = Candidate(id=name, title=title, change="", risk="low", why=decides, reasons=tuple(reasons), rank=0, **more)
    return offer, content


def _repeat_best(ws: Workspace, present: Rules, insight: Insight, records: Sequence[VersionRecord]) -> Iterator[Idea]:
    """The best version with other seeds; beside what it is held against, where that is in doubt."""
    best, compared = insight.best, insight.against_base
    if compared and _in_doubt(compared) and best in (insight.version, compared.against):
        made = None
        with contextlib.suppress(InputError):
            made = _made_from(ws, present, records, insight.version)
        if made is not None:
            score = 0.9 if compared.verdict == "within noise" else 0.7
            yield _both("repeat_best_with_seeds", f"repeat-{best}", insight, compared, made, score)
            return
    rival = insight.against_best if best == insight.version else None
    lead = f"; it leads {rival.against} by {signed_text(rival.delta)} in {rival.metric}" if rival else ""
    yield idea(
        "repeat_best_with_seeds",
        f"repeat-{best}",
        f"train {best}, the best version, with {SEEDS} seeds",
        f"how far the seed alone moves {insight.primary_metric} of {best}",
        {"kind": "repeats", "base": {"script": ws.script(best).name}, "repeats": SEEDS},
        (f"for: {best} was trained with one seed{lead}",),
        evidence=known(insight, "best", "best_value", "delta_best"),
        score=0.35,
        sentences=SENTENCES["repeats"],
    )


def last_action(ws: Workspace, present: Rules, insight: Insight, records: Sequence[VersionRecord]) -> Iterator[Idea]:
    """The latest version against what it was made from, both with the same seeds."""
    made = _made_from(ws, present, records, insight.version)
    if made is not None:
        compared = insight.against_base
        # without a verdict the seeds are all that can tell
        score = (
            {"within noise": 0.9, "trade-off": 0.9, "better": 0.4, "worse": 0.3}[compared.verdict] if compared else 0.6
        )
        yield _both("ablate_last_action", f"ablate-{insight.version}", insight, compared, made, score)


def _both(
    name: str,
    called: str,
    insight: Insight,
    compared: Comparison | None,
    made: tuple[str, Mapping[str, Any]],
    score: float,
) -> Idea:
    (base, operation), version = made, insight.version
    action = {"name": version, "action": dict(operation)}
    if compared is None:
        reasons = [f"for: no verdict could be given between {version} and {base}"]
    else:
        reasons = [f"for: {_said(version, compared)}", "for: seed noise was not measured"]
    return idea(
        name,
        called,
        f"train {version} and {base}, which it was made from, with {SEEDS} seeds each",
        f"whether {version} is better than {base} by more than what the seed does",
        {
            "kind": "candidates",
            "base": {"script": f"02_train_{base}.py"},
            "repeats": SEEDS,
            "runs": {"add": [{"name": base, "type": "control"}, action]},
        },
        reasons,
        evidence=known(insight, "verdict_previous", "delta_previous", "delta_low", "delta_high", "last_action"),
        score=score,
        sentences=SENTENCES["repeats"],
    )


def _made_from(
    ws: Workspace, present: Rules, records: Sequence[VersionRecord], version: str
) -> tuple[str, Mapping[str, Any]] | None:
    """A version's base and the one action that leads from there to it; None where it is more than that."""
    record = next(one for one in records if one.version == version)
    if record.base is None or record.operation is None:
        return None
    planned = next_script.plan(ws, present, record.base, record.operation, base=record.base)
    if state_of(planned.source) != state_of(record.source):
        raise InputError(f"{version} is more than {record.base} with its action: it was edited since")
    return record.base, record.operation


def _in_doubt(compared: Comparison) -> bool:
    """Within noise, or so narrow that the interval's end is nearer to nothing than to the difference."""
    near = compared.low if compared.delta > 0 else -compared.high
    return compared.verdict == "within noise" or 0 < near < abs(compared.delta) / 2


def _said(version: str, compared: Comparison) -> str:
    interval = f"95 % interval {signed_text(compared.low)} to {signed_text(compared.high)}"
    narrow = ", narrowly" if compared.verdict != "within noise" and _in_doubt(compared) else ""
    delta = f"{compared.metric} {signed_text(compared.delta)}"
    return f"{version} against {compared.against} is {compared.verdict}{narrow}: {delta}, {interval}"


def _sweep(ws: Workspace, present: Rules, insight: Insight, records: Sequence[VersionRecord]) -> Iterator[Idea]:
    """The learning rate at values in half decades, on the side that the curves speak for."""
    version = _to_build_on(present, insight, records)
    own = insight if version == insight.version else history.read_insight(ws, version)
    record = next(one for one in records if one.version == version)
    limits = next_script.limits(present)
    training = record_of(ws, version)
    setting = choose_setting(find_settings(record.source), place_of_rate(record.source, training, limits))
    if setting is None or not isinstance(setting.value, int | float) or isinstance(setting.value, bool):
        return
    findings = own.findings if own else ()
    fact = own.fact("optimizer") if own else None
    # as the loop weighs its own steps
    up, down = evidence.score(_UP, findings, "medium"), evidence.score(_DOWN, findings, "low")
    clear = max(up, down) >= _CLEAR and max(up, down) >= 2 * min(up, down)
    steps = range(-2, 3) if not clear else range(4) if up > down else range(-3, 1)
    grid = _rates(float(setting.value), steps, is_sgd=fact is not None and fact.display.casefold() == "sgd")
    if len(grid) < 2:
        return
    likelier = _UP if up > down else _DOWN
    neither = ("both sides are tried: the evidence speaks clearly for neither",)
    reasons = evidence.reasons(likelier, findings) if clear else neither
    yield idea(
        "sweep_learning_rate",
        f"rate-{version}",
        f"train {version} with {len(grid)} learning rates",
        f"which learning rate is best for {version}",
        {"base": {"script": ws.script(version).name}, "variables": {setting.key: grid}},
        reasons,
        evidence=known(insight, "learning_rate", *(evidence.rests_on(likelier, findings) if clear else ())),
        score=round(0.25 + 0.5 * max(up, down), 4),
        effects=(_UP, _DOWN),
        sentences=SENTENCES["sweep"],
    )


def _rates(value: float, steps: Iterable[int], *, is_sgd: bool) -> list[float]:
    """The present value among them as it stands."""
    grid = [value if step == 0 else nice(value * _STEP**step) for step in steps]
    return sorted({rate for rate in grid if 1e-7 <= rate <= max(value, _HIGHEST_RATE[is_sgd])})


def _to_build_on(present: Rules, insight: Insight, records: Sequence[VersionRecord]) -> str:
    """As the rules say, but nothing on a version that is clearly worse than the best."""
    if insight.against_best is not None and insight.against_best.verdict == "worse":
        return insight.best
    return next_script.default_base(present, records, insight.version)


def _shares(ws: Workspace, present: Rules, insight: Insight, records: Sequence[VersionRecord]) -> Iterator[Idea]:
    """The same script on a quarter, half and all of its training data, where it has a setting for exactly that."""
    version = _to_build_on(present, insight, records)
    record = next(one for one in records if one.version == version)
    for setting in find_settings(record.source):
        value = setting.value
        if setting.key.casefold() not in _SHARES or not isinstance(value, float) or not 0 < value <= 1:
            continue
        clear = evidence.strength(insight.findings, "overfitting", "too_much_capacity")
        yield idea(
            "rank_by_data",
            f"data-{version}",
            f"train {version} on a quarter, half and all of its data",
            f"whether more data would make {version} better",
            {"base": {"script": ws.script(version).name}, "variables": {setting.key: [value / 4, value / 2, value]}},
            [f"for: overfitting (strength {clear:.2f})"] if clear >= 0.1 else ["nothing says how much data it needs"],
            evidence=known(insight, "train_samples", "gap"),
            score=round(0.2 + 0.4 * clear, 4),
            sentences=SENTENCES["data"],
        )
        return


def _side_by_side(ws: Workspace, present: Rules, insight: Insight, records: Sequence[VersionRecord]) -> Iterator[Idea]:
    """The candidates of the newest version at once, where the rules do not know which is best."""
    version = insight.version
    own = [one for one in insight.candidates if one.base in (None, version)]
    if len(own) < 2:
        return
    first, second = own[:2]
    close = second.score / first.score if first.score > 0 else 1.0
    asked = {"from_version": version, "candidates": min(_MOST_CANDIDATES, len(own))}
    content = design.content(ws, f"candidates-{version}", asked, [])
    plan = {key: value for key, value in content.items() if key != "experiment"} | {"kind": "candidates"}
    yield idea(
        "candidates_side_by_side",
        f"candidates-{version}",
        f"try the candidates of {version} at once",
        f"which of the proposed actions is best for {version}",
        plan,
        [f"for: {first.id} (score {first.score:.2f}) and {second.id} ({second.score:.2f}) are close"]
        if close >= 0.75
        else [f"against: {first.id} is clearly ahead by its score ({first.score:.2f}, next {second.score:.2f})"],
        evidence=first.evidence,
        score=round(0.15 + 0.4 * close, 4),
        sentences=SENTENCES["candidates"],
    )


def known(insight: Insight, *keys: str) -> tuple[str, ...]:
    return tuple(key for key in dict.fromkeys(keys) if insight.fact(key))


OF_VERSIONS = {
    "repeat_best_with_seeds": _repeat_best,
    "ablate_last_action": last_action,
    "sweep_learning_rate": _sweep,
    "rank_by_data": _shares,
    "candidates_side_by_side": _side_by_side,
}
