"""Finding runs again: the query language, and an index that is only a cache."""

from __future__ import annotations

import csv
import io
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from progtrain.engine.cli.main import progtrain
from progtrain.engine.errors import InputError
from progtrain.engine.experiment import index, query, results
from progtrain.engine.experiment.folder import ExperimentFolder
from progtrain.engine.experiment.results import Row
from progtrain.engine.workspace import Workspace
from tests.cli.test_json import check


def experiment(ws: Workspace, name: str, question: str, **of_runs: dict[str, Any]) -> ExperimentFolder:
    folder = ExperimentFolder(ws.experiments / name)
    folder.path.mkdir(parents=True)
    asked = f"{{name: {name}, question: '{question}', hypothesis: 'because of Zürich'}}"
    folder.plan.write_text(f"experiment: {asked}\nbase: {{script: 02_train_v003.py}}\n", encoding="utf-8")
    for run, told in of_runs.items():
        scores = {"acc": told.pop("acc", None), "val_loss": told.pop("loss", None)}
        measured = [{"name": name, "value": v, "higher_is_better": name == "acc"} for name, v in scores.items()]
        own = {"experiment": name, "run": run, "point": run, "state": "done", "task": "caps", "epoch": "best"}
        results.append(folder, Row.model_validate(own | {"metrics": measured} | told))
    return folder


@pytest.fixture
def filled(ws: Workspace) -> Workspace:
    experiment(
        ws,
        "cap_rank",
        "Which rank knows capital cities?",
        rank8={"parameters": {"rank": 8}, "settings": {"learning_rate": 1e-5, "optimizer": "AdamW"}, "acc": 0.75},
        rank16={"parameters": {"rank": 16}, "settings": {"learning_rate": 5e-5}, "acc": 0.85, "loss": 0.4},
        rank32={"parameters": {"rank": 32}, "state": "failed", "cause": "GPU memory", "task": None, "epoch": None},
    )
    experiment(ws, "width", "Wider?", width64={"parameters": {"width": 64}, "acc": 0.95, "device": "cpu"})
    return ws


def found(text: str, ws: Workspace | None = None, **more: Any) -> list[str]:
    return sorted(hit["run"] for hit in query.search(text, ws, **more)[0])


QUERIES: list[tuple[str, list[str]]] = [
    ("rank>8 metric:acc>.8 capital", ["rank16"]),
    ("rank>8", ["rank16", "rank32"]),
    ("rank>=8 rank<32", ["rank16", "rank8"]),
    ("rank!=16", ["rank32", "rank8"]),
    # any spelling of a setting or a metric, and numbers as YAML reads them
    ("lr=1e-5", ["rank8"]),
    ("setting:LEARNING_RATE==0.00005", ["rank16"]),
    ("accuracy>.8", ["rank16", "width64"]),
    ("metric:loss<=0.4", ["rank16"]),
    ("optimizer=adamw", ["rank8"]),
    ("state:failed", ["rank32"]),
    ("cause:GPU*", ["rank32"]),
    ("run:rank*", ["rank16", "rank32", "rank8"]),
    ("experiment:width", ["width64"]),
    ("task:caps device:cpu", ["width64"]),
    # words of questions, hypotheses and names, and beginnings of them
    ("capit", ["rank16", "rank32", "rank8"]),
    ("zürich", ["rank16", "rank32", "rank8", "width64"]),
    ('"capital cities"', ["rank16", "rank32", "rank8"]),
    ('"cities capital"', []),
    ("rank16", ["rank16"]),
    ("", ["rank16", "rank32", "rank8", "width64"]),
]


@pytest.mark.parametrize("full_text", [None, False], ids=["fts5", "plain"])
def test_queries(filled: Workspace, full_text: bool | None) -> None:
    answers = {text: found(text, filled, full_text=full_text) for text, _ in QUERIES}
    # LIKE knows capital letters of ASCII alone
    skipped = {"zürich"} if full_text is False else set()
    assert {text: runs for text, runs in answers.items() if text not in skipped} == {
        text: runs for text, runs in QUERIES if text not in skipped
    }
    notes = query.search("rank>8", filled, full_text=full_text)[2]
    assert notes == (
        []
        if full_text is None
        else ["this Python's SQLite has no full-text search: words are looked for as they stand"]
    )


