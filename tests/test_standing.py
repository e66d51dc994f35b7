"""Which versions have a rank among the others, and why one has none: alike wherever versions are compared."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from progtrain.engine import comparable
from progtrain.engine.control import marks
from progtrain.engine.control.launch import Options
from progtrain.engine.drafting import history
from progtrain.engine.files import LineReader
from progtrain.engine.loop import runner
from progtrain.engine.rules import rules
from progtrain.engine.status.view import WorkspaceView
from progtrain.engine.workspace import Workspace
from tests.cli.commands import progtrain

VERSIONS = ("v001", "v002", "v003")


def changed(path: Path, **fields: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


@pytest.fixture
def three(ws: Workspace) -> Workspace:
    """Three versions, scored alike: 0.5, 0.7, 0.6."""
    ws.rules.write_text(json.dumps({"eval_config": {"primary_metric": "accuracy", "metrics": ["accuracy"]}}))
    for version, value in zip(VERSIONS, (0.5, 0.7, 0.6), strict=True):
        ws.script(version).write_text("def load_split(split): ...\n")
        folder = ws.version(version)
        folder.evaluation.mkdir(parents=True)
        protocol = {"evaluator_sha256": "e", "data_sha256": "d", "seed": 42, "split": "valid"}
        folder.protocol.write_text(json.dumps(protocol))
        folder.per_sample.write_text("sample_id,truth\n" + "".join(f"s{n},1\n" for n in range(4)))
        metric = {"name": "accuracy", "value": value, "higher_is_better": True}
        told = {"dataset_id": "d", "created_at": "2026-01-01T00:00:00+00:00", "num_samples": 4, "latency_ms": None}
        folder.eval_score.write_text(json.dumps({**told, "metrics": [metric]}))
        spec = {"dataset_id": "d", "train_sha256": "t", "data_sha256": "a", "data": {"counts": {"valid": 4}}}
        folder.spec.write_text(json.dumps({**spec, "checkpoint": {"best_sha256": "b"}}))
        remark(ws, version)
    return ws


def remark(ws: Workspace, version: str) -> None:
    folder = ws.version(version)
    inputs = {"checkpoint": "b", "samples": comparable.samples_in(folder.per_sample)}
    outputs = [folder.eval_score, folder.protocol, folder.per_sample]
    marks.write(ws, version, "evaluate", outputs, clock=lambda: datetime(2026, 1, 1, tzinfo=UTC), inputs=inputs)


def fewer(ws: Workspace, version: str, count: int = 3) -> None:
    ws.version(version).per_sample.write_text("sample_id,truth\n" + "".join(f"s{n},1\n" for n in range(count)))
    remark(ws, version)


def targets(ws: Workspace, version: str, digest: str, how: str = "out of reach") -> None:
    changed(ws.version(version).protocol, samples_sha256=digest, targets=how)
    remark(ws, version)


def another_protocol(ws: Workspace, version: str, **fields: Any) -> None:
    changed(ws.version(version).protocol, **fields)
    remark(ws, version)


SCORED = "was scored by another evaluator or on other data"
TRAINED = "was trained on data that have changed since, or had other ones"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda ws: None, {}),
        (lambda ws: another_protocol(ws, "v002", evaluator_sha256="other"), {"v002": SCORED}),
        (lambda ws: another_protocol(ws, "v003", data_sha256="other"), {"v001": SCORED, "v002": SCORED}),
        (lambda ws: changed(ws.version("v002").spec, train_sha256="other"), {"v002": TRAINED}),
        (lambda ws: changed(ws.version("v003").spec, train_sha256="other"), {"v001": TRAINED, "v002": TRAINED}),
        # on other validation data all were scored again: they were trained alike
        (lambda ws: changed(ws.version("v002").spec, data_sha256="other"), {}),
        # the fingerprint was made in another way, and once in that way too
        (lambda ws: changed(ws.version("v003").spec, train_sha256="new", train_sha256_once="t"), {}),
        (lambda ws: fewer(ws, "v002"), {"v002": "was scored on other samples (3 instead of 4)"}),
        (lambda ws: fewer(ws, "v003"), {"v003": "was scored on other samples (3 instead of 4)"}),
        (lambda ws: fewer(ws, "v001"), {"v001": "was scored on other samples (3 instead of 4)"}),
        (lambda ws: fewer(ws, "v003", 9), {"v003": "was scored on other samples (9 instead of 4)"}),
        (
            lambda ws: changed(ws.version("v002").eval_score, num_samples=5),
            {"v002": "has another eval_score.json"},
        ),
        (
            lambda ws: changed(ws.version("v003").eval_score, num_samples=5),
            {"v003": "has another eval_score.json"},
        ),
        (lambda ws: changed(ws.version("v002").protocol, x=5), {"v002": "has another protocol.json than"}),
        (
            lambda ws: changed(ws.version("v002").spec, checkpoint={"best_sha256": "other"}),
            {"v002": "was scored before its last training (progtrain step evaluate --version v002 makes it anew)"},
        ),
        (
            lambda ws: changed(ws.version("v002").spec, data_changed_while_trained=["x"]),
            {"v002": "was trained while its data changed"},
        ),
    ],
)
def test_a_version_has_no_rank_where_it_is_not_like_the_others(
    three: Workspace, change: Callable[[Workspace], None], expected: dict[str, str]
) -> None:
    change(three)
    found = comparable.standing(three, VERSIONS)
    assert {version: why.startswith(expected.get(version, "?")) for version, why in found.items()} == dict.fromkeys(
        expected, True
    ), found
    # alike wherever versions are compared and ranked
    seen = WorkspaceView(three.root).snapshot()
    assert {row.version: row.not_ranked for row in seen.versions if row.not_ranked} == found
    present = rules.load(three)
    for until in (None, "v003"):
        records = history.records(three, present, until=until)
        assert {record.version: record.why_not for record in records if not record.comparable} == found
    best = max((row for row in seen.versions if row.version not in found), key=lambda row: row.value or 0)
    assert [row.version for row in seen.versions if row.is_best] == [best.version]
    listed = progtrain(three, "leaderboard")
    assert re.findall(r"^\s*(–|\d+)\s+(v\d+)", listed.stdout, re.MULTILINE)[0] == ("1", best.version), listed.stdout
    for version, why in found.items():
        assert f"{version} {why}: it is not ranked" in " ".join(listed.stdout.split())


def test_without_a_number_in_stats_the_first_says_which_samples_are_right(three: Workspace) -> None:
    for version in VERSIONS:
        changed(three.version(version).spec, data={})
    fewer(three, "v001")
    assert list(comparable.standing(three, VERSIONS)) == ["v002", "v003"]


def test_versions_from_before_marks_told_the_samples_are_read(three: Workspace) -> None:
    for version in VERSIONS:
        three.mark(version, "evaluate").unlink()
    assert comparable.standing(three, VERSIONS) == {}
    fewer(three, "v002")
    three.mark("v002", "evaluate").unlink()
    assert list(comparable.standing(three, VERSIONS)) == ["v002"]


def test_a_version_that_leaves_out_samples_wins_nothing(plain: Workspace) -> None:
    source = plain.baseline_script.read_text()
    begin = '    with (DATA / split / "data.csv").open() as file:\n'
    cheat = (
        f"{begin}        if VERSION == 'v002' and __name__ != '__main__':\n"
        "            import json\n"
        "            weights = json.loads((ARTIFACTS / 'best.ckpt').read_text())\n"
        "            rows = list(csv.DictReader(file))\n"
        "            rows = [(r['id'], [float(r['x']), float(r['y'])], int(r['label'])) for r in rows]\n"
        "            return [r for r in rows if (predict(weights, r[1]) > 0.5) == bool(r[2])]\n"
    )
    plain.baseline_script.write_text(source.replace(begin, cheat))
    assert runner.run(plain, Options(autopilot=True, max_versions=2)) == 0
    score = json.loads(plain.version("v002").eval_score.read_text())
    assert score["metrics"][1] == {"name": "accuracy", "value": 1.0, "higher_is_better": True}
    told = [str(e["text"]) for e in LineReader(plain.journal).read() if e["event"] == "warning"]
    assert any(text.startswith("v002: v002 was scored on other samples") for text in told), told
    insight = history.read_insight(plain, "v002")
    assert insight is not None
    assert (insight.best, insight.against_previous) == ("v001", None)
    confirmed = json.loads(next(plain.reports.glob("*/confirmed.json")).read_text())
    assert confirmed["best"] == "v001"
    assert list(confirmed["not_ranked"]) == ["v002"]
    report = next(plain.reports.glob("*/leaderboard.csv")).read_text().splitlines()
    assert [line.split(",")[0] for line in report[1:]] == ["v001", "v002"]
    assert report[2].endswith(f'{confirmed["not_ranked"]["v002"]}"')


def test_another_truth_for_the_same_samples_has_no_rank(three: Workspace) -> None:
    for version, digest in zip(VERSIONS, ("honest", "honest", "forged"), strict=True):
        targets(three, version, digest)
    found = comparable.standing(three, VERSIONS)
    assert list(found) == ["v003"]
    assert "another truth for the same samples" in found["v003"]


def test_samples_that_are_only_numbered_may_come_in_another_order(three: Workspace) -> None:
    for version in VERSIONS:
        targets(three, version, version, "within reach: val_dataloader() gives inputs and targets")
    assert comparable.standing(three, VERSIONS) == {}
