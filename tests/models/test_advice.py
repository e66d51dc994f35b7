"""The benchmark of the advice: its statistics on known numbers, its faults, and one loop from end to end."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from benchmarks import advice, advice_first, advice_report, advice_score, advice_tasks
from benchmarks.advice_plot import lines_plot
from benchmarks.advice_score import Scale, better, chosen, held_at, holm, interval, iqm
from benchmarks.advice_trials import Trial
from progtrain.engine.analysis.vocabulary import DIAGNOSES


@pytest.mark.parametrize(
    ("values", "mean"),
    [
        ([1.0, 2.0, 3.0, 4.0], 2.5),
        ([0.0, 1.0, 1.0, 100.0], 1.0),
        # five values: the outer ones not at all, their neighbours by three quarters
        ([-9.0, 1.0, 2.0, 4.0, 9.0], (0.75 * 1 + 2 + 0.75 * 4) / 2.5),
        ([7.0], 7.0),
    ],
)
def test_the_interquartile_mean_leaves_out_a_quarter_on_each_side(values: list[float], mean: float) -> None:
    assert iqm(values) == pytest.approx(mean)


def test_the_interval_holds_the_mean_and_is_the_same_again() -> None:
    values = [0.1, 0.4, 0.5, 0.6, 0.9, 1.0, 0.7, 0.3]
    low, high = interval(values)
    assert low < iqm(values) < high
    assert interval(values) == (low, high)
    assert interval([0.5] * 6) == (0.5, 0.5)


def test_a_clear_lead_over_six_cells_has_the_smallest_p_there_is() -> None:
    one = {f"cell {n}": 0.5 + n / 10 for n in range(6)}
    other = {name: value - 0.1 - value / 10 for name, value in one.items()}
    assert better(one, other) == pytest.approx(1 / 2**6)
    assert better(other, one) == pytest.approx(1.0)
    assert better(one, one) == 1.0
    assert better(one, {"another": 1.0}) is None


def test_holm_corrects_the_smallest_p_most() -> None:
    found = holm({"a": 0.01, "b": 0.04, "c": 0.03})
    assert found == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06})
    assert holm({"a": 0.9, "b": 0.8}) == {"a": 1.0, "b": 1.0}


def test_scores_are_cut_at_both_ends() -> None:
    scale = Scale(first=0.8, oracle=0.2)
    assert scale.score(0.8) == 0.0
    assert scale.score(0.2) == pytest.approx(1.0)
    assert scale.score(0.4) == pytest.approx(0.5)
    assert scale.plain(0.4) == pytest.approx(2 / 3)
    assert scale.score(1e-6) == advice_score.HIGHEST
    assert scale.score(1e6) == advice_score.LOWEST


def test_what_counts_is_the_best_on_validation_whatever_it_is_held_out() -> None:
    trials = [Trial(1, 0.5, 0.5), Trial(2, math.inf, None), Trial(3, 0.4, 0.9), Trial(4, 0.6, None)]
    assert [getattr(chosen(trials, n), "number", None) for n in (1, 2, 3, 4)] == [1, 1, 3, 3]
    assert held_at(trials, 4, 0.5) == 0.9
    assert held_at([Trial(1, math.inf, None)], 1, 0.7) == 0.7
    assert [Trial.of(trial.line()) for trial in trials] == trials


def test_the_diagnoses_that_count_are_ones_that_there_are() -> None:
    assert all(fault.right <= set(DIAGNOSES) for fault in advice_tasks.FAULTS.values())


def test_every_planned_cell_exists_and_says_what_its_repair_changes() -> None:
    for cell in [*advice.cells(advice.FULL), *advice.cells(advice.SMALL)]:
        assert (cell.fixed_script() != "") and set(cell.task.splits) == {"train", "valid", "test"}
        if cell.fault != "healthy":
            assert cell.fixed != cell.start or cell.fixed_by


def test_a_fault_that_costs_nothing_is_not_counted() -> None:
    first = advice_first.First(
        "a-rate_low", "rate_low", (("plateau", 0.9),), ("learning_rate_too_low",), 1, 1, 0.5, 0.05, 1
    )
    assert not first.real
    assert "rate_low" not in advice_first.table([first])


def test_the_plot_has_a_line_and_a_name_for_each_row() -> None:
    drawn = lines_plot({"one & two": {3: 0.1, 10: 0.9}, "three": {3: 0.0}}, "trainings", "score")
    assert drawn.count("<polyline") == 2
    assert "one &amp; two" in drawn


@pytest.mark.slow
def test_two_versions_of_one_cell_from_end_to_end(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    cell = advice_tasks.cell("iris", "rate_low")
    assert cell is not None
    advice.run([cell], ["rules", "halving", "tpe3"], tmp_path, versions=2, trials=3)
    trials = {arm: advice_score.read(tmp_path, cell.name, arm) for arm in ("rules", "halving", "tpe3")}
    assert [len(found) for found in trials.values()] == [2, 2, 3]
    # the same first version, whoever trained it
    assert len({found[0].valid for found in trials.values()}) == 1
    about = json.loads((tmp_path / "loops" / f"{cell.name}.rules.json").read_text())
    assert (about["drafts"], about["violations"], about["foreign_numbers"], about["ended"]) == (1, [], [], "")
    assert about["numbers"] > 0
    assert "learning_rate" in trials["rules"][1].change
    # done once is done
    advice.run([cell], ["rules"], tmp_path, versions=2, trials=3)
    assert advice_score.read(tmp_path, cell.name, "rules") == trials["rules"]


@pytest.mark.slow
def test_the_shuffled_arm_asks_for_briefings_to_shuffle(tmp_path: Path) -> None:
    cell = advice_tasks.cell("iris", "rate_low")
    assert cell is not None
    with pytest.raises(SystemExit, match="run that one first"):
        advice.run([cell], ["shuffled"], tmp_path, versions=2, trials=2)


def test_a_report_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="run --full first"):
        advice_report.write(advice.cells({"healthy": ("wine",)}), tmp_path)