@pytest.mark.parametrize(
    ("text", "reason", "fix"),
    [
        ("rnak>8", "no run has a parameter, setting or metric rnak", "did you mean rank?"),
        ("metric:rank>8", "no run has a metric rank", "known are "),
        ("metrc:acc>.8", "metrc is no kind of value", "did you mean metric:acc?"),
        ("rank>", "a value is missing after the sign", "such as"),
        ("rank>big", "'big' is no number", "such as"),
        ("state:", "a value is missing after the colon", "such as"),
        ("metric:acc", "metric: needs a comparison", "metric:acc>0.5"),
        ('"open', "a quotation mark is not closed", "such as"),
    ],
)
def test_what_cannot_be_understood_is_refused(filled: Workspace, text: str, reason: str, fix: str) -> None:
    with pytest.raises(InputError) as caught:
        query.search(text, filled)
    assert caught.value.reason == reason and (caught.value.fix or "").startswith(fix)


def test_what_changes_in_the_files_is_found_at_once(filled: Workspace) -> None:
    folder = ExperimentFolder(filled.experiments / "width")
    assert found("experiment:width", filled) == ["width64"]
    again = {"experiment": "width", "run": "width128", "point": "width128", "state": "done", "task": "caps"}
    results.append(folder, Row(**again, parameters={"width": 128}))
    assert found("width>64", filled) == ["width128"]
    folder.analysis.mkdir()
    folder.report.write_text("wider is better after all")
    assert found("better", filled) == ["width128", "width64"]
    folder.results.unlink()
    assert found("experiment:width", filled) == []


def test_workspaces_that_were_seen_are_searched_from_elsewhere(filled: Workspace, tmp_path: Path) -> None:
    query.search("", filled)
    other = Workspace(tmp_path / "other")
    experiment(other, "cap_rank", "Again?", rank64={"parameters": {"rank": 64}})
    assert found("rank>16", other) == ["rank32", "rank64"]
    assert found("rank>16") == ["rank32", "rank64"]
    # one that is away for a while costs nothing but itself
    other.root.rename(tmp_path / "away")
    assert found("rank>16") == ["rank32"]
    (tmp_path / "away").rename(other.root)
    assert found("rank>16") == ["rank32", "rank64"]


def _garbage(path: Path) -> None:
    path.write_bytes(os.urandom(4096))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _overwritten(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:100] + b"\xff" * (len(data) - 100))


def _of_another_version(path: Path) -> None:
    import sqlite3

    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE named")
        connection.execute("PRAGMA user_version = 99")
    connection.close()


@pytest.mark.parametrize("damage", [Path.unlink, _garbage, _cut, _overwritten, _of_another_version])
def test_an_index_that_is_lost_or_damaged_gives_the_same_answers(
    filled: Workspace, tmp_path: Path, cache: Path, damage: Callable[[Path], None]
) -> None:
    other = Workspace(tmp_path / "other")
    experiment(other, "more", "More?", rank64={"parameters": {"rank": 64}})
    for ws in (filled, other):
        query.search("", ws)
    before = {text: query.search(text) for text, _ in QUERIES}
    damage(cache)
    assert {text: query.search(text) for text, _ in QUERIES} == before


def test_nothing_of_it_is_written_to_the_workspace(filled: Workspace, cache: Path) -> None:
    before = sorted(filled.root.rglob("*"))
    query.search("", filled)
    assert cache.is_file() and sorted(filled.root.rglob("*")) == before


