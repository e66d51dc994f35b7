"""Measurements told as facts: each with a display precision, a word where that helps, and its source."""

from __future__ import annotations

import math
from collections.abc import Iterator

from progtrain.advisor.interface import Fact
from progtrain.engine import metrics, values
from progtrain.engine.analysis.measure.measurements import Measurements
from progtrain.engine.analysis.vocabulary import FACTS, bucket
from progtrain.engine.text import shortened

#: what a briefing that must be shortened keeps longest (0) and loses first (2); the rest is 1
_IMPORTANCE = {
    **dict.fromkeys(
        ("version", "previous", "metric", "value", "previous_value", "delta_previous", "verdict_previous"), 0
    ),
    **dict.fromkeys(("best", "best_value", "verdict_best", "last_action", "best_epoch", "epochs"), 0),
    **dict.fromkeys(("train_loss", "val_loss", "gap", "rise", "nonfinite"), 0),
    **dict.fromkeys(("final_train_loss", "final_val_loss", "delta_low", "delta_high", "parameters"), 2),
    **dict.fromkeys(("train_samples", "val_samples", "class_spread", "confused_count", "latency"), 2),
    **dict.fromkeys(("tail_loss", "chance", "hidden_size", "dropout", "weight_decay", "task"), 2),
}
_Row = tuple[str, str, float | int | str | None, str | None, str]


def tell(m: Measurements) -> tuple[Fact, ...]:
    """In the order of the vocabulary. What is unknown, or not finite, is left out."""
    order = list(FACTS)
    rows = [row for row in _rows(m) if row[1]]
    return tuple(
        Fact(
            key=key,
            display=shortened(display),
            value=shortened(value) if isinstance(value, str) else value,
            meaning=FACTS[key],
            bucket=word,
            importance=_IMPORTANCE.get(key, 1),
            source=source,
        )
        for key, display, value, word, source in sorted(rows, key=lambda row: order.index(row[0]))
    )


def _rows(m: Measurements) -> Iterator[_Row]:
    yield from _place(m)
    yield from _primary(m)
    yield from _curve_facts(m)
    yield from _setting_facts(m)
    yield from _data_facts(m)
    yield from _failure_facts(m)


# how values are written


def metric_text(value: float | None) -> str:
    """Four digits that count at least; empty for what is no number."""
    return "" if value is None or not math.isfinite(value) else values.metric(value)


def signed_text(value: float | None, like: float | None = None) -> str:
    """A change with its sign; to as many places as the metric itself, `like`, is written with."""
    if value is None or not math.isfinite(value):
        return ""
    shown = metric_text(like)
    if shown and "e" not in shown:
        text = f"{value:.{len(shown.partition('.')[2])}f}"
        text = text.lstrip("-") if not float(text) else text
    elif 5e-4 <= abs(value) < 100:
        text = f"{value:.4f}"
    else:
        text = metric_text(value)
    return f"+{text}" if float(text) > 0 else text


