"""What an analysis writes: tables, a report that answers first, and plots."""

from __future__ import annotations

import csv
import importlib.util
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from progtrain.engine.errors import InputError
from progtrain.engine.experiment import board, drawing, plots, report, results
from progtrain.engine.experiment.folder import ExperimentFolder
from progtrain.engine.experiment.plots import Plot
from progtrain.engine.experiment.workers.base import Score
from progtrain.engine.workspace import VersionFolder, Workspace
from tests.experiment.simulated import a_plan, add, grid, outcomes

GRID = "variables: {rank: [8, 16], lr: [0.1, 0.2]}\n"


@pytest.fixture
def folder(ws: Workspace) -> ExperimentFolder:
    return ExperimentFolder(ws.experiments / "cap")


def two_by_two(folder: ExperimentFolder) -> None:
    """The rate matters, the rank does not."""
    for at, (rank, lr) in enumerate(((8, 0.1), (16, 0.1), (8, 0.2), (16, 0.2))):
        right = outcomes(0.6 if lr == 0.1 else 0.85, 300, at)
        name = f"rank{rank}_lr{lr}"
        add(folder, name, right, parameters={"rank": rank, "lr": lr}, seconds=1800.0 * (at + 1))
        logs = VersionFolder(folder.run(name).artifacts).logs / "version_0"
        logs.mkdir(parents=True)
        lines = "".join(f"{epoch},{epoch},{1 / (epoch + 1)}\n" for epoch in range(3))
        (logs / "metrics.csv").write_text(f"epoch,step,val_loss\n{lines}")


def analyzed(ws: Workspace, folder: ExperimentFolder, text: str = GRID) -> str:
    written = report.analyze(folder, a_plan(text, folder), ws)
    assert written[-1] == folder.report and all(path.is_file() for path in written)
    return folder.report.read_text()


def test_the_report_answers_the_question_first(ws: Workspace, folder: ExperimentFolder) -> None:
    two_by_two(folder)
    text = analyzed(ws, folder)
    head, answer = text.split("## ")[0], [line for line in text.splitlines() if line.startswith("- ")]
    assert "**Does rank matter?**" in head
    assert answer[0].startswith("- **rank** makes no difference beyond noise in 2 pairs; the largest is")
    assert answer[1].startswith("- **lr** matters: 2 of 2 pairs differ beyond noise; the most,")
    assert "The best value is 0.8" in answer[2] and "it is not told apart from" in answer[2]
    assert "Seed noise was not measured" in text and "There was no control" in text


def test_runs_that_a_plan_lists_by_name_vary_too(ws: Workspace, folder: ExperimentFolder) -> None:
    two_by_two(folder)
    runs = [
        f"{{name: rank{rank}_lr{lr}, parameters: {{rank: {rank}, lr: {lr}}}}}" for rank in (8, 16) for lr in (0.1, 0.2)
    ]
    text = f"runs: {{add: [{', '.join(runs)}]}}\n"
    planned = a_plan(text, folder, "list")
    report.analyze(folder, planned, ws)
    told = folder.report.read_text()
    assert "- **rank** makes no difference" in told and "- **lr** matters" in told
    assert (folder.plots / "heat-caps-best-accuracy-rank-lr.svg").is_file()


def test_failures_and_changes_are_told_with_their_reasons(ws: Workspace, folder: ExperimentFolder) -> None:
    grid(folder, {"base": 0.7, "rank8": 0.7}, seeds=2, count=60)
    add(folder, "rank16", task=None, epoch=None, state="failed", cause="GPU memory", parameters={"rank": 16})
    add(folder, "rank32", outcomes(0.7, 60, 9), parameters={"rank": 32}, changes={"batch_size": 4}, attempts=2)
    text = analyzed(ws, folder, "variables: {rank: [8, 16, 32]}\n")
    failed = text.split("## What failed")[1].split("##")[0]
    assert "- rank16: failed, GPU memory" in failed
    assert "- rank32 trained with batch_size 4 instead of what was planned, in attempt 2" in failed
    limits = text.split("cannot say")[1]
    assert "rank32 trained with batch_size 4, not as planned" in limits
    assert (
        "Not compared by accuracy: rank16 against base, rank16 against rank8, rank32 against rank16: "
        "rank16 has no accuracy" in limits
    )
    assert "Seed noise is pooled" in limits and "There was no control" not in limits
    assert "Against the control **base**: 2 within noise, of 3." in text


def test_tables_are_csv_with_the_settings_that_were_trained_with(ws: Workspace, folder: ExperimentFolder) -> None:
    add(folder, "rank8", outcomes(0.7, 60, 1), parameters={"rank": 8}, settings={"rank": 8, "lr": 0.3})
    add(folder, "rank16", outcomes(0.7, 60, 2), parameters={"rank": 16}, evaluator_sha256="other")
    analyzed(ws, folder, "variables: {rank: [8, 16]}\n")
    with folder.results_table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["run"], row["parameter.rank"], row["settings"]) for row in rows] == [
        ("rank8", "8", '{"rank": 8, "lr": 0.3}'),
        ("rank16", "16", ""),
    ]
    with folder.comparisons.open(newline="") as file:
        (pair,) = csv.DictReader(file)
    assert (pair["refused"], pair["verdict"], pair["delta"]) == ("scored by another evaluator", "", "")


