"""Readers of growing files: what is new, once, and nothing lost when a file is written anew."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from progtrain.engine.workspace import Workspace
from progtrain.tui.model import Model, Update
from progtrain.tui.reading.comparison import differing_settings
from progtrain.tui.reading.curves import CurveFeed, CurveKey, chart_of
from progtrain.tui.reading.documents import DraftReader
from progtrain.tui.reading.log import LogTail
from progtrain.tui.reading.pictures import read_picture
from progtrain.tui.reading.sample_files import kept_ids, read_kept
from progtrain.tui.reading.samples import flips, read_outcomes
from tests.tui.fakes import fill, write_curves


def test_a_log_is_read_from_where_it_ended(tmp_path: Path) -> None:
    path, tail = tmp_path / "output.log", LogTail()
    path.write_bytes(b"one\ntw")
    first = tail.read(path)
    assert first and (first.lines, first.open_line, first.fresh) == (("one",), "tw", True)
    assert tail.read(path) is None
    with path.open("ab") as file:
        file.write(b"o\nthree\n")
    second = tail.read(path)
    assert second and (second.lines, second.open_line, second.fresh) == (("two", "three"), "", False)


def test_a_log_that_was_written_anew_starts_over(tmp_path: Path) -> None:
    path, tail = tmp_path / "output.log", LogTail()
    path.write_text("a long first attempt\n")
    tail.read(path)
    path.write_text("b\n")
    again = tail.read(path)
    assert again and again.fresh and again.lines == ("b",)


def test_a_flood_is_shown_by_its_end_and_says_so(tmp_path: Path) -> None:
    path, tail = tmp_path / "output.log", LogTail()
    path.write_bytes(b"".join(b"line %07d\n" % i for i in range(200_000)))
    rows = tail.read(path)
    assert rows and rows.skipped > 0 and rows.lines[-1] == "line 0199999"
    assert len(rows.lines) < 40_000


def test_a_missing_log_is_no_news(tmp_path: Path) -> None:
    assert LogTail().read(tmp_path / "none.log") is None
    assert LogTail().read(None) is None


@pytest.mark.parametrize(
    ("name", "chart", "role"),
    [
        ("train_loss_step", "loss", "train"),
        ("val_loss", "loss", "val"),
        ("loss", "loss", "train"),
        ("val_acc_epoch", "accuracy", "val"),
        ("lr-Adam", "learning rate", ""),
        ("Loss/valid", "loss", "val"),
        ("grad_norm", "grad norm", ""),
    ],
)
def test_logged_names_find_their_chart(name: str, chart: str, role: str) -> None:
    assert chart_of(name) == (chart, role)


def test_curves_come_once_and_then_only_what_is_new(ws: Workspace) -> None:
    write_curves(ws, "v001", rows=120)
    feed, model = CurveFeed(ws, "v001"), Model(ws.root)
    first = feed.read()
    model.apply(Update(curves=tuple(first)))
    assert {row.key.chart for row in first} == {"loss", "accuracy", "learning rate"}
    assert feed.read() == []
    path = ws.version("v001").logs / "version_0" / "metrics.csv"
    with path.open("a") as file:
        file.write("12,120,0.5,,,\n")
    model.apply(Update(curves=tuple(feed.read())))
    series = model.curves[CurveKey("v001", "loss", "train", "log")]
    assert len(series) == 121 and series.ys[-1] == 0.5


def test_a_rewritten_metrics_file_replaces_the_curve(ws: Workspace) -> None:
    write_curves(ws, "v001", rows=240)
    feed, model = CurveFeed(ws, "v001"), Model(ws.root)
    model.apply(Update(curves=tuple(feed.read())))
    path = ws.version("v001").logs / "version_0" / "metrics.csv"
    path.write_text("epoch,step,grad_norm,train_loss\n0,0,1.0,2.0\n0,1,1.1,1.9\n")
    model.apply(Update(curves=tuple(feed.read())))
    assert list(model.curves[CurveKey("v001", "loss", "train", "log")].ys) == [2.0, 1.9]


def test_the_live_file_is_drawn_while_it_is_ahead_of_the_log(ws: Workspace) -> None:
    live = ws.live("v001")
    live.parent.mkdir(parents=True)
    live.write_text('{"step": 5, "epoch": 1, "metrics": {"train_loss": 0.9}, "learning_rate": [0.1]}\n{"torn')
    feed, model = CurveFeed(ws, "v001"), Model(ws.root)
    model.apply(Update(curves=tuple(feed.read())))
    curve = model.curve("v001", "loss", "train")
    assert curve is not None and list(curve.ys) == [0.9]
    assert model.charts(("v001",)) == ["loss", "learning rate"]
    write_curves(ws, "v001", rows=120)
    model.apply(Update(curves=tuple(feed.read())))
    curve = model.curve("v001", "loss", "train")
    assert curve is not None and len(curve) == 120


def test_an_advisors_stream_grows_until_the_draft_lies_there(ws: Workspace) -> None:
    drafts, reader = ws.drafts("v002"), DraftReader(ws)
    drafts.path.mkdir(parents=True)
    drafts.events.write_text('{"event": "section", "name": "summary"}\n{"event": "text", "text": "Better"}\n')
    first = reader.read("v002")
    assert first and first.stream.endswith("## Summary\n\nBetter")
    drafts.analysis.write_text("## Summary\n\nBetter by far.\n")
    second = reader.read("v002")
    assert second and second.analysis.endswith("far.\n") and second.drafted
    assert reader.read("v002") is None


def test_samples_come_wrong_first_with_what_was_kept(ws: Workspace) -> None:
    fill(ws)
    outcomes = read_outcomes(ws, "v001")
    wrong = [o.correct is False for o in outcomes]
    assert wrong == sorted(wrong, reverse=True) and any(wrong)
    kept = kept_ids(ws, "v001")
    files = read_kept(kept["valid-001"], 20, 10)
    assert [(f.source, f.picture is not None) for f in files][:2] == [("input.png", True), ("output.json", False)]
    assert "prediction: 3" in files[1].text


def test_flips_are_the_samples_whose_outcome_changed(ws: Workspace) -> None:
    fill(ws)
    pairs = flips(read_outcomes(ws, "v001"), read_outcomes(ws, "v002"))
    assert pairs and all(a.correct != b.correct for a, b in pairs)
    assert [b.correct for _, b in pairs] == sorted(b.correct is True for _, b in pairs)


def test_a_comparison_tells_the_settings_of_all(ws: Workspace) -> None:
    fill(ws)
    assert differing_settings(ws, ("v001", "v002", "v004")) == (("LEARNING_RATE", ("0.001", "0.002", "0.004")),)


def test_small_pictures_are_enlarged_and_broken_ones_say_so(tmp_path: Path, ws: Workspace) -> None:
    fill(ws)
    picture = read_picture(kept_ids(ws, "v001")["valid-001"] / "input.png", 40, 8)
    assert (picture.width, len(picture.rows), len(picture.rows[0])) == (8, 16, 16)
    (tmp_path / "x.png").write_bytes(os.urandom(50))
    assert "cannot be drawn" in read_picture(tmp_path / "x.png", 10, 10).problem
