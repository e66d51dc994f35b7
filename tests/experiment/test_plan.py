"""The plan of an experiment, and the runs and evaluations that it comes to."""

from __future__ import annotations

from pathlib import Path

import pytest

from progtrain.engine.errors import InputError
from progtrain.engine.experiment import expand, plan
from progtrain.engine.experiment.folder import ExperimentFolder

HEAD = "experiment: {name: cap, kind: %s}\nbase: {script: 02_train_v001.py}\n"


def parsed(text: str, kind: str = "grid") -> plan.Plan:
    return plan.parse(HEAD % kind + text, ExperimentFolder(Path("experiments/cap")))


def runs(text: str, kind: str = "grid") -> list[expand.Run]:
    return expand.runs(parsed(text, kind), ExperimentFolder(Path("experiments/cap")))


def cells(text: str) -> list[str]:
    read, folder = parsed(text), ExperimentFolder(Path("experiments/cap"))
    return [f"{cell.run}/{cell.name}" for cell in expand.cells(read, expand.runs(read, folder), folder)]


def test_a_grid_crosses_its_variables_in_the_order_of_the_plan() -> None:
    found = runs("variables: {rank: [8, 16], learning_rate: [1e-5, 5.0e-5]}\ncontrols: {epochs: 3}")
    assert [run.name for run in found] == [
        "rank8_learning_rate1e-5",
        "rank8_learning_rate5e-5",
        "rank16_learning_rate1e-5",
        "rank16_learning_rate5e-5",
    ]
    # YAML 1.1 reads 1e-5 as text
    assert found[0].settings == {"epochs": 3, "rank": 8, "learning_rate": 1e-5}


def test_variables_of_a_group_move_together() -> None:
    found = runs("variables: {lr: [0.1, 0.2], hidden: [8, 16], warmup: [1, 2]}\nzip: [[lr, warmup]]")
    points = [tuple(run.parameters.values()) for run in found]
    assert points == [(0.1, 8, 1), (0.1, 16, 1), (0.2, 8, 2), (0.2, 16, 2)]


@pytest.mark.parametrize(
    ("condition", "kept"),
    [
        ("a * b <= 4", ["a1_b2", "a1_b4", "a2_b2"]),
        ("a == 1 or b == 2", ["a1_b2", "a1_b4", "a2_b2"]),
        ("not a < 2", ["a2_b2", "a2_b4"]),
        ("a in [2, 3] and b - 2 > 0", ["a2_b4"]),
        ("1 < a < fixed", ["a2_b2", "a2_b4"]),
    ],
)
def test_conditions_drop_points(condition: str, kept: list[str]) -> None:
    text = f"variables: {{a: [1, 2], b: [2, 4]}}\ncontrols: {{fixed: 3}}\nwhere: ['{condition}']"
    assert [run.name for run in runs(text)] == kept


def test_names_of_many_variables_are_cut_and_differ_all_the_same() -> None:
    found = runs("variables: {" + ", ".join(f"a_rather_long_name_{n}: [{n}.5, {n}.25]" for n in range(9)) + "}")
    assert len({run.name for run in found}) == len(found) == 512
    assert max(len(run.name) for run in found) <= 100


def test_repeats_are_runs_with_seeds_of_their_own() -> None:
    found = runs("variables: {rank: [8]}\ncontrols: {seed: 7}\nrepeats: 3")
    assert [(run.name, run.seed, run.point) for run in found] == [
        ("rank8_seed7", 7, "rank8"),
        ("rank8_seed8", 8, "rank8"),
        ("rank8_seed9", 9, "rank8"),
    ]
    assert [run.settings["seed"] for run in found] == [7, 8, 9]


def test_what_is_trained_besides_is_repeated_too() -> None:
    """Else a control with one seed would be held against points with several."""
    found = runs(
        "variables: {rank: [8]}\nrepeats: 2\nruns:\n  add:\n    - {name: base, type: control}\n"
        "    - {name: more, parameters: {rank: 64}}\n    - {name: old, type: eval-only, checkpoint: old.ckpt}"
    )
    names = ["rank8_seed42", "rank8_seed43", "base_seed42", "base_seed43", "more_seed42", "more_seed43", "old"]
    assert [run.name for run in found] == names


def test_candidates_and_their_control_are_repeated() -> None:
    add = "runs: {add: [{name: base, type: control}, {name: wider, action: {operation: recipe, recipe: x}}]}"
    found = runs(f"{add}\nrepeats: 2", "candidates")
    assert [(run.name, run.point, run.seed) for run in found] == [
        ("base_seed42", "base", 42),
        ("base_seed43", "base", 43),
        ("wider_seed42", "wider", 42),
        ("wider_seed43", "wider", 43),
    ]
    assert found[3].action == {"operation": "recipe", "recipe": "x"}


