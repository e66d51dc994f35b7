"""Signs in a run that its numbers are not what they look like: in its record, its output, and what it predicted."""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from progtrain.engine import metrics
from progtrain.engine.analysis.measure.samples import PerSample
from progtrain.engine.files import object_in
from progtrain.engine.text import clean_line, shortened, tail
from progtrain.engine.workspace import Workspace

#: predictions that vary by less than this share of what the targets do
_FLAT = 0.05
#: share of one class among predictions, and at most among targets
_ONE_CLASS, _BALANCED = 0.98, 0.9
#: warnings of torch and Lightning -> what they mean
_IN_OUTPUT = (
    (
        re.compile(r"Using a target size \((.+?)\) that is different to the input size \((.+?)\)(?:\.|\s|$)"),
        "torch stretches a target of size {0} to an output of size {1}: the loss is not what it looks like",
    ),
    (
        re.compile(r"number of training batches \((\d+)\) is smaller than the logging interval \D*=(\d+)\)"),
        "an epoch has {0} batches and the training is logged each {1}: its curve has few points (log_every_n_steps)",
    ),
    (
        re.compile(r"\(monitor='([^']+)'\)`? could not find the monitored key"),
        "the checkpoint monitors {0}, which is not logged: it keeps the last epoch",
    ),
)


def signs(
    ws: Workspace, version: str, record: Mapping[str, Any], best_epoch: int | None, samples: PerSample | None
) -> Iterator[str]:
    """`best_epoch`: of the log by its validation loss, counted from 1."""
    yield from _contradicted(ws, version)
    yield from _of_checkpoint(record, best_epoch)
    logs = sorted(ws.jobs.glob(f"{version}-train-*/output.log"), key=lambda path: path.stat().st_mtime)
    output = tail(logs[-1]) if logs else ""
    for pattern, meaning in _IN_OUTPUT:
        if found := pattern.search(output):
            yield meaning.format(*(shortened(group, 60) for group in found.groups()))
    if samples is not None:
        yield from _of_predictions(samples)


def _contradicted(ws: Workspace, version: str) -> Iterator[str]:
    """Settings that the training used otherwise than is said of it."""
    told = object_in(ws.version(version).spec).get("contradicted")
    texts = told if isinstance(told, list) else []
    yield from (shortened(clean_line(text), 300) for text in texts if isinstance(text, str))


def _of_checkpoint(record: Mapping[str, Any], best_epoch: int | None) -> Iterator[str]:
    """The epoch of what was evaluated, where that is not the best of the log."""
    listed = [c for c in record.get("checkpoints") or [] if isinstance(c, dict) and c.get("monitor")]
    if not listed or record.get("framework") == "transformers":
        return
    kept, monitor, mode = listed[-1].get("best_epoch"), str(listed[-1]["monitor"]), listed[-1].get("mode")
    if metrics.turned_mode(monitor, mode):
        yield f"the checkpoint kept the worst {monitor}, not the best: mode={mode}"
    if isinstance(kept, int) and best_epoch is not None and kept + 1 != best_epoch:
        value = metrics.finite(listed[-1].get("best_model_score"))
        told = "" if value is None else f" {value:.4g}"
        yield (
            f"what was evaluated is the checkpoint of epoch {kept + 1} ({monitor}{told}); "
            f"by the validation loss epoch {best_epoch} is the best of the log"
        )


def _of_predictions(samples: PerSample) -> Iterator[str]:
    if samples.is_classification:
        (said, count), (_, most) = (Counter(column).most_common(1)[0] for column in (samples.prediction, samples.truth))
        share, usual = count / len(samples), most / len(samples)
        if share >= _ONE_CLASS and usual <= _BALANCED:
            told = f"{share:.0%} of the predictions are {shortened(said, 40)}"
            yield f"{told}; of the targets the largest class has {usual:.0%}"
    elif samples.numbers is not None and len(samples) > 1:
        truth, predicted = (statistics.pstdev(column) for column in samples.numbers)
        if truth > 0 and predicted < _FLAT * truth:
            yield f"the predictions hardly vary: standard deviation {predicted:.3g}, of the targets {truth:.3g}"