def test_nothing_measured_is_an_error(ws: Workspace, folder: ExperimentFolder) -> None:
    add(folder, "rank8", task=None, epoch=None, state="failed", cause="exception")
    with pytest.raises(InputError, match="nothing to analyze") as caught:
        analyzed(ws, folder)
    assert caught.value.fix and not folder.analysis.exists()


def test_plots_are_drawn_as_xml_that_can_be_read(ws: Workspace, folder: ExperimentFolder) -> None:
    two_by_two(folder)
    analyzed(ws, folder)
    (folder.plots / "forest-of-an-earlier-analysis.svg").write_text("<svg/>")
    analyzed(ws, folder)
    drawn = {path.stem: ET.fromstring(path.read_text()) for path in folder.plots.glob("*.svg")}
    assert sorted(drawn) == [
        "cost-caps-best-accuracy",
        "curves-val_loss",
        "effect-caps-best-accuracy-lr",
        "effect-caps-best-accuracy-rank",
        "forest-caps-best-accuracy",
        "heat-caps-best-accuracy-rank-lr",
    ]
    for name, root in drawn.items():
        width, height = float(root.attrib["width"]), float(root.attrib["height"])
        places = [(float(one.attrib["x"]), float(one.attrib["y"])) for one in root.iter() if one.tag.endswith("text")]
        assert places and all(0 <= x <= width and 0 <= y <= height for x, y in places), name
    texts = {one.text for one in drawn["forest-caps-best-accuracy"].iter() if one.text}
    assert {"rank 16 against 8 (lr 0.1)", "better", "within noise"} <= texts


def test_series_say_what_is_drawn(folder: ExperimentFolder) -> None:
    assert plots.of(folder, a_plan(GRID, folder)) == []
    two_by_two(folder)
    rows = results.read(folder)
    made = {plot.name: plot for plot in plots.of(folder, a_plan(GRID, folder))}
    values = {row.run: row.metrics[0].value or 0.0 for row in rows}
    effect = made["effect-caps-best-accuracy-lr"]
    assert effect.x_names == ["0.1", "0.2"]
    name, _, means, _ = effect.series[0]
    expected = [(values[f"rank8_lr{lr}"] + values[f"rank16_lr{lr}"]) / 2 for lr in (0.1, 0.2)]
    assert name == "mean" and list(means) == pytest.approx(expected)
    assert [one[0] for one in effect.series[1:]] == ["rank 8", "rank 16"]
    heat = made["heat-caps-best-accuracy-rank-lr"]
    assert heat.cells[1][0] == values["rank8_lr0.2"]
    hours = {name: list(x) for name, x, *_ in made["cost-caps-best-accuracy"].series}
    assert hours["rank16_lr0.1"] == [1.0]
    assert made["curves-val_loss"].series[0][2] == [1, 0.5, pytest.approx(1 / 3)]


def test_tables_and_plots_of_the_primary_metric_come_first(ws: Workspace, folder: ExperimentFolder) -> None:
    for rank, value in ((8, 0.6), (16, 0.7)):
        scores = [Score(name, value, 50, True) for name in ("auroc", "accuracy", "f1")]
        add(folder, f"rank{rank}", metrics=results.measured(scores), parameters={"rank": rank})
    ws.rules.write_text('{"eval_config": {"primary_metric": "accuracy"}}')
    text = analyzed(ws, folder, "variables: {rank: [8, 16]}\n")
    assert text.index("## accuracy (") < text.index("## auroc (") < text.index("## f1 (")
    drawn = [line for line in text.split("## Plots")[1].splitlines() if line.startswith("![")]
    of_it = ["accuracy" in line for line in drawn]
    assert of_it == sorted(of_it, reverse=True) and 0 < sum(of_it) < len(drawn)
    # and on the screen
    shown = ["accuracy" in plot.name for plot in board.plots_of(ws, "cap")]
    assert shown == of_it


@pytest.mark.parametrize("kind", ["lines", "points"])
def test_odd_names_and_single_values_can_be_drawn(kind: str) -> None:
    series = [('<a & "b">\x1b[31m', [1.0], [0.5], [(0.5, 0.5)]), ("c", [1.0], [0.5], None)]
    made = drawing.svg(Plot("x", kind, "t ]]> \x00 ü", "x", "y", series))  # type: ignore[arg-type]
    assert '<a & "b">' in "".join(ET.fromstring(made).itertext())


@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="matplotlib is not installed")
def test_png_beside_svg(ws: Workspace, folder: ExperimentFolder) -> None:
    two_by_two(folder)
    analyzed(ws, folder)
    names = {path.stem for path in folder.plots.glob("*.svg")}
    assert {path.stem for path in folder.plots.glob("*.png")} == names
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in folder.plots.glob("*.png"))


@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is not None, reason="matplotlib is installed")
def test_where_matplotlib_is_missing_the_report_says_so(ws: Workspace, folder: ExperimentFolder) -> None:
    two_by_two(folder)
    assert "PNG files are drawn where matplotlib is installed" in analyzed(ws, folder)


def test_curves_are_found_where_tools_leave_them(tmp_path: Path) -> None:
    run = ExperimentFolder(tmp_path).run("rank8")
    assert plots.curves_of(run) is None
    run.artifacts.mkdir(parents=True)
    (run.artifacts / "metrics.csv").write_text("step,val_loss\n0,1.0\n")
    held = plots.curves_of(run)
    assert held is not None and held.per_epoch("val_loss") == [(1, 1.0)]
