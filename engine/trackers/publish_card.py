"""The cards of a published version and its data: Markdown with the front matter that hubs read.

What progtrain knows is filled in, with its source. What it cannot know (licence, use, where the data come from) is
marked `TODO`, and nothing is made up for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml

from progtrain.engine import metrics, values
from progtrain.engine.additions.folder import Addition
from progtrain.engine.analysis.compare.noise import level
from progtrain.engine.analysis.compare.pairs import resampled, usable
from progtrain.engine.analysis.documents import table
from progtrain.engine.analysis.measure.samples import PerSample, read_per_sample
from progtrain.engine.errors import InputError
from progtrain.engine.files import try_read_json
from progtrain.engine.repeats import found as repeats
from progtrain.engine.rules import goal
from progtrain.engine.schema import EvalScore
from progtrain.engine.text import shortened
from progtrain.engine.trackers.runs import Run
from progtrain.engine.workspace import Workspace

TODO = "TODO"
#: folder of the data, in that of the model
DATA = "data"
#: a split's name, its samples, and a digest of its files; None where nobody knows
Split = tuple[str, int | None, str | None]
#: of the resamples, as everywhere
_SEED = 42
_NO_SEEDS = "seed noise not measured"
_TASKS = {
    "regression": "tabular-regression",
    "classification": "classification",
    "binary": "classification",
    "multilabel": "multi-label-classification",
}


def model(
    ws: Workspace,
    lineage: Sequence[Run],
    spec: Mapping[str, Any],
    score: EvalScore,
    splits: Sequence[Split],
    used: Sequence[Addition],
    data: bool,
) -> str:
    """`README.md` of the folder. `lineage`: from the first version to this one."""
    run = lineage[-1]
    measured = _measured(ws, run.version, score)
    parts = [
        _front(_front_matter(run, spec, score, measured)),
        f"# {shortened(run.project)} {run.version}",
        f"{TODO}: what the model is for, in a sentence or two.",
        "## Results",
        _results(ws, run.version, score, measured),
        *_test(ws, run.version),
        "## Intended use",
        _bullets(
            [
                f"Intended use: {TODO}",
                f"Not intended for: {TODO}",
                f"Known limits, and groups for which it works worse: {TODO}",
            ]
        ),
        "## How it was trained",
        _training(run, spec),
        "### Lineage",
        "Each version differs from the one before it by the one change named here.",
        _bullets(f"{shortened(one.lineage, 200)}{_verdict(one)}" for one in lineage),
        "## Data",
        _data_text(spec, data),
        _split_table(splits),
        *_addition_text(used),
        "## Licence and authors",
        _bullets([f"Licence of the model: {TODO}", f"Licence of the data: {TODO}", f"Authors and contact: {TODO}"]),
        "## Files",
        "`SHA256SUMS` has the checksum of each file: `sha256sum --check SHA256SUMS`. "
        "`spec.json` says what the training was, `eval_score.json` and `protocol.json` what was measured and how.",
    ]
    return _joined(parts)


def data(
    ws: Workspace, dataset_id: str, spec: Mapping[str, Any], splits: Sequence[Split], used: Sequence[Addition]
) -> str:
    """`README.md` of the data's folder."""
    front: dict[str, Any] = {"license": TODO, "pretty_name": dataset_id, "tags": ["progtrain"]}
    if files := _data_files(ws, dataset_id, splits):
        front["configs"] = [{"config_name": "default", "data_files": files}]
    parts = [
        _front(front),
        f"# {shortened(dataset_id)}",
        f"{TODO}: what the data are, in a sentence or two.",
        "## Splits",
        _split_table(splits),
        "The digest of a split is made of the names and checksums of its files in the workspace; "
        "`SHA256SUMS` has the checksum of each file: `sha256sum --check SHA256SUMS`.",
        *_addition_text(used),
        "## Where they come from",
        _bullets(
            [
                f"Source, and how they were collected: {TODO}",
                f"Who labelled them, and how: {TODO}",
                f"Persons in them, and their consent: {TODO}",
                f"Known gaps and biases: {TODO}",
                f"Licence: {TODO}",
            ]
        ),
    ]
    return _joined(parts)


