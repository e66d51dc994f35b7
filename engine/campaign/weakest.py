"""Where variants are weakest: by class, by range or column of the target, by part of the metric; over all of them."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from progtrain.engine import metrics
from progtrain.engine.analysis.measure.samples import PerSample, read_per_sample
from progtrain.engine.errors import InputError
from progtrain.engine.experiment.results import Row
from progtrain.engine.files import object_in
from progtrain.engine.side_by_side import dimensions

#: a class with fewer samples is not called the weakest while others have more
_SAMPLES = 5


def find(rows: Sequence[Row], variants: Collection[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """A line for each class or dimension, the weakest first, and what a reader has to know.

    `weakest_on`: on how many variants it is the weakest, ties counted; `mean`, `worst`: over the variants; `samples`:
    those that all variants have.
    """
    chosen = [row for row in rows if row.point in variants and row.state == "done" and row.per_sample]
    held: dict[str, PerSample] = {}
    for row in chosen:
        try:
            held[row.run] = read_per_sample(Path(row.per_sample))
        except InputError:
            continue
    points = {row.run: row.point for row in chosen if row.run in held}
    notes = [f"{name} tells of no single samples" for name in variants if name not in points.values()]
    ids = [i for i in next(iter(held.values())).row if all(i in one.row for one in held.values())] if held else []
    if not ids:
        return [], [*notes, *(["no sample is in all variants: no weakest class is told"] if held else [])]
    found: list[dict[str, Any]] = []
    for group in _groups(held, ids, chosen):
        found += _ranked(group, points)
    return found, notes


def _groups(held: dict[str, PerSample], ids: Sequence[str], rows: Sequence[Row]) -> Iterator[list[dict[str, Any]]]:
    """Slices that may be held against each other: `values` by run."""
    classes = object_in(Path(rows[0].per_sample).with_name("protocol.json")).get("class_names")
    named = [str(name) for name in classes] if isinstance(classes, list) else []
    yield [
        {
            "kind": one.kind,
            "name": one.name,
            "metric": dimensions.told([one]),
            "higher_is_better": one.higher_is_better,
            "samples": one.samples,
            "values": one.values,
        }
        for one in dimensions.find(held, ids, named)
    ]
    yield from _parts(held, ids, rows)


def _parts(held: Mapping[str, PerSample], ids: Sequence[str], rows: Sequence[Row]) -> Iterator[list[dict[str, Any]]]:
    """Columns `part__mae_warm`, `part__mae_bright`: dimensions of one metric, `mae`, where there are two or more."""
    names = [name for name in next(iter(held.values())).parts if all(name in one.parts for one in held.values())]
    ways = {metric.name: metric.higher_is_better for row in rows for metric in row.metrics}
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(name.rpartition("_")[0], []).append(name)
    for stem, members in groups.items():
        known = [ways.get(name, ways.get(stem, metrics.higher_is_better(stem))) for name in members]
        if stem and len(members) > 1 and known[0] is not None and len(set(known)) == 1:
            yield [_part(name, stem, bool(known[0]), held, ids) for name in members]


def _part(name: str, stem: str, higher: bool, held: Mapping[str, PerSample], ids: Sequence[str]) -> dict[str, Any]:
    values: dict[str, float | None] = {}
    for run, one in held.items():
        told = [value for i in ids if (value := one.parts[name][one.row[i]]) is not None]
        values[run] = math.fsum(told) / len(told) if told else None
    shown = name.removeprefix(f"{stem}_")
    about = {"kind": "metric part", "name": shown, "metric": stem, "higher_is_better": higher, "samples": len(ids)}
    return {**about, "values": values}


def _ranked(group: Sequence[Mapping[str, Any]], points: Mapping[str, str]) -> list[dict[str, Any]]:
    """With a value for each variant: the mean of its seeds."""
    found = []
    for one in group:
        by_variant: dict[str, list[float]] = {}
        for run, value in one["values"].items():
            if value is not None:
                by_variant.setdefault(points[run], []).append(value)
        found.append({**one, "values": {name: math.fsum(held) / len(held) for name, held in by_variant.items()}})
    enough = [one for one in found if one["samples"] >= _SAMPLES] or found
    told = [_line(one, enough) for one in found if one["values"]]
    return sorted(told, key=lambda one: (-one["weakest_on"], -one["mean"] if one["metric_is_error"] else one["mean"]))


def _line(one: Mapping[str, Any], group: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    worst = min if one["higher_is_better"] else max
    held: dict[str, float] = one["values"]
    weakest = [
        name
        for name, value in held.items()
        if one in group and value == worst(other["values"][name] for other in group if name in other["values"])
    ]
    of_worst = worst(held, key=lambda name: held[name])
    return {
        "kind": one["kind"],
        "name": one["name"],
        "metric": one["metric"],
        "metric_is_error": not one["higher_is_better"],
        "samples": one["samples"],
        "variants": len(held),
        "weakest_on": len(weakest),
        "mean": math.fsum(held.values()) / len(held),
        "worst": held[of_worst],
        "worst_variant": of_worst,
    }
