"""Reading `_eval/per_sample.csv` and what fails most."""

from __future__ import annotations

from pathlib import Path

import pytest

from progtrain.engine import metrics
from progtrain.engine.analysis.measure.failures import chance, find_failures, find_flips, find_slices, find_worst
from progtrain.engine.analysis.measure.samples import read_per_sample
from progtrain.engine.errors import InputError

HEADER = "sample_id,truth,prediction,correct,loss,confidence,part__accuracy\n"


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_parts_missing_values_and_a_torn_line_are_understood(tmp_path: Path) -> None:
    text = HEADER + "a,cat,cat,True,0.1,0.95,1\nb,cat,dog,0,nan,,0\nc,dog,dog,Tr"
    samples = read_per_sample(write(tmp_path / "p.csv", text))
    assert samples.ids == ["a", "b"]
    assert samples.correct == [True, False]
    assert samples.loss == [0.1, None]
    assert metrics.value_of("Accuracy", samples.parts) == [1.0, 0.0]


@pytest.mark.parametrize(
    ("text", "reason"),
    [(None, "does not exist"), ("id,truth\n1,2\n", "no column sample_id"), (HEADER, "holds no sample")],
)
def test_what_cannot_be_used_is_one_clear_error(tmp_path: Path, text: str | None, reason: str) -> None:
    path = tmp_path / "p.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=reason):
        read_per_sample(path)


def test_regression_has_no_right_and_wrong(tmp_path: Path) -> None:
    rows = "".join(f"s{i},{i}.0,{i}.5,,0.25\n" for i in range(20))
    samples = read_per_sample(write(tmp_path / "p.csv", "sample_id,truth,prediction,correct,loss\n" + rows))
    assert not samples.is_classification
    found = find_failures(samples)
    assert (found.wrong, found.worst_class) == (None, None)
    assert found.chance_loss == pytest.approx(33.25)
    assert chance(samples, "rmse") == pytest.approx(33.25**0.5)
    assert [s.kind for s in find_slices(samples, None)] == ["target range"] * 4


def test_worst_class_confusion_and_flips_are_found(tmp_path: Path) -> None:
    rows = [f"c{i},cat,cat,True,0.1,0.9,1" for i in range(8)]
    rows += [f"d{i},dog,{'cat' if i < 3 else 'dog'},{i >= 3},{2 - i * 0.1},0.95,{int(i >= 3)}" for i in range(4)]
    after = read_per_sample(write(tmp_path / "after.csv", HEADER + "\n".join(rows) + "\n"))
    found = find_failures(after)
    assert (found.worst_class, found.worst_class_recall, found.imbalance) == ("dog", 0.25, 2.0)
    assert (found.confused_pair, found.confused_count) == (("dog", "cat"), 3)
    assert find_slices(after, None)[0].name == "dog"
    assert [row.sample_id for row in find_worst(after)] == ["d0", "d1", "d2"]
    before_text = HEADER + "\n".join(rows).replace("d0,dog,cat,False", "d0,dog,dog,True") + "\n"
    before = read_per_sample(write(tmp_path / "before.csv", before_text))
    assert [(f.sample_id, f.now) for f in find_flips(before, after)] == [("d0", "wrong")]
