"""How good the advice is: planted faults, the real loop, and what simpler ways reach with as many trainings.

`--small` takes minutes, `--full` hours; both go on where they were left. `--report` writes docs/advice.md.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks import advice_first, advice_tasks, advice_trials
from benchmarks.advice_tasks import Cell
from benchmarks.lab.warm import WarmPython

#: what --full looks at: each fault on the data sets where it costs something
FULL = {
    "rate_high": ("wine", "digits", "made-up network"),
    "rate_low": ("iris", "breast_cancer", "diabetes"),
    "overfit": ("made-up linear", "breast_cancer", "diabetes"),
    "too_small": ("breast_cancer", "made-up clusters"),
    "too_regularised": ("breast_cancer", "digits"),
    "batch_small": ("wine", "breast_cancer"),
    "batch_large": ("iris", "made-up clusters"),
    "schedule": ("iris", "made-up clusters"),
    "unscaled": ("wine", "diabetes", "made-up network"),
    "imbalance": ("breast_cancer", "made-up clusters"),
    "healthy": ("wine", "breast_cancer"),
}
SMALL = {
    "rate_high": ("made-up network",),
    "rate_low": ("breast_cancer",),
    "overfit": ("diabetes",),
    "too_small": ("breast_cancer",),
    "unscaled": ("wine",),
    "imbalance": ("breast_cancer",),
}


def cells(names: Mapping[str, tuple[str, ...]]) -> list[Cell]:
    """One of each fault first, so that a run that is cut short has seen them all."""
    pairs = [(place, data, fault) for fault, of_it in names.items() for place, data in enumerate(of_it)]
    found = [advice_tasks.cell(data, fault) for _, data, fault in sorted(pairs, key=lambda pair: pair[0])]
    return [cell for cell in found if cell]


def run(chosen: Sequence[Cell], arms: Sequence[str], out: Path, *, versions: int, trials: int) -> None:
    """One file of JSON lines an arm of a cell, a line a version; what is long enough already is not done again."""
    out.mkdir(parents=True, exist_ok=True)
    with WarmPython() as warm:
        for cell in chosen:
            for arm in arms:
                _arm(cell, arm, out, warm, versions, trials)


def _arm(cell: Cell, arm: str, out: Path, warm: WarmPython, versions: int, trials: int) -> None:
    from benchmarks import advice_loop, advice_score

    count = trials if arm in advice_score.LONG else versions
    if len(advice_score.read(out, cell.name, arm)) >= count:
        return
    with tempfile.TemporaryDirectory(prefix="progtrain-advice-") as folder:
        root = Path(folder) / "workspace"
        if arm in advice_score.LOOPS:
            found = advice_loop.run(cell, arm, out, warm, root, versions)
        else:
            from benchmarks.advice_search import SEARCHES  # needs the extra "bench"

            found = SEARCHES[arm](advice_trials.Desk(cell, out, warm, root), count)
    advice_score.write(out, cell.name, arm, found)
    print(f"{cell.name:32} {arm:14} {advice_score.told(found)}", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.advice", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--small", action="store_true", help="a handful of cells, 5 versions, searches of 20")
    parser.add_argument("--full", action="store_true", help="all of docs/advice.md: 10 versions, searches of 60")
    parser.add_argument("--diagnosis", choices=advice_tasks.GROUPS, help="only the first versions and their diagnoses")
    parser.add_argument("--report", action="store_true", help="table and plots from the results of --full")
    parser.add_argument("--arms", nargs="*", help="only these arms")
    parser.add_argument("--only", nargs="*", default=[], help="cells whose name holds one of these words")
    parser.add_argument("--trials", type=int, help="length of the searches")
    parser.add_argument("--out", type=Path, help="folder of the results")
    parser.add_argument("--keep", type=Path, help="with --diagnosis: a folder where the workspaces stay, to look at")
    asked = parser.parse_args(arguments)
    _do(asked)


def _do(asked: argparse.Namespace) -> None:
    from benchmarks import advice_report, advice_score

    every = advice_tasks.GROUPS[asked.diagnosis]() if asked.diagnosis else cells(FULL if asked.full else SMALL)
    chosen = [cell for cell in every if not asked.only or any(word in cell.name for word in asked.only)]
    out = asked.out or Path(tempfile.gettempdir()) / ("progtrain-advice-full" if asked.full else "progtrain-advice")
    if asked.diagnosis:
        found = advice_first.look(chosen, asked.keep)
        print("\n" + advice_first.table(found))
        if asked.out:
            out.mkdir(parents=True, exist_ok=True)
            advice_first.path(out, asked.diagnosis).write_text(advice_first.to_json(found))
    if asked.small or asked.full:
        versions, trials = (10, 60) if asked.full else (5, 20)
        arms = asked.arms or list(advice_score.ARMS)
        run(chosen, arms, out, versions=versions, trials=asked.trials or trials)
        print("\n" + advice_score.summary(chosen, out, versions=versions, trials=asked.trials or trials))
    if asked.report:
        advice_report.write(cells(FULL), out)


def small() -> None:
    """For `python -m benchmarks advice`."""
    main(["--small"])


if __name__ == "__main__":
    main()
