"""`progtrain compare`: models over the same samples, from what their evaluations left."""

from __future__ import annotations

import csv
import importlib.util
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from progtrain.engine.cli.main import main
from progtrain.engine.records.against import against
from progtrain.engine.repeats.found import script_sha256
from progtrain.engine.rules.rules import load as load_rules
from progtrain.engine.workspace import VersionFolder, Workspace
from progtrain.tui.reading.comparison import pair
from progtrain.tui.reading.documents import read_report
from tests.cli.test_json import check

CLASSES = ["ant", "bee", "cow"]
COUNT = 90

Model = Callable[..., VersionFolder]
Told = Callable[..., dict[str, Any]]


@pytest.fixture
def model(ws: Workspace) -> Model:
    """Writes a model's evaluation: `answers` are right (True), wrong (False) or missing (None), one a sample."""
    rules = {"seed": 42, "eval_config": {"primary_metric": "accuracy", "metrics": ["accuracy"]}}
    ws.rules.write_text(json.dumps(rules))

    def write(name: str, answers: Sequence[bool | None], served: Sequence[str] = (), **protocol: Any) -> VersionFolder:
        external = name.startswith("external/")
        folder = VersionFolder(ws.external / name[9:]) if external else ws.version(name)
        folder.evaluation.mkdir(parents=True, exist_ok=True)
        if not external:
            ws.script(name).write_text("def load_split(split): ...\n")
        path = f"external:{name[9:]}" if external else "checkpoint"
        rows = ["sample_id,truth,prediction,correct,loss,part__accuracy,served_by,error"]
        for n, right in enumerate(answers):
            true = CLASSES[n % 3]
            said = "" if right is None else true if right else CLASSES[(n + 1) % 3]
            loss = "" if right is None else "0.1" if right else "2.0"
            error = "silent" if right is None else ""
            by = served[n] if served else path
            rows.append(f"s{n},{true},{said},{int(right is True)},{loss},{int(right is True)},{by},{error}")
        folder.per_sample.write_text("\n".join(rows) + "\n")
        found = [right for right in answers if right is not None]
        metrics: list[dict[str, Any]] = [
            {"name": "accuracy", "value": sum(found) / len(answers) if found else None, "higher_is_better": True}
        ]
        if external:
            share = len(found) / len(answers)
            metrics.append({"name": "answered", "value": share, "higher_is_better": True})
        at = "2026-01-01T00:00:00+00:00"
        score = {"dataset_id": "d", "created_at": at, "num_samples": len(answers), "metrics": metrics}
        folder.eval_score.write_text(json.dumps({**score, "latency_ms": 1.5}))
        basis = {"evaluator_sha256": "e", "data_sha256": "d", "checkpoint_sha256": name, "script_sha256": "s"}
        basis |= {"seed": 42, "split": "valid", "num_samples": len(answers), "created_at": at, "task": "classification"}
        folder.protocol.write_text(json.dumps({**basis, **protocol}))
        return folder

    return write


@pytest.fixture
def told(ws: Workspace, capsys: pytest.CaptureFixture[str]) -> Told:
    def compared(*names: str) -> dict[str, Any]:
        assert main(["-C", str(ws.root), "compare", *names, "--json"]) == 0, capsys.readouterr().err
        value: dict[str, Any] = json.loads(capsys.readouterr().out)
        return value

    return compared


def right_in(share: float) -> list[bool | None]:
    return [n % 10 < 10 * share for n in range(COUNT)]


def line(value: dict[str, Any], model: str, metric: str = "accuracy") -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in value["metrics"] if (one["model"], one["metric"]) == (model, metric))
    return found