# what was measured


#: metric -> ends of its 95 % interval over the samples, and mean, deviation and number over runs with other seeds
_Sure = tuple[tuple[float, float] | None, tuple[float, float, int] | None]


def _measured(ws: Workspace, version: str, score: EvalScore) -> dict[str, _Sure]:
    try:
        samples = read_per_sample(ws.version(version).per_sample)
    except InputError:
        samples = None
    others = repeats.of(ws, version)
    found: dict[str, _Sure] = {}
    for metric in score.metrics:
        runs = [metrics.finite(metric.value), *(metrics.value_of(metric.name, one.metrics) for one in others)]
        found[metric.name] = (_interval(samples, metric.name), _over_seeds([v for v in runs if v is not None]))
    return found


def _interval(samples: PerSample | None, metric: str) -> tuple[float, float] | None:
    """Over 2000 resamples of the validation samples; None where the metric does not come from single ones."""
    ids = usable(samples, metric) if samples else ()
    if samples is None or len(ids) < 2:
        return None
    alone, drawn = resampled([samples], ids, metric, _SEED)
    told = level(alone, drawn, None, _SEED) if len(alone) else None
    # where all samples came out alike, resampling them tells nothing
    return (told[1], told[2]) if told and told[1] < told[2] else None


def _over_seeds(runs: Sequence[float]) -> tuple[float, float, int] | None:
    if len(runs) < 2:
        return None
    mean = sum(runs) / len(runs)
    return mean, (sum((value - mean) ** 2 for value in runs) / (len(runs) - 1)) ** 0.5, len(runs)


def _results(ws: Workspace, version: str, score: EvalScore, measured: Mapping[str, _Sure]) -> str:
    primary = goal.primary_metric(goal.read(ws))
    ordered = sorted(score.metrics, key=lambda metric: not metrics.same(metric.name, primary))
    rows = []
    for metric in ordered:
        value, (interval, seeds) = metrics.finite(metric.value), measured[metric.name]
        told = "" if interval is None else " to ".join(values.metric(end) for end in interval)
        over = (
            _NO_SEEDS if seeds is None else f"{values.metric(seeds[0])} ± {values.metric(seeds[1])} ({seeds[2]} runs)"
        )
        better = "higher" if metric.higher_is_better else "lower"
        rows.append(
            [shortened(metric.name), better, "no number" if value is None else values.metric(value), told, over]
        )
    said = f"On {score.num_samples} validation samples of `{shortened(score.dataset_id)}`, by `03_eval.py`."
    protocol = try_read_json(ws.version(version).protocol)
    if protocol is not None and protocol.get("reported"):
        said = "As the training script itself reported them: nobody else has measured them."
    kept = "Versions were chosen by these samples, so that other samples may score lower. "
    how = "The interval is 95 %, over resampled samples; the mean over seeds is with its standard deviation."
    return f"{said}\n\n{table(['metric', 'better', 'value', '95 % interval', 'over seeds'], rows)}\n\n{kept}{how}"


def _test(ws: Workspace, version: str) -> list[str]:
    """The one look at the test split, where it was this version's."""
    told = try_read_json(ws.reports / "final_test.json")
    if told is None or told.get("version") != version or not isinstance(told.get("metrics"), list):
        return []
    found = [m for m in told["metrics"] if isinstance(m, dict) and metrics.finite(m.get("value")) is not None]
    shown = ", ".join(f"{shortened(str(m.get('name')))} {values.metric(m['value'])}" for m in found)
    return [f"On the test split, looked at once: {shown}."] if shown else []


def _front_matter(run: Run, spec: Mapping[str, Any], score: EvalScore, measured: Mapping[str, _Sure]) -> dict[str, Any]:
    listed = []
    for metric in score.metrics:
        if (value := metrics.finite(metric.value)) is None:
            continue
        interval, seeds = measured[metric.name]
        entry: dict[str, Any] = {"type": metrics.canonical(metric.name), "name": metric.name, "value": value}
        args: dict[str, Any] = {"interval_95": list(interval)} if interval else {}
        args |= {"seeds": seeds[2], "mean": seeds[0], "sd": seeds[1]} if seeds else {"seeds": _NO_SEEDS}
        listed.append({**entry, "args": args})
    told = spec.get("data")
    task = told.get("task_type") if isinstance(told, dict) else None
    result = {
        "task": {"type": _TASKS.get(str(task), TODO)},
        "dataset": {"name": score.dataset_id, "type": score.dataset_id, "split": "validation"},
        "metrics": listed,
    }
    return {
        "license": TODO,
        "tags": ["progtrain"],
        "datasets": [score.dataset_id],
        "model-index": [{"name": f"{run.project} {run.version}", "results": [result]}],
    }


