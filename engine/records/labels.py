"""Training rows with a doubtful label, as a group of the playbook: from an evaluation on the training split that is
there already. None is made for it."""

from __future__ import annotations

from collections.abc import Sequence

from progtrain.engine import prepared_data
from progtrain.engine.additions import hard, splits, suspects
from progtrain.engine.errors import InputError, StepFailed
from progtrain.engine.records.against import score_of
from progtrain.engine.workspace import Workspace

RULE = "training rows that the version takes for another class as surely as it knows that class's own rows"


def doubtful(ws: Workspace, version: str) -> tuple[list[tuple[str, float]], int] | None:
    """Ids with their losses, the surest first, and how many rows there are; None where nobody has looked, or cannot."""
    score = score_of(ws, version)
    if score is None or not ws.train_scores(version).per_sample.is_file():
        return None
    try:
        rows = splits.train(ws, score.dataset_id)
        if splits.is_regression(rows, prepared_data.read_stats(ws.stats(score.dataset_id))):
            return None
        found = hard.by_training(ws, version, rows, _not_again)
    except (InputError, StepFailed):
        return None
    return [(rows.ids[at], found.loss[at]) for at in suspects.places(found)], len(rows)


def _not_again(words: Sequence[str]) -> tuple[int, str]:
    raise StepFailed(f"{words[0]} would have to be run: model, evaluator or data have changed since", file=words[0])
