"""What follows on a failure, by values alone."""

from __future__ import annotations

from typing import Any

import pytest

from progtrain.engine.experiment.expand import Run
from progtrain.engine.experiment.plan import Retry
from progtrain.engine.experiment.retry import Past, at_least_as_large, cause_of, following
from progtrain.engine.jobs.base import Seen
from progtrain.engine.script.repair.failure import Failure


def after(cause: str, *, rules: Retry | None = None, earlier: list[dict[str, Any]] | None = None, **known: Any) -> Any:
    return following(Past(cause, "so it was", earlier or [], known.pop("changes", {}), **known), rules or Retry())[0]


def test_time_goes_on_as_often_as_it_gets_further() -> None:
    gone = [{"cause": "time limit", "step": step} for step in (10, 20, 30, 40)]
    assert after("time limit", earlier=gone, step=50, can_resume=True)["resume"] is True
    assert after("time limit", earlier=gone, step=40, can_resume=True) is None
    assert after("time limit", earlier=gone, can_resume=True) is None
    assert after("time limit", can_resume=True)["resume"] is True
    assert after("time limit", step=5) is None
    assert after("time limit", step=5, can_resume=True, rules=Retry(time_limit="fail")) is None
    assert after("time limit", step=5, can_resume=True, rules=Retry(attempts=1)) is None


def test_lost_machines_are_left_out_so_often_as_the_plan_says() -> None:
    told = after("lost", node="n7", changes={"exclude": ["n3"], "settings": {"batch_size": 4}}, can_resume=True)
    assert told == {
        "exclude": ["n3", "n7"],
        "settings": {"batch_size": 4},
        "resume": True,
        "why": "so it was",
    }
    assert after("lost", earlier=[{"cause": "lost"}] * 2, rules=Retry(attempts=9)) is None
    assert after("lost", rules=Retry(lost=0)) is None


def test_memory_of_the_machine_is_raised_and_the_batch_stays() -> None:
    assert after("host memory", memory_mb=16_000, smaller={"batch_size": 4})["memory_mb"] == 24_000
    assert "settings" not in after("host memory", memory_mb=16_000, smaller={"batch_size": 4})
    assert after("host memory") is None


def test_memory_of_the_device_is_saved_in_settings() -> None:
    assert after("out of memory", smaller={"batch_size": 4})["settings"] == {"batch_size": 4}
    assert after("out of memory", smaller=None) is None
    assert after("out of memory", smaller={"batch_size": 4}, rules=Retry(out_of_memory="fail")) is None
    assert after("out of memory", smaller={"batch_size": 4}, shared=True)["alone"] is True
    assert after("out of memory", smaller={"b": 4}, shared=True, changes={"alone": True})["settings"] == {"b": 4}


@pytest.mark.parametrize("cause", ["cancelled", "exception", "outputs", "refused", "signal"])
def test_other_failures_are_not_repeated(cause: str) -> None:
    assert after(cause, smaller={"batch_size": 4}, can_resume=True, memory_mb=1) is None


@pytest.mark.parametrize(
    ("seen", "said", "cause"),
    [
        (Seen("failed", cause="exit code"), "CUDA out of memory. Tried to allocate", "out of memory"),
        (Seen("failed", cause="exit code"), "RuntimeError: DefaultCPUAllocator: can't allocate memory", "host memory"),
        (Seen("failed", cause="exit code"), "MemoryError: Unable to allocate 4 GiB for an array", "host memory"),
        (Seen("failed", cause="host memory"), "CUDA out of memory", "host memory"),
        (Seen("failed", cause="time limit"), "", "time limit"),
        (Seen("failed", cause="node failure"), "", "lost"),
        (Seen("paused", cause="time limit"), "", "time limit"),
        (Seen("cancelled", cause="cancelled before start"), "", "cancelled"),
    ],
)
def test_the_cause_is_told_by_the_cluster_before_the_log(seen: Seen, said: str, cause: str) -> None:
    assert cause_of(seen, Failure("out of memory", said, "") if said else None)[0] == cause


@pytest.mark.parametrize(
    ("mine", "large"),
    [
        ({"rank": 8, "batch_size": 8, "rate": 0.5}, True),
        ({"rank": 16, "batch_size": 8}, True),
        ({"rank": 4, "batch_size": 8}, False),
        ({"rank": 8, "batch_size": 4}, False),
        ({"rank": 8, "batch_size": 8, "precision": "16-mixed"}, False),
    ],
)
def test_runs_that_need_as_much_memory_learn_from_others(mine: dict[str, Any], large: bool) -> None:
    settings = {"rank": 8, "batch_size": 8, "rate": 0.1}
    run, other = (Run(name, "trained", {}, held, name) for name, held in (("a", mine), ("b", settings)))
    assert at_least_as_large(run, other, {"batch_size": 4}) is large