# how it was trained, and on what


def _training(run: Run, spec: Mapping[str, Any]) -> str:
    rows = [[f"`{shortened(str(key))}`", shortened(values.show(value))] for key, value in sorted(run.params.items())]
    libraries = spec.get("libraries")
    told = {
        "script": f"`{shortened(str(spec.get('script') or ''))}`" if spec.get("script") else "",
        "seed": spec.get("seed"),
        "parameters": spec.get("parameters"),
        "device": spec.get("device"),
        "precision": spec.get("precision"),
        "libraries": ", ".join(f"{k} {v}" for k, v in libraries.items()) if isinstance(libraries, dict) else "",
        "trained": f"{spec.get('training_started_at') or ''} to {spec.get('created_at') or ''}".strip(" to"),
        "checkpoint": f"sha256 `{run.facts['checkpoint_sha256']}`" if "checkpoint_sha256" in run.facts else "",
    }
    lines = [f"{name}: {shortened(str(value), 200)}" for name, value in told.items() if value not in (None, "")]
    return "\n\n".join([_bullets(lines), *([table(["setting", "value"], rows)] if rows else [])])


def _verdict(run: Run) -> str:
    verdict = run.facts.get("verdict")
    return f": {shortened(verdict)} than the version before, by the validation samples" if verdict in _VERDICTS else ""


_VERDICTS = ("better", "worse")


def _data_text(spec: Mapping[str, Any], data: bool) -> str:
    name = shortened(str(spec.get("dataset_id") or ""))
    where = f"They lie in [`{DATA}/`]({DATA}/README.md)." if data else "They are not part of this folder."
    return f"Prepared data `{name}`. {where}"


def _split_table(splits: Sequence[Split]) -> str:
    rows = [
        [name, "not known" if count is None else str(count), f"`{digest}`" if digest else "drawn by the script"]
        for name, count, digest in splits
    ]
    return table(["split", "samples", "sha256"], rows) if rows else "Nothing is known of their splits."


def _addition_text(used: Sequence[Addition]) -> list[str]:
    """Rows that were made from training rows and trained with besides."""
    rows = []
    for addition in used:
        counts = addition.manifest["counts"]
        # `base` counts the rows that it was trained with anyway
        shown = ", ".join(f"{number} {kind}" for kind, number in counts.items() if number and kind != "base")
        focus = addition.manifest.get("focus")
        slices = [str(one.get("slice")) for one in focus if isinstance(one, dict)] if isinstance(focus, list) else []
        made = shortened(str(addition.manifest["made_from"]))
        rows.append([addition.name, str(len(addition)), shortened(shown), shortened(", ".join(slices)), made])
    if not rows:
        return []
    said = "Rows that it was trained with besides, made from training rows, checked against validation and test data:"
    return ["### Additions", said, table(["addition", "rows", "of which", "aimed at", "after"], rows)]


def _data_files(ws: Workspace, dataset_id: str, splits: Sequence[Split]) -> list[dict[str, str]]:
    """For a hub's viewer, where every split is tables of one kind."""
    names = {"valid": "validation"}
    for end in ("csv", "jsonl", "parquet"):
        there = [split for split, _, _ in splits if any(ws.split(dataset_id, split).glob(f"*.{end}"))]
        if there:
            return [{"split": names.get(split, split), "path": f"{split}/*.{end}"} for split in there]
    return []


# Markdown


def _front(value: Mapping[str, Any]) -> str:
    return f"---\n{yaml.safe_dump(dict(value), sort_keys=False, allow_unicode=True)}---"


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _joined(parts: Iterable[str]) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"
