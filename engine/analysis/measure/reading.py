"""Reads what a version left behind: score, log, single samples, script, data."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from progtrain.engine import metrics
from progtrain.engine.analysis.measure.curves import read_metrics
from progtrain.engine.analysis.measure.data import read_data
from progtrain.engine.analysis.measure.failures import Failures, chance, find_failures
from progtrain.engine.analysis.measure.measurements import Measurements, puts_on_one_scale
from progtrain.engine.analysis.measure.samples import PerSample, read_per_sample
from progtrain.engine.analysis.measure.shape import Shape, summarise
from progtrain.engine.analysis.types import Limits, VersionRecord
from progtrain.engine.errors import InputError
from progtrain.engine.files import object_in, try_read_json
from progtrain.engine.hooks import record_of
from progtrain.engine.schema import EvalScore, load
from progtrain.engine.script import version_files
from progtrain.engine.script.choices import is_off
from progtrain.engine.script.settings import Setting, choose_setting, find_settings
from progtrain.engine.script.structure import describe
from progtrain.engine.text import clean_line, may_be_path
from progtrain.engine.workspace import VersionFolder, Workspace, version_number

_SETTINGS = ["learning_rate", "batch_size", "weight_decay", "dropout", "hidden_size", "epochs", "momentum", "layers"]
_LOG_KEYS = ("log_dir", "log_directory", "log_dir_used", "logs", "log", "metrics_csv", "log_path")
_COUNTED = ("trainable_parameters", "num_trainable_parameters", "parameter_count", "num_parameters", "parameters")


def read_version(
    ws: Workspace, version: str, record: VersionRecord | None, limits: Limits, warnings: list[str]
) -> tuple[VersionRecord, EvalScore, PerSample | None, Measurements]:
    """One version by itself: its measurements know nothing of other versions yet.

    Raises `InputError` where `eval_score.json` or the script cannot be read; all else is a warning.
    """
    folder = ws.version(version)
    score = load(folder.eval_score, EvalScore)
    record = _completed(ws, version, record, score, limits)
    if record.primary is None:
        warnings.append(f"{version} has no number for {limits.primary_metric}")
    shape, log = _read_shape(ws, folder, warnings)
    samples = read_samples(ws, version, warnings)
    data, places = read_data(ws, score.dataset_id)
    if data["task"] is None and samples:
        data["task"] = "classification" if samples.is_classification else "regression"
    measured = Measurements(
        version=version,
        metric=limits.primary_metric,
        higher_is_better=limits.higher_is_better,
        best=version,
        versions_left=max(0, limits.max_versions - (version_number(version) or 0)),
        value=record.primary,
        shape=shape,
        failures=find_failures(samples) if samples else Failures(),
        chance=chance(samples, limits.primary_metric) if samples else None,
        parameters=_parameters(try_read_json(folder.spec)),
        latency=score.latency_ms,
        trained_steps=_recorded_steps(ws, version),
        sources={**_sources(ws, folder, log), **places},
        **_from_script(ws, record, warnings),
        **data | {"val_samples": data["val_samples"] or score.num_samples},
    )
    return record, score, samples, measured


def _recorded_steps(ws: Workspace, version: str) -> int | None:
    ended = record_of(ws, version).get("ended")
    return metrics.count(ended.get("steps")) if isinstance(ended, dict) else None


def choose_log(ws: Workspace, folder: VersionFolder) -> Path | None:
    """The training's `metrics.csv`: the one that `spec.json` names, else `version_0`'s, else the latest."""
    if (named := _named_log(ws, folder)) is not None:
        return named
    logs = [path / "metrics.csv" for path in folder.log_dirs() if (path / "metrics.csv").is_file()]
    first = [path for path in logs if path.parent.name == "version_0"]
    return next(iter((*first, *reversed(logs))), None)


def _named_log(ws: Workspace, folder: VersionFolder) -> Path | None:
    root = ws.root.resolve()
    for key, value in object_in(folder.spec).items():
        if key.casefold() not in _LOG_KEYS or not value or not may_be_path(value):
            continue
        for start in (ws.root, folder.path, folder.logs):
            for file in (start / value, start / value / "metrics.csv"):
                if file.suffix == ".csv" and file.is_file() and file.resolve().is_relative_to(root):
                    return file
    return None


def read_samples(ws: Workspace, version: str, warnings: list[str]) -> PerSample | None:
    """None, and a warning, where the file is missing or cannot be read."""
    path = ws.version(version).per_sample
    score = None if path.exists() else try_read_json(ws.version(version).eval_score)
    if isinstance(score, dict) and score.get("num_samples") == 0:
        of = _reported_epoch(try_read_json(ws.version(version).protocol))
        warnings.append(f"scores are as the script reported them{of}, not measured: no verdicts and no samples")
        return None
    try:
        return read_per_sample(path)
    except InputError as error:
        warnings.append(f"{ws.relative(path)}: {error.reason}: no verdict and no samples for {version}")
        return None


def _reported_epoch(protocol: Any) -> str:
    """Of which epoch they are: ` for epoch 3 (the best by val_acc)`; empty where the protocol does not say."""
    sources = protocol.get("sources") if isinstance(protocol, dict) else None
    told = (str(source).partition(", epoch ")[2] for source in (sources.values() if isinstance(sources, dict) else ()))
    found = next((epoch for epoch in told if epoch), "")
    return f" for epoch {clean_line(found)}" if found else ""


def _completed(
    ws: Workspace, version: str, record: VersionRecord | None, score: EvalScore, limits: Limits
) -> VersionRecord:
    """The record with what its score says, which counts more than what the caller remembers."""
    primary = score.metric(limits.primary_metric)
    return replace(
        record or VersionRecord(version=version, source=version_files.text_of(ws, version)),
        metrics={metric.name: metric.value for metric in score.metrics},
        primary=primary.value if primary else None,
        latency_ms=score.latency_ms,
    )


def _read_shape(ws: Workspace, folder: VersionFolder, warnings: list[str]) -> tuple[Shape, str]:
    path = choose_log(ws, folder)
    if path is None:
        warnings.append(f"no training log in {ws.relative(folder.logs)}: nothing is known of the curves")
        return Shape(), ""
    name = ws.relative(path)
    try:
        curves = read_metrics(path)
    except InputError as error:
        warnings.append(f"{name}: {error.reason}")
        return Shape(), name
    if curves.torn:
        warnings.append(f"{name}: its last line is incomplete and was left out")
    for kind, column in (("training", curves.train_loss), ("validation", curves.val_loss)):
        if column is None:
            warnings.append(f"{name}: no column of a {kind} loss")
    return summarise(curves), name


def _from_script(ws: Workspace, record: VersionRecord, warnings: list[str]) -> dict[str, Any]:
    try:
        found, script = find_settings(record.source), describe(record.source)
    except InputError as error:
        warnings.append(f"{ws.relative(ws.script(record.version))}: {error.reason}")
        return {}
    settings: dict[str, Setting] = {}
    for key in _SETTINGS:
        # set in two places with different values: neither is a fact
        with suppress(InputError):
            if (setting := choose_setting(found, key)) is not None:
                settings[key] = setting
    return {
        "settings": {key: one.value for key, one in settings.items()},
        "lines": {
            key: f"{one.file or ws.relative(ws.script(record.version))}, line {one.line}"
            for key, one in settings.items()
        },
        "optimizer": script.optimizer,
        "schedule": script.schedule,
        "loss": script.loss,
        "standardised": puts_on_one_scale(record.source) and not is_off(record.source, "standardisation"),
    }


def _sources(ws: Workspace, folder: VersionFolder, log: str) -> dict[str, str]:
    per_sample = ws.relative(folder.per_sample) if folder.per_sample.is_file() else ""
    return {
        "score": ws.relative(folder.eval_score),
        "log": log,
        "per_sample": per_sample,
        "task": per_sample,
        "script": ws.relative(ws.script(folder.path.name)),
        "spec": ws.relative(folder.spec),
        "history": ws.relative(ws.artifacts),
    }


def _parameters(spec: Any) -> int | None:
    """Trainable parameters, wherever the script or the engine wrote them."""
    places = [place for place in (spec, spec.get("model")) if isinstance(place, dict)] if isinstance(spec, dict) else []
    for value in (place.get(key) for place in places for key in _COUNTED):
        if isinstance(value, dict):
            value = value.get("trainable", value.get("total"))
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    return None