def test_random_points_are_the_same_each_time_and_within_their_range() -> None:
    text = "variables: {lr: {low: 1e-5, high: 1e-2, log: true}, width: {low: 3, high: 5, whole: true}}\npoints: 30"
    first, again = runs(text, "random"), runs(text, "random")
    assert first == again and len({run.settings["lr"] for run in first}) == 30
    assert all(1e-5 <= run.settings["lr"] <= 1e-2 and run.settings["width"] in (3, 4, 5) for run in first)


def test_runs_are_added_and_skipped() -> None:
    found = runs(
        "variables: {rank: [8, 16]}\nruns:\n  skip: ['rank16*']\n  add:\n"
        "    - {name: base, type: control}\n    - {name: old, type: eval-only, checkpoint: Models/old.ckpt}"
    )
    assert [(run.name, run.type) for run in found] == [("rank8", "trained"), ("base", "control"), ("old", "eval-only")]


def test_every_run_is_evaluated_by_every_task_where_no_matrix_says_otherwise() -> None:
    assert cells("variables: {a: [1, 2]}") == ["a1/progtrain_best", "a2/progtrain_best"]
    assert cells(
        "variables: {a: [1, 2]}\nevaluation:\n  tasks: [{name: caps}, {name: sums}]\n"
        "  matrix: [{run: a1, tasks: [caps, sums], epochs: [best, 0]}, {run: '*', tasks: [caps]}]"
    ) == ["a1/caps_best", "a1/caps_epoch0", "a1/sums_best", "a1/sums_epoch0", "a2/caps_best"]


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("variable: {a: [1]}", "grid", "there is no key 'variable' here; did you mean variables?"),
        ("variables: {a: [1]}\nresources: {partion: gpu}", "grid", "did you mean partition?"),
        ("variables: {a: []}", "grid", "variables.a"),
        ("variables: {a: [1]}\na: 2\na: 3", "grid", "the key `a` comes twice"),
        ("variables: {a: [1], b: [1, 2]}\nzip: [[a, b]]", "grid", "a has 1, b has 2"),
        ("variables: {a: [1]}\nzip: [[a, c]]", "grid", "c is no variable"),
        ("variables: {a: [1]}\ncontrols: {a: 2}", "grid", "a is a variable and a control"),
        ("variables: {a: [1, 1.0]}", "grid", "are the same run"),
        ("variables: {a: ['x y', 'x-y']}", "grid", "two runs are called ax-y"),
        ("variables: {a: [1]}\nwhere: ['a > b']", "grid", "b is no variable"),
        ("variables: {a: [1]}\nwhere: ['open(a)']", "grid", "open is no variable"),
        ("variables: {a: [1]}\nwhere: ['a.real > 0']", "grid", "more than a comparison"),
        ("variables: {a: [1]}\nwhere: ['a > 1']", "grid", "nothing to run"),
        ("", "grid", "nothing to run"),
        ("variables: {a: [1]}\nruns: {skip: [b2]}", "grid", "nothing matches 'b2'"),
        ("variables: {a: {low: 1, high: 2}}", "grid", "a is a range"),
        ("variables: {a: {low: 1, high: 2}}", "random", "how many points to draw"),
        ("variables: {a: {low: 2, high: 1}}\npoints: 3", "random", "low must be below high"),
        ("variables: {a: [1]}", "hpo", "kind hpo and key search belong together"),
        ("variables: {a: [1]}\nresources: {memory: lots}", "grid", "a size such as 16G"),
        ("variables: {a: [1]}\nruns: {add: [{name: ../x}]}", "grid", "a name of letters"),
        ("variables: {a: [1]}\nruns: {add: [{name: inbox}]}", "grid", "a run cannot be called inbox"),
        ("variables: {a: [1]}\nresources: {sbatch: [hold]}", "grid", "an option of sbatch on one line"),
        ("variables: {a: [1]}\nresources: {sbatch: [--output=x]}", "grid", "--output is set by progtrain"),
        ("variables: {a: [1]}\nruns: {add: [{name: old, type: eval-only}]}", "grid", "a checkpoint belongs to"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(text: str, kind: str, said: str) -> None:
    with pytest.raises(InputError) as refused:
        runs(text, kind)
    assert said in str(refused.value)
    assert "experiment.yaml" in str(refused.value)


@pytest.mark.parametrize(
    ("row", "said"),
    [("{run: 'b*', tasks: [caps]}", "nothing matches 'b*'"), ("{tasks: [cap]}", "did you mean caps?")],
)
def test_a_row_of_the_matrix_that_matches_nothing_is_an_error(row: str, said: str) -> None:
    with pytest.raises(InputError, match="nothing matches") as refused:
        cells(f"variables: {{a: [1, 2]}}\nevaluation: {{tasks: [{{name: caps}}], matrix: [{row}]}}")
    assert said in str(refused.value)


def test_the_folder_has_the_name_of_the_experiment() -> None:
    with pytest.raises(InputError, match="the experiment is called cap, its folder other"):
        plan.parse(HEAD % "grid", ExperimentFolder(Path("experiments/other")))
