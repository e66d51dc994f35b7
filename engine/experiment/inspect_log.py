"""What an evaluation by inspect-ai came to, from its log as `inspect log dump` writes it.

https://inspect.aisi.org.uk/eval-logs.html describes the log.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from progtrain.engine import metrics, values
from progtrain.engine.errors import InputError
from progtrain.engine.experiment.workers.base import Score
from progtrain.engine.files import read_json, sha256_text
from progtrain.engine.text import shortened

#: of a mean, and none of a model's own
_SPREADS = ("stderr", "std", "var", "bootstrap_stderr", "ci_lower", "ci_upper")
#: metrics that are the mean of what the samples have
_MEANS = ("accuracy", "mean")
#: inspect's words for an outcome, as its own metrics count them
_OUTCOMES = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0}
_WIDTH = 300


def read(file: Path) -> dict[str, Any]:
    """Raises `InputError` where the evaluation is not whole: with its status, and why."""
    log = read_json(file)
    if not isinstance(log, dict) or "status" not in log:
        raise InputError("this is no log of inspect", file=file, fix="see the output of the evaluation")
    if log["status"] != "success":
        why = _first_error(log)
        reason = f"inspect says {log['status']}" + (f": {shortened(why, _WIDTH)}" if why else "")
        raise InputError(reason, file=file, fix="mend the task or the model, then evaluate again")
    results = log.get("results") or {}
    planned, done = results.get("total_samples") or 0, results.get("completed_samples") or 0
    if not planned:
        raise InputError("evaluated on 0 samples", file=file, fix="see what the task reads, and its limit")
    if done < planned:
        why = _first_error(log)
        reason = f"{done} of {planned} samples were evaluated" + (f": {shortened(why, _WIDTH)}" if why else "")
        raise InputError(reason, file=file, fix="mend what ends the others, then evaluate again")
    if not results.get("scores"):
        raise InputError("nothing was scored", file=file, fix="give the task a scorer")
    return log


def _first_error(log: Mapping[str, Any]) -> str:
    failed = (sample["error"] for sample in log.get("samples") or () if sample.get("error"))
    error = log.get("error") or next(failed, None) or {}
    return str(error.get("message") or "")


def used(log: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that the rules may lock, with the values that the evaluation had; without those that it left alone."""
    evaluated = log["eval"]
    seed = (evaluated.get("model_generate_config") or {}).get("seed")
    found = {"seed": seed, "val_batch_size": (evaluated.get("model_args") or {}).get("batch_size")}
    return {name: value for name, value in found.items() if value is not None}


def scores(log: Mapping[str, Any], wanted: Sequence[str], directions: Any, file: Path) -> list[Score]:
    """`wanted`: the scorers that count, all where it is empty. `directions`: whether higher is better, of all metrics
    or by their names. Raises `InputError` where a scorer is not among them."""
    told = _chosen(log, wanted, file)
    samples = int(log["results"]["total_samples"]) // max(1, (log["eval"].get("config") or {}).get("epochs") or 1)
    found = []
    for score in told:
        for metric, held in score["metrics"].items():
            if metric not in _SPREADS:
                name = _name(score["name"], metric, len(told) > 1)
                higher = directions.get(name) if isinstance(directions, Mapping) else directions
                known = metrics.higher_is_better(metric)
                higher = higher if higher is not None else known if known is not None else True
                found.append(Score(name, metrics.finite(held["value"]), samples, bool(higher)))
    return found


def _chosen(log: Mapping[str, Any], wanted: Sequence[str], file: Path) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = log["results"]["scores"]
    # with several reducers each scorer comes once for each: the first is what the others are derived from
    first = {score["name"]: score for score in reversed(told)}
    missing = [name for name in wanted if name not in first]
    if missing:
        fix = f"there are {', '.join(reversed(first))}; correct scorers of the task"
        raise InputError(f"nothing was scored by {missing[0]}", file=file, fix=fix)
    return [first[name] for name in wanted or reversed(first)]


def _name(scorer: str, metric: str, several: bool) -> str:
    return f"{scorer}_{metric}" if several else metric


def samples(log: Mapping[str, Any], wanted: Sequence[str], file: Path) -> tuple[list[str], list[list[Any]]]:
    """Header and rows of `per_sample.csv`: a row a sample, what several epochs gave it as their mean."""
    chosen = [score for score in _chosen(log, wanted, file) if any(metric in _MEANS for metric in score["metrics"])]
    names = [(s, _name(s["name"], next(m for m in s["metrics"] if m in _MEANS), _several(log, wanted))) for s in chosen]
    by_id: dict[str, list[Mapping[str, Any]]] = {}
    for sample in log.get("samples") or ():
        by_id.setdefault(str(sample["id"]), []).append(sample)
    rows = []
    for identity, held in by_id.items():
        parts = [_mean(_values(held, score)) for score, _ in names]
        rows.append([identity, _target(held[0]), shortened(_said(held[0]), _WIDTH), *parts])
    return ["sample_id", "truth", "prediction", *(f"part__{name}" for _, name in names)], rows


def _several(log: Mapping[str, Any], wanted: Sequence[str]) -> bool:
    return len(wanted or {score["name"] for score in log["results"]["scores"]}) > 1


def _values(held: Sequence[Mapping[str, Any]], score: Mapping[str, Any]) -> Iterator[float]:
    for sample in held:
        told = sample.get("scores") or {}
        entry = told.get(score["name"]) or told.get(score.get("scorer"))
        value = entry.get("value") if entry else None
        if isinstance(value, Mapping):
            value = value.get(score["name"])
        if (number := _as_number(value)) is not None:
            yield number


def _as_number(value: Any) -> float | None:
    if isinstance(value, bool):
        return float(value)
    return _OUTCOMES[value] if isinstance(value, str) and value in _OUTCOMES else metrics.finite(values.number(value))


def _mean(found: Iterator[float]) -> str | float:
    held = list(found)
    return fmean(held) if held else ""


def _target(sample: Mapping[str, Any]) -> str:
    target = sample.get("target")
    return shortened(target if isinstance(target, str) else " | ".join(map(str, target or ())), _WIDTH)


def _said(sample: Mapping[str, Any]) -> str:
    return str((sample.get("output") or {}).get("completion") or "")


def data_sha256(log: Mapping[str, Any]) -> str:
    """Of what was asked and what is right: scores of other samples are not compared."""
    asked = {(str(s["id"]), repr(s.get("input")), repr(s.get("target"))) for s in log.get("samples") or ()}
    return sha256_text(repr(sorted(asked)))