def rate_text(value: float | None) -> str:
    """Short scientific form: 0.0003 -> "3e-4", 0.0125 -> "1.25e-2", 0.1 -> "0.1", 1.0 -> "1"."""
    if value is None or not math.isfinite(value):
        return ""
    if value == 0 or 0.1 <= abs(value) < 1000:
        return f"{value:g}"
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def share_text(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else f"{value:.3f}"


def ratio_text(value: float | None) -> str:
    """Three digits that count: "1.25", "38.4", "2540"."""
    if value is None or not math.isfinite(value):
        return ""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _count(key: str, value: float | int | None, source: str, word: str | None = None) -> Iterator[_Row]:
    if value is not None:
        whole = int(value)
        yield key, str(whole), whole, word or bucket(key, whole), source


def _share(key: str, value: float | None, source: str) -> Iterator[_Row]:
    if value is not None and math.isfinite(value):
        yield key, share_text(value), value, bucket(key, value), source


def _metric(key: str, value: float | None, source: str) -> Iterator[_Row]:
    if value is not None and math.isfinite(value):
        yield key, metric_text(value), value, None, source


# the facts


def _place(m: Measurements) -> Iterator[_Row]:
    history = m.source("history")
    yield "version", m.version, m.version, None, m.source("script")
    if m.previous:
        yield "previous", m.previous, m.previous, None, history
    yield "best", m.best, m.best, None, history
    yield from _count("versions_left", m.versions_left, "user_defined_rules.json, loop_config.max_versions")
    if m.task:
        yield "task", m.task, m.task, None, m.source("task")
    if m.last_action:
        yield "last_action", m.last_action, m.last_action, None, history


def _primary(m: Measurements) -> Iterator[_Row]:
    history, per_sample = m.source("history"), m.source("per_sample")
    source = f"{m.source('score')}, metrics.{m.metric}"
    yield "metric", m.metric, m.metric, None, "user_defined_rules.json, eval_config.primary_metric"
    yield from _metric("value", m.value, source)
    for key, value, version in (("previous_value", m.previous_value, m.previous), ("best_value", m.best_value, m.best)):
        yield from _metric(key, value, f"{history}/{version}/eval_score.json, metrics.{m.metric}")
    yield from _metric("chance", m.chance, per_sample)
    for key, delta in (("delta_previous", m.previous_delta), ("delta_best", m.best_delta)):
        if delta is not None and math.isfinite(delta):
            text = signed_text(delta, m.value)
            yield key, text, delta, _direction(float(text), m.higher_is_better), source
    for key, verdict in (("verdict_previous", m.verdict_previous), ("verdict_best", m.verdict_best)):
        if verdict:
            yield key, verdict, verdict, None, per_sample
    compared = m.against_previous
    if compared and metrics.same(compared.metric, m.metric):
        where = f"{per_sample}, {compared.method}"
        yield "delta_low", signed_text(compared.low, m.value), compared.low, None, where
        yield "delta_high", signed_text(compared.high, m.value), compared.high, None, where
    if compared and compared.noise_sd is not None and metrics.same(compared.metric, m.metric):
        where = f".progtrain/repeats, {compared.noise_from}"
        yield "noise_sd", metric_text(compared.noise_sd), compared.noise_sd, None, where
        yield from _count("noise_runs", compared.noise_freedom + 1, where)


def _direction(delta: float, higher_is_better: bool) -> str:
    if delta == 0:
        return "unchanged"
    return "improved" if (delta > 0) == higher_is_better else "worsened"


def _curve_facts(m: Measurements) -> Iterator[_Row]:
    shape, log = m.shape, m.source("log")
    val, train = f"{log}, {shape.val_name}", f"{log}, {shape.train_name}"
    best = f", epoch {shape.best_epoch}"
    yield from _metric("train_loss", shape.train_loss, train + best)
    yield from _metric("val_loss", shape.val_loss, val + best)
    yield from _metric("final_train_loss", shape.final_train_loss, f"{train}, last epoch")
    yield from _metric("final_val_loss", shape.final_val_loss, f"{val}, last epoch")
    yield from _share("gap", shape.gap, f"{log}, {shape.train_name} and {shape.val_name}{best}")
    yield from _share("rise", shape.rise, val)
    share = shape.best_epoch / shape.epochs if shape.best_epoch and shape.epochs else None
    where = val if shape.val_name else train
    if shape.best_epoch:
        yield from _count("best_epoch", shape.best_epoch, where, bucket("epoch_share", share or 1.0))
    if shape.epochs:
        yield from _count("epochs", shape.epochs, f"{log}, epoch")
    yield from _share("epoch_share", share, where)
    yield from _share("late_slope", shape.late_slope, val)
    yield from _share("first_drop", shape.first_drop, train)
    yield from _share("total_drop", shape.total_drop, train)
    if shape.roughness is not None:
        # epoch means hide most of the noise between steps
        comparable = shape.roughness if shape.stepwise else 4 * shape.roughness
        word = bucket("roughness", comparable)
        yield "roughness", share_text(shape.roughness), shape.roughness, word, train
    if shape.train_name or shape.val_name:
        yield from _count("nonfinite", shape.nonfinite, log)


def _setting_facts(m: Measurements) -> Iterator[_Row]:
    def line(key: str) -> str:
        return m.lines.get(key) or m.source("script")

    rate = m.number("learning_rate")
    if rate is not None:
        word = bucket("learning_rate", rate / 30 if m.is_sgd else rate)
        yield "learning_rate", rate_text(rate), rate, word, line("learning_rate")
    yield from _count("batch_size", m.number("batch_size"), line("batch_size"))
    for key in ("weight_decay", "dropout"):
        value = m.number(key)
        if value is not None:
            text = rate_text(value) if key == "weight_decay" else f"{value:g}"
            yield key, text, value, bucket(key, value), line(key)
    hidden = m.settings.get("hidden_size")
    if isinstance(hidden, int | tuple):
        text = ", ".join(map(str, hidden)) if isinstance(hidden, tuple) else str(hidden)
        yield "hidden_size", text, hidden if isinstance(hidden, int) else text, None, line("hidden_size")
    if m.optimizer:
        yield "optimizer", m.optimizer, m.optimizer, None, m.source("script")
        yield "schedule", m.schedule or "none", m.schedule or "none", None, m.source("script")
    if m.parameters is not None:
        yield from _count("parameters", m.parameters, m.source("spec"), _parameter_word(m))


def _parameter_word(m: Measurements) -> str | None:
    if not m.train_samples or m.parameters is None:
        return None
    ratio = m.parameters / m.train_samples
    return "few" if ratio < 1 else "many" if ratio < 100 else "very many"


def _data_facts(m: Measurements) -> Iterator[_Row]:
    yield from _count("train_samples", m.train_samples, m.source("stats") or m.source("spec"))
    samples = m.failures.samples or m.val_samples
    yield from _count("val_samples", samples, m.source("per_sample") or m.source("stats"))
    for key, value in (("input_scale", m.input_scale), ("input_offset", m.input_offset)):
        if value is not None and math.isfinite(value):
            yield key, ratio_text(value), value, bucket(key, value), m.source("inputs")
    if m.failures.imbalance is not None:
        value = m.failures.imbalance
        yield "imbalance", ratio_text(value), value, bucket("imbalance", value), m.source("per_sample")


def _failure_facts(m: Measurements) -> Iterator[_Row]:
    f, source = m.failures, m.source("per_sample")
    for key, count in (
        ("wrong", f.wrong),
        ("flipped_right", m.flipped_right),
        ("flipped_wrong", m.flipped_wrong),
    ):
        yield from _count(key, count, source, _share_word(count, f.samples))
    if f.worst_class is not None:
        yield "worst_class", f.worst_class, f.worst_class, None, source
    yield from _share("worst_class_recall", f.worst_class_recall, source)
    yield from _share("class_spread", f.class_spread, source)
    if f.confused_pair is not None:
        pair = " → ".join(f.confused_pair)
        yield "confused_pair", pair, pair, None, source
        yield from _count("confused_count", f.confused_count, source)
    yield from _share("confident_wrong", f.confident_wrong, source)
    yield from _share("tail_loss", f.tail_loss, source)
    if m.latency is not None and math.isfinite(m.latency):
        word = bucket("latency", m.latency)
        yield "latency", f"{m.latency:.3g}", m.latency, word, f"{m.source('score')}, latency_ms"


def _share_word(count: int | None, samples: int) -> str | None:
    if count is None or not samples:
        return None
    share = count / samples
    return "none" if not count else "few" if share < 0.02 else "some" if share < 0.1 else "many"
