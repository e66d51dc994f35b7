"""Prints every figure with the target it is held to. `python -m benchmarks [NAME ...]` runs some of them."""

from __future__ import annotations

import sys

from benchmarks import (
    additions,
    advice,
    app,
    check_time,
    engine_cost,
    evaluate,
    experiments,
    live_cost,
    noise,
    records,
    status_time,
    time_to_draft,
    trackers,
    warm,
)

ALL = {
    "engine": engine_cost.main,
    "live": live_cost.main,
    "evaluate": evaluate.main,
    "warm": warm.main,
    "status": status_time.main,
    "check": check_time.main,
    "draft": time_to_draft.main,
    "additions": additions.main,
    "advice": advice.small,
    "experiments": experiments.main,
    "experiments-many": experiments.many,
    "trackers": trackers.main,
    "noise": noise.main,
    "records": records.main,
    "app": app.main,
    "soak": app.soak,
}


def main(names: list[str]) -> None:
    for name in names or ALL:
        print(f"\n== {name}", flush=True)
        ALL[name]()


if __name__ == "__main__":
    main(sys.argv[1:])