def test_where_no_cache_can_be_kept_it_is_made_for_the_moment(
    filled: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert found("rank>8", filled) == ["rank16", "rank32"]


def test_a_broken_plan_and_torn_results_are_no_hindrance(filled: Workspace) -> None:
    folder = ExperimentFolder(filled.experiments / "width")
    folder.plan.write_text("experiment: [")
    with folder.results.open("ab") as file:
        file.write(b'{"experiment": "wid')
    assert found("width", filled) == ["width64"]


@pytest.mark.slow
def test_twenty_thousand_runs_are_searched_in_a_fraction_of_a_second(ws: Workspace) -> None:
    """0.06 to 0.08 s of the processor where it was measured; asked for are 0.2 s on a quiet machine."""
    for number in range(200):
        folder = ExperimentFolder(ws.experiments / f"e{number}")
        folder.path.mkdir(parents=True)
        plain = {"experiment": folder.name, "state": "done", "task": "caps"}
        folder.results.write_text(
            "".join(
                json.dumps(
                    plain
                    | {"run": f"r{at}", "point": f"r{at}", "parameters": {"rank": at}, "settings": {"lr": at / 7}}
                    | {"metrics": [{"name": "acc", "value": (at * 37 % 100) / 100, "higher_is_better": True}]}
                )
                + "\n"
                for at in range(100)
            )
        )
    assert query.search("", ws, limit=1)[1] == 20_000
    spent = []
    for _ in range(5):
        begun = time.process_time()
        _, count, _ = query.search("rank>8 metric:acc>.8 caps", ws, limit=50)
        spent.append(time.process_time() - begun)
    assert count > 1000 and min(spent) <= 0.2


# commands


def told(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(progtrain, words, standalone_mode=False)
    if isinstance(done.exception, InputError):
        return done.exception.exit_code, str(done.exception)
    assert done.exception is None, done.output
    return done.exit_code, done.output


def test_the_command_shows_what_was_found(filled: Workspace) -> None:
    code, text = told("-C", str(filled.root), "experiment", "search", "rank>8", "state:done")
    assert code == 0 and text.splitlines()[1].split() == [
        "cap_rank",
        "rank16",
        "done",
        "rank",
        "16",
        "acc",
        "0.8500,",
        "val_loss",
        "0.4000",
    ]
    code, text = told("-C", str(filled.root), "experiment", "search", "rank>8", "--json")
    shown = json.loads(text)
    check(shown)
    assert shown["total"] == 2
    assert {row["run"] for row in shown["rows"]} == {"rank16", "rank32"}
    code, text = told("-C", str(filled.root), "experiment", "search", "rank>99")
    assert code == 2 and "no run matches 'rank>99'" in text


def test_all_runs_are_exported_as_one_table(filled: Workspace, tmp_path: Path) -> None:
    code, text = told("-C", str(filled.root), "experiment", "list", "--export", "csv")
    rows = {row["run"]: row for row in csv.DictReader(io.StringIO(text))}
    assert code == 0 and len(rows) == 4
    assert (rows["rank16"]["parameter.rank"], rows["rank16"]["metric.acc"]) == ("16", "0.85")
    assert (rows["rank32"]["state"], rows["rank32"]["cause"]) == ("failed", "GPU memory")
    file = tmp_path / "all.csv"
    assert told("-C", str(filled.root), "experiment", "list", "--export", "csv", "-o", str(file))[0] == 0
    assert file.read_text() == text


def test_parquet_needs_pyarrow_and_says_so(filled: Workspace, tmp_path: Path) -> None:
    file = tmp_path / "all.parquet"
    code, text = told("-C", str(filled.root), "experiment", "list", "--export", "parquet", "-o", str(file))
    try:
        from pyarrow import parquet
    except ImportError:
        assert code == 2 and "pip install pyarrow" in text and not file.exists()
    else:
        assert parquet.read_table(file).num_rows == 4


def test_versions_of_one_script_are_one_family(ws: Workspace) -> None:
    one, other = (index.family({"script": f"02_train_{version}.py"}, ws) for version in ("v003", "v012"))
    assert one == other == f"02_train.py in {ws.root}"
    assert index.family({"recipe": "lora", "model": {"path": "models/tiny"}}, ws) == "lora models/tiny"
    assert index.family({"command": ["python", "fit.py", "--rank", "{rank}"]}, ws) == f"python fit.py in {ws.root}"