def test_each_is_compared_with_the_first_and_all_of_it_is_written(ws: Workspace, model: Model, told: Told) -> None:
    model("v001", right_in(0.5))
    model("v002", right_in(0.9))
    model("external/rival", right_in(0.5))
    value = told("v001", "v002", "rival")
    assert value["against"] == "v001"
    better, same = line(value, "v002"), line(value, "external/rival")
    assert (better["delta"], better["verdict"], better["n"]) == (pytest.approx(0.4), "better", COUNT)
    assert better["low"] > 0
    assert "seed noise not measured" in better["note"]
    assert (same["delta"], same["verdict"]) == (0, "within noise")
    assert line(value, "v002", "latency_ms")["note"].startswith("no verdict")
    assert [(one["name"], one["kind"], one["samples"]) for one in value["dimensions"]] == [
        (name, "class", 30) for name in CLASSES
    ]
    assert value["dimensions"][0]["values"]["v002"] == pytest.approx(0.9)
    names = [Path(name).name for name in value["files"]]
    assert {"comparison.csv", "per_sample.csv", "comparison.md", "radar.svg"} <= set(names)
    folder = ws.root / Path(value["files"][0]).parent
    assert re.fullmatch(r"compare-\d{4}-\d\d-\d\d_\d\d-\d\d(-\d+)?", folder.name)
    with (folder / "per_sample.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == COUNT
    assert rows[5]["prediction v001"] != rows[5]["truth"] == rows[5]["prediction v002"]
    assert (rows[5]["correct v001"], rows[5]["served_by external/rival"]) == ("0", "external:rival")
    with (folder / "comparison.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert {(row["model"], row["verdict"]) for row in table if row["metric"] == "accuracy"} == {
        ("v001", ""), ("v002", "better"), ("external/rival", "within noise")
    }  # fmt: skip
    assert sum(row["dimension"].startswith("class ") for row in table) == 9
    said = (folder / "comparison.md").read_text()
    assert "| accuracy | v002 | 0.9000 | +0.4000 |" in said
    assert "| external/rival | 100 % | external:rival 100 % |" in said
    assert read_report(ws, folder.name) == (
        said, (folder / "comparison.csv").read_text(), "the comparison"
    )  # fmt: skip
    again = told("v001", "v002")
    assert Path(again["files"][0]).parent != Path(value["files"][0]).parent


def repeated(ws: Workspace, model: Model, version: str, evaluator: str = "e") -> None:
    """Two more trainings of the version, with rather other results."""
    for number, share in enumerate((0.3, 0.8), start=1):
        folder = ws.repeat(version, f"r{number}")
        folder.per_sample.parent.mkdir(parents=True)
        folder.per_sample.write_bytes(model("external/made", right_in(share)).per_sample.read_bytes())
        metrics = [{"name": "accuracy", "value": share, "higher_is_better": True}]
        kept = {"run": f"r{number}", "state": "finished", "seed": number, "metrics": metrics}
        kept |= {"script_sha256": script_sha256(ws, version), "evaluator_sha256": evaluator, "data_sha256": "d"}
        folder.result.write_text(json.dumps(kept))


def test_what_cannot_be_compared_tells_of_no_noise_in_report_app_and_log(
    ws: Workspace, model: Model, told: Told
) -> None:
    for version, share in (("v001", 0.5), ("v002", 0.7), ("v003", 0.5)):
        model(version, right_in(share), evaluator_sha256="another" if version == "v002" else "e")
    repeated(ws, model, "v002", "another")
    assert line(told("v001", "v003"), "v003")["note"] == "seed noise not measured"
    assert pair(ws, "v001", "v003").intervals["accuracy"].seed_noise == "seed noise not measured"
    found = against(ws, load_rules(ws), "v003", "v001").compared("accuracy")
    assert found is not None and found.seed_noise == "seed noise not measured"


def test_repeats_of_a_version_widen_the_interval(ws: Workspace, model: Model, told: Told) -> None:
    model("v001", right_in(0.5))
    model("v002", right_in(0.7))
    assert line(told("v001", "v002"), "v002")["verdict"] == "better"
    repeated(ws, model, "v002")
    found = line(told("v001", "v002"), "v002")
    assert found["delta"] == pytest.approx(0.1)
    assert found["verdict"] == "within noise"
    assert found["note"] == "seed noise 0.26 from 3 runs of v002"
    # as everywhere, they tell of other versions too
    model("v003", right_in(0.5))
    assert line(told("v001", "v003"), "v003")["note"] == "seed noise 0.26 from 3 runs of v002"


def test_an_error_in_numbers_is_how_far_off_an_answer_is(ws: Workspace, model: Model, told: Told) -> None:
    """In tables of another evaluator's own."""
    for name in ("v001", "v002"):
        folder = model(name, right_in(0.5))
        rows = [f"s{n},{n},{n + 1},,1,0.5" for n in range(40)]
        folder.per_sample.write_text("sample_id,truth,prediction,correct,loss,error\n" + "\n".join(rows) + "\n")
    assert [one["answered"] for one in told("v001", "v002")["models"]] == [None, None]


def test_a_model_with_a_fallback_gets_no_verdict(model: Model, told: Told) -> None:
    model("v001", right_in(0.5))
    model("external/router", right_in(0.9), ["fallback" if n % 10 == 0 else "router" for n in range(COUNT)])
    for names in (("v001", "external/router"), ("external/router", "v001")):
        value = told(*names)
        found = line(value, names[1])
        assert (found["verdict"], found["delta"]) == ("", None)
        assert found["note"] == "confounded: serving"
        why = f"confounded: serving (external/router is mixed: router 90 %, fallback 10 %): no verdict on {names[1]}"
        assert why in value["notes"]
    assert line(told("v001", "external/router"), "external/router")["value"] == pytest.approx(0.9)


def test_one_model_by_two_ways_is_confounded_and_two_models_are_not(model: Model, told: Told) -> None:
    model("v001", right_in(0.5))
    model("external/v001", right_in(0.9))
    model("external/other", right_in(0.9), ["their server"] * COUNT)
    value = told("v001", "external/v001", "external/other")
    assert [one["confounded"] for one in value["models"]] == [
        "", "serving (v001 by checkpoint, external/v001 by external:v001)", ""
    ]  # fmt: skip
    assert line(value, "external/v001")["note"] == "confounded: serving"
    assert line(value, "external/other")["verdict"] == "better"


def test_what_answers_nothing_is_never_the_best(model: Model, told: Told) -> None:
    model("v001", right_in(0.5))
    model("external/silent", [None] * COUNT)
    model("external/half", [n % 2 == 0 or None for n in range(COUNT)])
    value = told("v001", "external/silent", "external/half")
    silent = line(value, "external/silent")
    assert (silent["value"], silent["verdict"], silent["note"]) == (None, "", "not a number in both")
    assert line(value, "external/silent", "answered")["value"] == 0
    assert {one["values"]["external/silent"] for one in value["dimensions"]} == {0}
    # as many right answers as v001 has, and none to the rest: those are wrong ones
    half = line(value, "external/half")
    assert (half["value"], half["n"], half["verdict"]) == (0.5, COUNT, "within noise")
    assert "external/half answered 50 % of its samples" in value["notes"]


def test_other_data_are_refused_by_name_and_shown(model: Model, told: Told) -> None:
    model("v001", right_in(0.5))
    model("v002", right_in(0.9), data_sha256="other")
    model("external/elsewhere", right_in(0.9)).protocol.unlink()
    value = told("v001", "v002", "external/elsewhere")
    refused = {one["name"]: one["refused"] for one in value["models"]}
    assert refused["v002"] == "was scored by another evaluator or on other data"
    assert refused["external/elsewhere"].startswith("cannot be compared: nothing says how the score of external/else")
    assert line(value, "v002")["value"] == pytest.approx(0.9)
    assert line(value, "v002")["verdict"] == ""
    assert any(note.startswith("v002 was scored by another evaluator") for note in value["notes"])
    assert value["dimensions"][0]["values"].keys() == {"v001"}


def test_only_samples_that_all_have_are_laid_beside_each_other(model: Model, told: Told) -> None:
    model("v001", right_in(0.5))
    model("external/short", right_in(0.5)[:60])
    value = told("v001", "external/short")
    assert (value["samples"], line(value, "external/short")["n"]) == (60, 60)
    assert "30 of 90 samples are not in all of them, and left out beside each other" in value["notes"]


NUMBERS = "sample_id,truth,prediction,correct,loss\n"


def test_numbers_are_told_by_range_or_by_column(ws: Workspace, model: Model, told: Told) -> None:
    for name, off in (("v001", 1.0), ("v002", 2.0)):
        folder = model(name, right_in(0.5), class_names=["width", "height"])
        rows = [f"s{n},{n},{n + off},,{off}" for n in range(40)]
        folder.per_sample.write_text(NUMBERS + "\n".join(rows) + "\n")
    value = told("v001", "v002")
    assert [(one["name"], one["kind"], one["samples"]) for one in value["dimensions"]] == [
        ("0 to 9", "target range", 10), ("10 to 19", "target range", 10),
        ("20 to 29", "target range", 10), ("30 to 39", "target range", 10),
    ]  # fmt: skip
    assert value["dimensions"][2]["values"] == {"v001": 1.0, "v002": 2.0}
    for name, off in (("v001", 1.0), ("v002", 2.0)):
        rows = [f"s{n},{n} {n},{n + off} {n},,{off}" for n in range(40)]
        ws.version(name).per_sample.write_text(NUMBERS + "\n".join(rows) + "\n")
    value = told("v001", "v002")
    assert [(one["name"], one["values"]) for one in value["dimensions"]] == [
        ("width", {"v001": 1.0, "v002": 2.0}), ("height", {"v001": 0.0, "v002": 0.0}),
    ]  # fmt: skip
    assert "no radar: it needs three axes, and there are 2" in value["notes"]


def test_the_radar_has_an_axis_a_class_and_a_line_a_model(ws: Workspace, model: Model, told: Told) -> None:
    model("v001", right_in(0.5))
    model("external/a<b & $c", right_in(0.9))
    value = told("v001", "external/a<b & $c")
    path = next(ws.root / name for name in value["files"] if name.endswith("radar.svg"))
    root = ElementTree.fromstring(path.read_text())
    texts = [one.text for one in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {*CLASSES, "v001", "external/a<b & $c"} <= set(texts)
    filled = [one for one in root.iter("{http://www.w3.org/2000/svg}polygon") if one.get("fill") != "none"]
    assert [len(str(one.get("points")).split()) for one in filled] == [3, 3]
    drawn = any(name.endswith("radar.png") for name in value["files"])
    assert drawn == (importlib.util.find_spec("matplotlib") is not None)
    assert drawn or "radar.png was not drawn: pip install 'progtrain[plots]'" in value["notes"]


#: answers every second sample another way each time it is asked, by a file that it writes
ASKED = """
import argparse, csv, json, pathlib, shutil
p = argparse.ArgumentParser()
p.add_argument("--external")
p.add_argument("--output", type=pathlib.Path)
a = p.parse_args()
here = pathlib.Path("Models/external") / a.external
count = here / "count"
times = int(count.read_text()) + 1 if count.exists() else 1
count.write_text(str(times))
if times > 5:
    raise SystemExit("the server is gone")
shutil.copytree(here / "_eval", a.output / "_eval")
score = json.loads((here / "eval_score.json").read_text())
score["metrics"][0]["value"] = times / 10
(a.output / "eval_score.json").write_text(json.dumps(score))
rows = list(csv.DictReader((here / "_eval" / "per_sample.csv").open()))
for n, row in enumerate(rows):
    row["prediction"] = f"run {times}" if n % 2 else row["prediction"]
with (a.output / "_eval" / "per_sample.csv").open("w", newline="") as file:
    table = csv.DictWriter(file, rows[0].keys())
    table.writeheader()
    table.writerows(rows)
"""


def test_an_external_model_is_asked_anew_each_time(
    ws: Workspace, model: Model, told: Told, capsys: pytest.CaptureFixture[str]
) -> None:
    model("v001", right_in(0.5))
    model("external/rival", [None, *right_in(0.5)[1:]])
    ws.eval_script.write_text(ASKED)
    value = told("v001", "external/rival", "--repeat", "3")
    assert {"repeats[].same", "repeats[].spread.*", "repeats[].shares[].*", "models[].served_by.*"} <= check(
        dict(value)
    )
    asked = value["repeats"][0]
    assert (ws.external / "rival" / "count").read_text() == "3"
    assert (asked["model"], asked["runs"], asked["samples"]) == ("external/rival", 3, COUNT)
    # every second one, and the one that is never answered
    assert asked["same"] == pytest.approx(44 / 90)
    assert asked["unstable"][:3] == ["s0", "s1", "s3"]
    assert asked["spread"]["accuracy"] == {"mean": pytest.approx(0.2), "sd": pytest.approx(0.1), "min": 0.1, "max": 0.3}
    assert "a version is repeated by training it again: progtrain repeat v001" in value["notes"]
    folder = ws.root / Path(value["files"][0]).parent
    assert len(list((folder / "repeats" / "rival").glob("r*/eval_score.json"))) == 3
    assert main(["-C", str(ws.root), "compare", "external/rival", "--repeat", "3"]) == 1
    assert "external/rival could not be asked again: the server is gone" in capsys.readouterr().err
    assert list(ws.reports.iterdir()) == [folder], "a comparison is there as a whole or not at all"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["v001"], "one model alone is no comparison"),
        (["v001", "v009"], "there is no version and no external model 'v009'"),
        (["v001", "external/../v002"], "there is no version and no external model 'external/../v002'"),
        (["v001", "v002", "v001"], "v001 is named twice"),
        (["v001", "external/new"], "external/new has not been evaluated yet"),
        (["v001", "v002", "--repeat", "2"], "--repeat asks external models, and there is none"),
        (["v001", "v002", "--metric", "mae"], "none of them has a metric 'mae'"),
    ],
)
def test_what_cannot_be_compared_is_one_error(
    ws: Workspace, model: Model, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    model("v001", right_in(0.5))
    model("v002", right_in(0.9))
    (ws.external / "new").mkdir(parents=True)
    assert main(["-C", str(ws.root), "compare", *arguments]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said
    assert not any(ws.reports.glob("*")), "nothing is left of it"


def test_on_a_terminal_there_are_bars_and_one_metric_where_it_is_asked_for(
    ws: Workspace, model: Model, capsys: pytest.CaptureFixture[str]
) -> None:
    model("v001", right_in(0.5))
    model("v002", right_in(0.9))
    assert main(["-C", str(ws.root), "compare", "v001", "v002", "--metric", "acc"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"^accuracy +v001 +0\.5000", said, re.MULTILINE)
    assert re.search(r"^ +v002 +0\.9000 +\+0\.4000 .* better +seed noise not measured", said, re.MULTILINE)
    assert re.search(r"^ant \(30\) +v001 +█{12} +0\.5000$", said, re.MULTILINE)
    assert re.search(r"^written: Models/Report/compare-", said, re.MULTILINE)
