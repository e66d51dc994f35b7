"""Which points are better than which, and how sure that is."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from progtrain.engine.analysis.compare import noise
from progtrain.engine.analysis.compare.noise import Interval
from progtrain.engine.analysis.compare.pairs import measurer
from progtrain.engine.analysis.measure.samples import PerSample
from progtrain.engine.experiment import compare, results
from progtrain.engine.experiment.compare import Difference
from progtrain.engine.experiment.folder import ExperimentFolder
from progtrain.engine.status.snapshot import NOT_MEASURED
from tests.experiment.simulated import a_plan, add, grid, outcomes

RANKS = "variables: {rank: [8, 16]}\n"


@pytest.fixture
def folder(tmp_path: Path) -> ExperimentFolder:
    return ExperimentFolder(tmp_path / "cap")


def compared(folder: ExperimentFolder, text: str = RANKS, kind: str = "grid") -> list[Difference]:
    planned, rows = a_plan(text, folder, kind), results.read(folder)
    return compare.differences(planned, rows, compare.measures(folder, rows))


# the statistics


def judged(points: Sequence[Sequence[Sequence[bool]]]) -> list[Interval]:
    """Every point against every other; each is its seeds, each of these its samples."""
    samples = {f"{p}/{s}": _samples(right) for p, runs in enumerate(points) for s, right in enumerate(runs)}
    measured = measurer(samples, "accuracy", 42)
    told = measured(list(samples))
    assert told is not None
    own, drawn, _ = told
    each = len(points[0])
    parts = [slice(p * each, (p + 1) * each) for p in range(len(points))]
    spread = noise.spread_of([list(own[part]) for part in parts])
    pairs = itertools.combinations(parts, 2)
    made = [noise.difference((own[a], drawn[:, a]), (own[b], drawn[:, b]), spread, 42) for a, b in pairs]
    return [interval for interval in made if interval]


def _samples(right: Sequence[bool]) -> PerSample:
    n = len(right)
    guess = ["1" if one else "0" for one in right]
    return PerSample([str(i) for i in range(n)], ["1"] * n, guess, list(right), [None] * n, [None] * n)


def experiments(count: int, accuracies: Sequence[float], seeds: int, samples: int = 150) -> list[list[Interval]]:
    numbers = iter(range(1_000_000))
    return [
        judged([[outcomes(accuracy, samples, next(numbers)) for _ in range(seeds)] for accuracy in accuracies])
        for _ in range(count)
    ]


def test_equal_points_with_other_seeds_are_within_noise_in_95_of_100_experiments() -> None:
    """Three points of one accuracy, three comparisons: an experiment counts only where none of them is called real."""
    quiet = [all(p > 0.05 for p in noise.holm([i[3] for i in one])) for one in experiments(100, [0.8] * 3, 3)]
    assert sum(quiet) >= 95


def test_five_points_are_found() -> None:
    found = experiments(10, [0.80, 0.80, 0.85], 3, samples=1000)
    adjusted = [noise.holm([interval[3] for interval in one]) for one in found]
    # of (first, second), (first, third), (second, third) the last two are real
    assert sum(p <= 0.05 for ps in adjusted for p in ps[1:]) >= 17 and sum(ps[0] <= 0.05 for ps in adjusted) <= 1


def test_noise_of_the_seeds_counts() -> None:
    """Each seed moves the accuracy by eight points: a lucky seed is no better model."""
    numbers = iter(range(1000))
    alone, whole = 0, 0
    for _ in range(20):
        points = [[outcomes(0.7, 200, next(numbers), of_seed=0.08) for _ in range(3)] for _ in range(2)]
        whole += judged(points)[0][3] <= 0.05
        alone += judged([[runs[0]] for runs in points])[0][3] <= 0.05
    assert alone >= 8 and whole <= 2


def test_holm_counts_the_comparisons() -> None:
    # by hand: 0.01 * 4, 0.02 * 3 = 0.06, 0.03 * 2 = 0.06 (never below the one before), 0.9
    assert noise.holm([0.02, 0.9, 0.01, 0.03]) == pytest.approx([0.06, 0.9, 0.04, 0.06])
    assert noise.holm([]) == []


def test_effects_that_no_draw_contradicts_have_a_p_that_many_comparisons_can_be_held_against() -> None:
    (interval,) = judged([[outcomes(0.5, 400, 1)], [outcomes(0.9, 400, 2)]])
    assert interval[3] < 1e-6
    (equal,) = judged([[outcomes(0.5, 400, 1)], [outcomes(0.5, 400, 1)]])
    assert equal == (0.0, 0.0, 0.0, 1.0)


def test_the_spread_between_seeds_is_pooled_over_the_points() -> None:
    assert noise.spread_of([[1.0], [2.0]]) is None
    spread = noise.spread_of([[1.0, 3.0], [5.0, 5.0, 8.0], [2.0]])
    assert spread is not None and spread[1] == 3
    assert spread[0] == pytest.approx(np.sqrt((2 + 6) / 3))


# which pairs, and what is refused


def test_points_are_held_against_the_control_and_along_each_variable(folder: ExperimentFolder) -> None:
    grid(folder, {"base": 0.7, "rank8": 0.7, "rank16": 0.9}, seeds=1)
    found = compared(folder)
    told = [(one.kind, one.along, one.a, one.b, one.verdict) for one in found]
    assert told == [
        ("control", "", "base", "rank8", "within noise"),
        ("control", "", "base", "rank16", "better"),
        ("variable", "rank", "rank8", "rank16", "better"),
    ]
    assert all(one.family == 3 and one.samples == 300 and NOT_MEASURED in one.notes for one in found)


def test_values_come_in_the_order_of_the_plan_and_the_others_stay_fixed(folder: ExperimentFolder) -> None:
    for rank, rate in ((16, 0.1), (8, 0.1), (8, 0.2), (16, 0.2)):
        add(folder, f"rank{rank}_lr{rate}", outcomes(0.8, 50, rank), parameters={"rank": rank, "lr": rate})
    found = compared(folder, "variables: {rank: [16, 8], lr: [0.1, 0.2]}\n")
    assert {(one.along, one.a, one.b, one.fixed) for one in found} == {
        ("rank", "rank16_lr0.1", "rank8_lr0.1", "lr 0.1"),
        ("rank", "rank16_lr0.2", "rank8_lr0.2", "lr 0.2"),
        ("lr", "rank8_lr0.1", "rank8_lr0.2", "rank 8"),
        ("lr", "rank16_lr0.1", "rank16_lr0.2", "rank 16"),
    }


def test_variables_that_move_together_are_one(folder: ExperimentFolder) -> None:
    for rank, warm in ((8, 1), (16, 2)):
        add(folder, f"rank{rank}", outcomes(0.8, 50, rank), parameters={"rank": rank, "warm": warm})
    (one,) = compared(folder, "variables: {rank: [8, 16], warm: [1, 2]}\nzip: [[rank, warm]]\n")
    assert one.along == "rank and warm"


def test_where_no_two_points_differ_in_one_variable_all_are_held_against_the_best(folder: ExperimentFolder) -> None:
    for name, lr, width in (("a", 0.1, 3), ("b", 0.2, 4), ("c", 0.3, 5)):
        right = outcomes(0.9 if name == "b" else 0.6, 300, width)
        add(folder, name, right, parameters={"lr": lr, "width": width})
    drawn = "variables: {lr: {low: 0.1, high: 0.3}, width: [3, 4, 5]}\npoints: 3\n"
    found = compared(folder, drawn, "random")
    assert [(one.kind, one.a, one.b, one.verdict) for one in found] == [
        ("best", "a", "b", "better"),
        ("best", "c", "b", "better"),
    ]


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"evaluator_sha256": "other"}, "scored by another evaluator"),
        ({"data_sha256": "other"}, "scored on other data"),
        ({"changes": {"rank": 4}}, "rank16 trained with rank 4, not 16 as planned"),
        ({"settings": {"rank": 8}}, "rank16 trained with rank 8, not 16 as planned"),
        ({"state": "failed", "cause": "GPU memory", "metrics": []}, "rank16 has no accuracy: GPU memory"),
    ],
)
def test_pairs_that_differ_otherwise_are_listed_and_not_counted(
    folder: ExperimentFolder, other: dict[str, object], reason: str
) -> None:
    add(folder, "base", outcomes(0.7, 100, 1), type="control")
    add(folder, "rank8", outcomes(0.7, 100, 2), parameters={"rank": 8})
    add(folder, "rank16", outcomes(0.9, 100, 3), **{"parameters": {"rank": 16}, **other})
    along = next(one for one in compared(folder) if one.along == "rank")
    assert (along.refused, along.verdict, along.delta) == (reason, None, None)
    control = compared(folder)[0]
    assert control.verdict == "within noise" and control.family == (2 if "not 16" in reason else 1)


def test_a_smaller_batch_is_marked_in_every_comparison_and_refused_along_the_batch(folder: ExperimentFolder) -> None:
    for rank, batch, seed in ((8, 8, 1), (16, 8, 2), (8, 16, 3)):
        changed = {"batch_size": 4} if batch == 16 or rank == 16 else {}
        parameters = {"rank": rank, "batch_size": batch}
        add(folder, f"r{rank}b{batch}", outcomes(0.8, 60, seed), parameters=parameters, changes=changed)
    by_rank, by_batch = sorted(
        compared(folder, "variables: {rank: [8, 16], batch_size: [8, 16]}\n"), key=lambda one: one.along != "rank"
    )
    assert by_rank.verdict == "within noise" and "r16b8 trained with batch_size 4, not as planned" in by_rank.notes
    assert by_batch.refused == "r8b16 trained with batch_size 4, not 16 as planned"


def test_seeds_alone_tell_where_a_tool_tells_of_no_samples(folder: ExperimentFolder) -> None:
    for rank, scores in ((8, (0.70, 0.71, 0.72)), (16, (0.90, 0.91, 0.92))):
        for seed, value in enumerate(scores):
            metric = {"name": "bleu", "value": value, "higher_is_better": True, "samples": 50}
            own = {"point": f"rank{rank}", "seed": seed, "parameters": {"rank": rank}, "metrics": [metric]}
            add(folder, f"rank{rank}_seed{seed}", **own)
    (one,) = compared(folder)
    assert one.verdict == "better" and (one.seeds_a, one.seeds_b) == (3, 3) and "from the seeds alone" in one.notes[0]


def test_one_seed_and_no_samples_have_no_verdict(folder: ExperimentFolder) -> None:
    for rank, value in ((8, 0.7), (16, 0.9)):
        metric = {"name": "bleu", "value": value, "higher_is_better": True}
        add(folder, f"rank{rank}", parameters={"rank": rank}, metrics=[metric])
    (one,) = compared(folder)
    assert one.verdict is None and one.refused.startswith("nothing tells how sure the difference is")


def test_tables_have_a_line_for_each_value_and_each_failure(folder: ExperimentFolder) -> None:
    grid(folder, {"rank8": 0.8, "rank16": 0.8}, seeds=2, count=80, settings={"lr": 0.1})
    add(folder, "rank32", task=None, epoch=None, state="failed", cause="time limit", parameters={"rank": 32})
    rows = results.read(folder)
    table = compare.results_table(rows, compare.measures(folder, rows))
    assert [(line["run"], line["state"]) for line in table][-1] == ("rank32", "failed")
    first = next(line for line in table if line["point"] == "rank8")
    assert first["low"] < first["value"] < first["high"] and first["mean_low"] < first["mean"] < first["mean_high"]
    own = (first["n"], first["seeds"], first["hours"], first["parameter.rank"], first["settings"])
    assert own == (80, 2, 1.0, 8, {"lr": 0.1})


def test_the_interval_of_a_share_ends_at_one_whatever_seeds_say(folder: ExperimentFolder) -> None:
    for seed, accuracies in enumerate(((1.0, 0.6), (1.0, 0.8), (1.0, 1.0))):
        for rank, accuracy in zip((8, 16), accuracies, strict=True):
            right = outcomes(accuracy, 100, 10 * seed + rank)
            about = {"point": f"rank{rank}", "seed": seed, "parameters": {"rank": rank}}
            add(folder, f"rank{rank}_seed{seed}", right, **about)
    (measure,) = compare.measures(folder, results.read(folder))
    levels = [level for point in measure.points if (level := measure.level(point))]
    assert max(level[2] for level in levels) == 1.0 and all(0 <= level[1] <= level[0] for level in levels)
