"""Every metric that docs/metrics.md names is worked out by the evaluation, and better in the direction of the page."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest

from progtrain.engine import metrics
from progtrain.engine.templates.progtrain_eval.judge import Judge

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")


def _named() -> list[tuple[str, str, bool]]:
    """(heading, name, whether higher is better) of each row and spelling."""
    found = []
    for heading, text in re.findall(r"^## (For \w+)\n(.*?)(?=^## )", PAGE, re.MULTILINE | re.DOTALL):
        for names, way in re.findall(r"^\| (`.*) \| (higher|lower) \|$", text, re.MULTILINE):
            found += [(heading, name, way == "higher") for name in re.findall(r"`(\w+)`", names)]
    return found


def _scores(heading: str, names: list[str]) -> dict[str, Any]:
    import torch

    drawn = torch.Generator().manual_seed(0)
    numbers = heading == "For numbers"
    task = "regression" if numbers else "classification"
    judge = Judge(dict.fromkeys(names), {"task_type": task}, None, "")
    if numbers:
        targets = torch.rand(60, generator=drawn).double() + 0.1
        scores = targets + torch.rand(60, generator=drawn).double() / 9
    else:
        targets, scores = torch.randint(0, 4, (60,), generator=drawn), torch.randn(60, 4, generator=drawn)
    judge.see([str(row) for row in range(60)], judge.judged(scores, targets))
    assert judge.unknown == {}
    return {score.name: score for score in judge.scores()}


def test_the_page_has_both_tables() -> None:
    assert {heading for heading, _, _ in _named()} == {"For classes", "For numbers"} and len(_named()) > 40


@pytest.mark.filterwarnings("ignore:Metric .* will save all targets")
@pytest.mark.parametrize(("heading", "name", "higher"), _named())
def test_a_metric_of_the_page(heading: str, name: str, higher: bool) -> None:
    assert metrics.higher_is_better(name) is higher
    found = _scores(heading, [name])[name]
    assert math.isfinite(found.value) and found.higher_is_better is higher
