"""What is written of single samples: a row each, and folders of some to look at."""

from __future__ import annotations

import csv
import io
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from .common import write
from .judge import Judge
from .pictures import as_image, draw_sound, side_by_side
from .seen import Row

#: input, what was seen of it alone (a `Seen`; None: no answer), scores
Shown = tuple[Any, Any, Any]


def per_sample_csv(judge: Judge) -> str:
    parts = judge.parts
    sure = ["confidence"] if any(row.confidence is not None for row in judge.rows) else []
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    served = ["served_by", "error"]
    table.writerow(
        ["sample_id", "truth", "prediction", "correct", "loss", *sure, *(f"part__{c}" for c in parts), *served]
    )
    for n, row in enumerate(judge.rows):
        numbers = [row.loss, *(getattr(row, name) for name in sure), *(values[n] for values in parts.values())]
        cells = ["" if v is None or not math.isfinite(v) else repr(v) for v in numbers]
        correct = "" if row.correct is None else int(row.correct)
        served = [judge.served.get(row.sample_id, judge.path), judge.errors.get(row.sample_id, "")]
        table.writerow([row.sample_id, row.truth, row.prediction, correct, *cells, *served])
    return out.getvalue()


def write_samples(folder: Path, judge: Judge, shown: Mapping[str, Shown], about: Any) -> None:
    """Those of `shown`, in its order."""
    fresh = folder / ".infer_samples.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    rows = {row.sample_id: row for row in judge.rows if row.sample_id in shown}
    for place, (sample_id, seen) in enumerate(shown.items(), start=1):
        meta = {"sample_id": sample_id, **about}
        write_sample(fresh / f"{place:04d}", seen, rows[sample_id], judge, meta)
    shutil.rmtree(folder / "infer_samples", ignore_errors=True)
    fresh.replace(folder / "infer_samples")


def write_sample(place: Path, shown: Shown, row: Row, judge: Judge, meta: Any) -> None:
    """One folder of infer_samples/: input, output, truth, and what became of it."""
    place.mkdir(parents=True)
    raw, seen, scores = shown
    correct, said, truth = row.correct, row.prediction, row.truth
    image, array = as_image(raw), np.asarray(raw) if isinstance(raw, (np.ndarray, Tensor)) else np.zeros(0)
    colour = {True: "green", False: "red", None: "gray"}[correct]
    sound = meta["sample_rate"] and image is None and array.size == max((0, *array.shape))
    if image is not None:
        image.save(place / "input.png")
        pictures = [image]
        if seen is not None and judge.task in ("segmentation", "regression"):
            made = [("gt.png", as_image(seen.targets[0])), ("output.png", as_image(seen.predictions[0]))]
            for name, picture in made:
                if picture is not None:
                    picture.save(place / name)
                    pictures.append(picture)
        side_by_side(pictures, colour).save(place / "viz.png")
    elif sound:
        draw_sound(place, array, meta["sample_rate"])
    elif array.ndim > 1:
        np.save(place / "input.npy", array)
    else:
        write(place / ("input.txt" if isinstance(raw, str) else "input.json"), raw)
    chances = seen.probabilities[0] if seen is not None and seen.probabilities is not None else None
    error = judge.errors.get(row.sample_id)
    output = {"prediction": said, "confidence": row.confidence, "probabilities": chances, "scores": scores}
    output |= {"error": error} if error else {}
    small = {k: None if isinstance(v, Tensor) and v.numel() > 4096 else v for k, v in output.items()}
    write(place / "output.json", small)
    write(place / "gt.json", {"truth": truth})
    if judge.task == "text":
        write(place / "output.txt", f"{said}\n")
        write(place / "gt.txt", f"{truth}\n")
    write(place / "meta.json", {**meta, "correct": correct, "loss": row.loss})
    write(place / "summary.txt", summary(row, error))


def summary(row: Row, error: str | None) -> str:
    if error:
        return f"no answer: {error}, truth {row.truth}\n"
    verdict = {True: "right", False: "wrong", None: "answer"}[row.correct]
    sure = "" if row.confidence is None else f" with confidence {row.confidence:.3f}"
    return f"{verdict}: {row.prediction}{sure}, truth {row.truth}, loss {row.loss:.4g}\n"
