"""A campaign from its file to its report: planned, carried out, killed, gone on with, refused."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from progtrain.engine.campaign import file as read
from progtrain.engine.campaign import planned, runner, weakest
from progtrain.engine.control import lock
from progtrain.engine.errors import InputError
from progtrain.engine.experiment import expand
from progtrain.engine.experiment import folder as folders
from progtrain.engine.experiment.results import Row
from progtrain.engine.experiment.view import look
from progtrain.engine.workspace import Workspace
from progtrain.tui.reading.documents import read_report, report_names
from tests.cli.commands import as_json, progtrain
from tests.cli.test_json import check

Written = Callable[..., Path]


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The index of runs: of this test alone. Each training adds a line to a file."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("COUNT_FILE", str(tmp_path / "trainings.txt"))


@pytest.fixture
def two(ws: Workspace, finished: Workspace) -> Workspace:
    """Two versions that are trained and evaluated."""
    shutil.copytree(finished.root, ws.root, symlinks=True, dirs_exist_ok=True)
    return ws


@pytest.fixture
def written(tmp_path: Path) -> Written:
    def write(*variants: dict[str, Any], **keys: Any) -> Path:
        path = tmp_path / "lr.yaml"
        path.write_text(yaml.safe_dump({**keys, "variants": list(variants)}))
        return path

    return write


def trainings(tmp_path: Path) -> int:
    path = tmp_path / "trainings.txt"
    return len(path.read_text().splitlines()) if path.exists() else 0


def until(there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 90
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def files(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def report_of(ws: Workspace) -> Path:
    return max(ws.reports.glob("campaign-lr-*"), key=lambda path: path.stat().st_mtime_ns)


def table_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


LARGER: dict[str, Any] = {"version": "v001", "name": "larger", "set": {"learning_rate": 0.2}}
SAME: dict[str, Any] = {
    "version": "v002",
    "name": "longer",
    "action": {"operation": "set", "setting": "epochs", "to": 19},
}


def test_without_submit_the_plan_is_shown_and_nothing_written(two: Workspace, written: Written) -> None:
    path = written(LARGER, SAME | {"seeds": 2}, goal="Does a larger step help?")
    before = files(two.root)
    shown = progtrain(two, "campaign", str(path))
    assert shown.returncode == 0, shown.stderr
    assert "lr: 2 variants, 3 trainings" in shown.stdout and "learning_rate 0.2" in shown.stdout
    assert "2 runs of the loop" in shown.stdout and "Models/Artifacts/v001 holds" in shown.stdout
    told = as_json(two, "campaign", str(path), "--json")
    assert told["trainings"] == 3 and [row["state"] for row in told["variants"]] == ["planned"] * 2
    check(told)
    assert files(two.root) == before


def test_what_failed_is_kept_as_failed_and_counts_nowhere(two: Workspace, written: Written, tmp_path: Path) -> None:
    script = two.script("v001")
    broken = 'def main():\n    if LEARNING_RATE > 5:\n        raise RuntimeError("diverged")\n'
    script.write_text(script.read_text().replace("def main():\n", broken))
    path = written(LARGER, LARGER | {"name": "broken", "set": {"learning_rate": 9.0}}, SAME)
    said: list[str] = []
    assert runner.run(two, path, said.append) == 1
    # v001 is another script than the one that was evaluated: it is trained as it is, to compare with
    assert trainings(tmp_path) == 3
    made = report_of(two)
    rows = {(row["variant"], row["metric"]): row for row in table_of(made / "variants.csv")}
    failed = rows["broken", ""]
    assert failed["state"] == "failed" and "diverged" in failed["cause"]
    assert failed["value"] == failed["delta"] == failed["verdict"] == ""
    larger = rows["larger", "accuracy"]
    assert (larger["verdict"], larger["seed_noise"]) == ("better", "seed noise not measured")
    assert float(larger["value"]) > 0.9 and rows["longer", "accuracy"]["verdict"] == "within noise"
    assert {row["variants"] for row in table_of(made / "weakest.csv")} == {"2"}
    told = json.loads((made / "recommendation.json").read_text())
    assert told["changes"] == [{"setting": "LEARNING_RATE", "old": 0.02, "new": 0.2}]
    assert told["operation"] == {"operation": "set", "setting": "learning_rate", "to": 0.2}
    assert all((two.root / one.partition("#")[0]).is_file() for one in told["evidence"]) and told["evidence"]
    text = (made / "campaign.md").read_text()
    assert "In v001: LEARNING_RATE 0.02 -> 0.2" in text and "broken failed" in text and "best | 0" not in text
    # again: nothing is trained twice, what failed stays so
    assert runner.run(two, path, said.append) == 1
    assert trainings(tmp_path) == 3 and report_of(two) != made
    told = as_json(two, "campaign", str(path), "--status", "--json")
    assert {row["variant"]: row["state"] for row in told["variants"]}["broken"] == "failed"
    check(told)
    # what a variant was before tells nothing of what the file says now
    path = written(LARGER | {"set": {"learning_rate": 0.3}}, SAME)
    told = as_json(two, "campaign", str(path), "--json")
    assert {row["variant"]: row["state"] for row in told["variants"]} == {"larger": "planned", "longer": "done"}
    assert told["trainings"] == 1
    # nor is a verdict given on what was trained with another script
    path = written(LARGER, SAME)
    script.write_text(script.read_text().replace("WEIGHT_DECAY = 0.0", "WEIGHT_DECAY = 0.1"))
    told = as_json(two, "campaign", str(path), "--status", "--json")
    refused = {line["variant"]: line["refused"] for line in told["lines"] if line["metric"] == "accuracy"}
    assert refused == {"larger": "larger was trained with another script than v001 has now", "longer": ""}
    assert not told["recommendation"]["recommended"]


def test_a_killed_campaign_goes_on(
    two: Workspace, written: Written, tmp_path: Path, go_on: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(LARGER, SAME, SAME | {"name": "more", "action": {**SAME["action"], "to": 20}})
    monkeypatch.setenv("SECONDS_PER_EPOCH", "0.1")
    process = runner.start(two, "lr", path)
    until(lambda: trainings(tmp_path) >= 1)
    assert lock.held(two.campaign_lock("lr"))
    refused = progtrain(two, "campaign", str(path), "--submit")
    assert refused.returncode == 4 and "at work already" in refused.stderr
    go_on.touch()
    until(lambda: trainings(tmp_path) >= 2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    monkeypatch.delenv("SECONDS_PER_EPOCH")
    assert runner.run(two, path, lambda text: None) == 0
    assert trainings(tmp_path) == 3
    assert len(table_of(report_of(two) / "variants.csv")) == 6


def test_a_submission_that_is_refused_is_a_failure(
    two: Workspace, written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(LARGER, resources={"executor": "slurm", "time": 10, "memory": "1G"})
    said: list[str] = []
    monkeypatch.setenv("PATH", "/nowhere")  # where no sbatch is
    assert runner.run(two, path, said.append) == 1 and trainings(tmp_path) == 0
    (row,) = table_of(report_of(two) / "variants.csv")
    assert row["state"] == "failed" and row["cause"].startswith("submission: ") and row["value"] == ""
    told = json.loads((report_of(two) / "recommendation.json").read_text())
    assert not told["recommended"] and told["why"].endswith("(of 1: 1 failed)")


def test_noise_is_that_of_the_seeds_where_it_was_measured(two: Workspace, written: Written) -> None:
    path = written({"version": "v002", "name": "wider", "set": {"weight_decay": 0.001}, "seeds": 3})
    assert runner.run(two, path, lambda text: None) == 0
    assert [held.run.seed for held in look(folders.folder(two, "lr-v002-x3")).states] == [42, 43, 44]
    row = next(row for row in table_of(report_of(two) / "variants.csv") if row["metric"] == "accuracy")
    assert (row["done"], row["verdict"], row["seed_noise"]) == ("3", "within noise", "")
    made = report_of(two)
    assert made.name in report_names(two)
    text, table, _ = read_report(two, made.name)
    assert "seed noise: sd " in text and "over 3 runs of wider" in text and table.startswith("variant,version,")
    told = json.loads((report_of(two) / "recommendation.json").read_text())
    assert not told["recommended"] and told["changes"] == []
    assert told["why"] == "no variant is better than its version beyond noise (of 1: 1 within noise)"


def test_seeds_may_be_named(two: Workspace, written: Written) -> None:
    path = written(LARGER | {"seeds": [7, 11]}, SAME)
    told = as_json(two, "campaign", str(path), "--json")
    assert told["trainings"] == 3 and [row["seeds"] for row in told["variants"]] == [2, 1]
    (first, _) = planned.steps(two, read.read(two, path), path)
    assert [run.seed for run in expand.runs(first.designed.experiment.plan, first.designed.experiment.folder)] == [
        7,
        11,
    ]
    for seeds, said in (([7, 7], "a seed is there twice"), ([7], "two seeds or more"), ("three", "seeds")):
        done = progtrain(two, "campaign", str(written(LARGER | {"seeds": seeds})))
        assert (done.returncode, said in done.stderr) == (2, True), done.stderr


def test_a_plan_that_somebody_edited_is_not_written_over(two: Workspace, written: Written) -> None:

    def steps(*variants: dict[str, Any]) -> list[planned.Step]:
        path = written(*variants)
        return planned.steps(two, read.read(two, path), path)

    (step,) = steps(LARGER)
    assert planned.write(step) and not planned.write(step)
    (more,) = steps(LARGER, LARGER | {"name": "largest", "set": {"learning_rate": 0.4}})
    assert planned.write(more)
    plan = more.designed.experiment.folder.plan
    plan.write_text(plan.read_text().replace("0.4", "0.3"))
    with pytest.raises(InputError, match="by hand"):
        planned.write(step)


@pytest.mark.parametrize(
    ("variant", "keys", "place", "said"),
    [
        ({"versoin": "v001"}, {}, "variants[0]", "did you mean version?"),
        ({"version": "v011"}, {}, "variants[0].version", "did you mean v001?"),
        ({"version": "v001", "set": {"learning_rat": 0.2}}, {}, "set.learning_rat", "did you mean learning_rate?"),
        ({"version": "v001", "set": {"batch_size": 4}}, {}, "set.batch_size", "locked by the rules: batch_size"),
        ({"version": "v001", "set": {"learning_rate": 0.02}}, {}, "set.learning_rate", "it changes nothing"),
        ({"version": "v001", "set": {"learning_rate": "a"}}, {}, "set.learning_rate", "'a' is text"),
        ({"version": "v001", "set": {"seed": 1}}, {}, "set.seed", "the seed is no change"),
        ({"version": "v001", "seeds": [1]}, {}, "seeds", "two seeds or more"),
        ({"version": "v001", "action": {"operation": "sett"}}, {}, "action", "unknown operation 'sett'"),
        ({"version": "v001"}, {}, "variants[0]", "a variant changes something"),
        ({"version": "v001", "name": "v002", "set": {"epochs": 3}}, {}, "name", "is what a version is called"),
        (LARGER, {"resources": {"parallel": 2}}, "resources.parallel", "one variant after the other"),
        (LARGER, {"campaign": "a/b"}, "campaign", "it is a folder's"),
        (LARGER | {"action": {"operation": "set"}}, {}, "variants[0]", "two changes"),
    ],
)
def test_a_file_is_refused_whole(
    two: Workspace, written: Written, variant: dict[str, Any], keys: dict[str, Any], place: str, said: str
) -> None:

    path = written(SAME, variant, **keys)
    with pytest.raises(InputError) as caught:
        planned.steps(two, read.read(two, path), path)
    shown = str(caught.value)
    assert str(path) in shown and place.replace("[0]", "[1]") in shown and said in shown and "fix: " in shown


def _samples(path: Path, header: str, rows: list[str]) -> Row:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows]) + "\n")
    metrics = [{"name": "mae", "value": 1.0, "higher_is_better": False}]
    about = {"experiment": "x", "run": path.parent.name, "point": path.parent.name, "state": "done", "task": "t"}
    return Row.model_validate({**about, "metrics": metrics, "per_sample": str(path)})


def test_the_weakest_dimensions_are_counted_over_all_variants(tmp_path: Path) -> None:
    header = "sample_id,truth,prediction,part__mae_warm,part__mae_bright"
    one = _samples(
        tmp_path / "one/per_sample.csv", header, [f"s{i},{i},{i + (9 if i < 2 else 0)},1,3" for i in range(8)]
    )
    two = _samples(
        tmp_path / "two/per_sample.csv", header, [f"s{i},{i},{i + (5 if i < 2 else 0)},4,2" for i in range(8)]
    )
    lost = one.model_copy(update={"run": "lost", "point": "lost", "state": "failed", "per_sample": ""})
    lines, notes = weakest.find([one, two, lost], {"one", "two"})
    by_name = {line["name"]: line for line in lines}
    assert by_name["0 to 1"] | {"kind": "target range", "weakest_on": 2, "variants": 2, "mean": 7} == by_name["0 to 1"]
    assert (by_name["0 to 1"]["worst"], by_name["0 to 1"]["worst_variant"]) == (9, "one")
    warm, bright = by_name["warm"], by_name["bright"]
    assert (warm["weakest_on"], bright["weakest_on"], warm["mean"], bright["mean"]) == (1, 1, 2.5, 2.5)
    assert lines[0]["name"] == "0 to 1" and notes == []
