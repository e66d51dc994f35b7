"""Facts, verdicts and warnings put together from a version's files."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from progtrain.advisor.interface import Briefing
from progtrain.engine.analysis.facts import metric_text, rate_text, signed_text
from progtrain.engine.analysis.gather import gather
from progtrain.engine.analysis.measure.reading import choose_log
from progtrain.engine.analysis.types import Insight, Limits, VersionRecord
from progtrain.engine.analysis.vocabulary import BUCKETS, FACTS, RELATIVE_BUCKETS
from progtrain.engine.errors import InputError

if TYPE_CHECKING:
    from tests.insight.conftest import Lab


def test_facts_have_a_key_a_display_a_meaning_and_a_source(lab: Lab, limits: Limits) -> None:
    lab.version("v001", accuracy=0.8)
    lab.version("v002", accuracy=0.9)
    insight = gather(lab.ws, "v002", limits, lab.records)
    keys = [fact.key for fact in insight.facts]
    assert len(keys) == len(set(keys)) and set(keys) <= set(FACTS)
    assert all(fact.display and fact.source and fact.meaning == FACTS[fact.key] for fact in insight.facts)
    for fact in insight.facts:
        words = {word for word, _ in BUCKETS.get(fact.key, ())} | set(RELATIVE_BUCKETS.get(fact.key, ()))
        assert fact.bucket is None or fact.bucket in words, fact.key
    told = {fact.key: (fact.display, fact.bucket) for fact in insight.facts}
    assert told["value"] == ("0.9000", None)
    assert told["delta_previous"] == ("+0.1000", "improved")
    assert told["learning_rate"] == ("1e-2", "large")
    assert told["verdict_previous"] == ("better", None)
    assert told["flipped_right"] == ("20", "many")
    source = next(fact.source for fact in insight.facts if fact.key == "learning_rate")
    assert re.fullmatch(r"02_train_v002\.py, line \d+", source)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.96114, "0.9611"),
        (0.00004, "4.000e-05"),
        (0.000312, "0.0003120"),
        (0.0312, "0.03120"),
        (2900.123, "2900.12"),
        (None, ""),
        (float("nan"), ""),
        (0.0, "0.0000"),
    ],
)
def test_metrics_are_written_with_a_fitting_precision(value: float | None, text: str) -> None:
    assert metric_text(value) == text


def test_changes_bear_their_sign_and_rates_are_short() -> None:
    assert [signed_text(v) for v in (0.0139, -0.5, 0.0)] == ["+0.0139", "-0.5000", "0.0000"]
    assert [rate_text(v) for v in (0.001, 0.0003, 0.0125, 1.0, 0.0)] == ["1e-3", "3e-4", "1.25e-2", "1", "0"]


def test_the_first_version_has_nothing_to_compare_with(lab: Lab, limits: Limits) -> None:
    lab.version()
    insight = gather(lab.ws, "v001", limits, [])
    assert (insight.previous, insight.best, insight.best_earlier) == (None, "v001", None)
    assert insight.against_previous is None
    assert insight.fact("delta_previous") is None


def test_previous_and_best_are_compared_apart(lab: Lab, limits: Limits) -> None:
    lab.version("v001", accuracy=0.95)
    lab.version("v002", accuracy=0.6)
    lab.version("v003", accuracy=0.8)
    insight = gather(lab.ws, "v003", limits, lab.records)
    assert (insight.previous, insight.best, insight.best_earlier) == ("v002", "v001", "v001")
    assert insight.against_previous and insight.against_best
    assert (insight.against_previous.verdict, insight.against_best.verdict) == ("better", "worse")
    row = insight.metrics[0]
    assert (row.name, row.verdict_previous, row.verdict_best) == ("accuracy", "better", "worse")
    assert row.delta_best == pytest.approx(-0.15)


def test_a_tie_for_the_best_goes_to_the_lower_version(lab: Lab, limits: Limits) -> None:
    lab.version("v001", accuracy=0.9)
    lab.version("v002", accuracy=0.9)
    assert gather(lab.ws, "v002", limits, lab.records).best == "v001"


def test_metrics_in_opposite_directions_are_a_trade_off(lab: Lab, limits: Limits) -> None:
    lab.version("v001", accuracy=0.7)
    lab.version("v002", accuracy=0.9)
    path = lab.ws.version("v002").per_sample
    lines = path.read_text().splitlines()
    header = lines[0].split(",")
    rows = [dict(zip(header, line.split(","), strict=True)) for line in lines[1:]]
    for row in rows:
        row["loss"] = str(float(row["loss"]) + 1.0)
    lab.samples(rows, "v002")
    lab.score({"accuracy": 0.9, "loss": 1.3}, "v002")
    insight = gather(lab.ws, "v002", limits, lab.records)
    assert any("accuracy got better" in line and "loss got worse" in line for line in insight.trade_offs)


def test_what_is_not_comparable_is_not_compared_and_says_so(lab: Lab, limits: Limits) -> None:
    lab.version("v001", accuracy=0.5)
    lab.version("v002", accuracy=0.9)
    old = [replace(lab.records[0], comparable=False), lab.records[1]]
    insight = gather(lab.ws, "v002", limits, old)
    assert insight.against_previous is None and insight.best_earlier is None
    assert insight.metrics[0].delta_previous is None
    assert any("another evaluator" in warning for warning in insight.warnings)


def test_missing_files_become_warnings(lab: Lab, limits: Limits) -> None:
    lab.version("v001", accuracy=0.8)
    lab.version("v002", accuracy=0.9)
    lab.ws.version("v002").per_sample.unlink()
    (lab.ws.version("v002").logs / "version_0" / "metrics.csv").unlink()
    insight = gather(lab.ws, "v002", limits, lab.records)
    assert insight.metrics[0].delta_previous == pytest.approx(0.1)
    assert insight.metrics[0].verdict_previous is None
    assert any("no training log" in warning for warning in insight.warnings)
    assert any("per_sample.csv: the file does not exist" in warning for warning in insight.warnings)
    assert len(insight.candidates) >= 8


def test_what_the_script_reported_is_told_with_its_epoch(lab: Lab, limits: Limits) -> None:
    lab.version()
    lab.ws.version("v001").per_sample.unlink()
    lab.score({"accuracy": 0.9}, samples=0)
    sources = {"loss": "not in its log", "accuracy": "reported: val_acc, epoch 3 (the best by val_acc)"}
    lab.ws.version("v001").protocol.write_text(json.dumps({"sources": sources}))
    warnings = gather(lab.ws, "v001", limits, lab.records).warnings
    assert any("reported them for epoch 3 (the best by val_acc), not measured" in told for told in warnings)


def test_a_torn_log_and_a_script_that_does_not_parse_are_survived(lab: Lab, limits: Limits) -> None:
    lab.version(source="def broken(:\n")
    log = lab.ws.version("v001").logs / "version_0" / "metrics.csv"
    log.write_text("epoch,step,train_loss\n0,1,0.5\n1,2,0.")
    insight = gather(lab.ws, "v001", limits, lab.records)
    assert any("incomplete" in warning for warning in insight.warnings)
    assert any("not valid Python" in warning for warning in insight.warnings)
    assert insight.candidates == ()


def test_a_missing_score_is_an_error_with_its_file(lab: Lab, limits: Limits) -> None:
    lab.version()
    lab.ws.version("v001").eval_score.unlink()
    with pytest.raises(InputError, match="does not exist") as caught:
        gather(lab.ws, "v001", limits, [])
    assert caught.value.file and caught.value.file.endswith("eval_score.json")


def test_a_primary_metric_that_is_not_a_number_is_worse(lab: Lab, limits: Limits) -> None:
    lab.version("v001", accuracy=0.8)
    lab.version("v002", accuracy=None)
    insight = gather(lab.ws, "v002", limits, lab.records)
    assert insight.fact("value") is None
    assert (insight.best, insight.metrics[0].verdict_previous) == ("v001", "worse")
    assert any("no number for accuracy" in warning for warning in insight.warnings)


@pytest.mark.parametrize(
    ("logs", "spec", "chosen"),
    [
        (["version_0", "version_3"], {}, "version_0"),
        (["version_2", "version_10"], {}, "version_10"),
        (["version_0", "version_1"], {"log_dir": "logs/version_1"}, "version_1"),
        (["version_0", "version_1"], {"log_dir": "Models/Artifacts/v001/logs/version_1"}, "version_1"),
        (["version_0"], {"log_dir": "/etc"}, "version_0"),
        ([], {}, None),
    ],
)
def test_the_log_is_chosen_and_named(
    lab: Lab, limits: Limits, logs: list[str], spec: dict[str, str], chosen: str | None
) -> None:
    lab.version()
    lab.ws.version("v001").spec.write_text(json.dumps(spec))
    (lab.ws.version("v001").logs / "version_0" / "metrics.csv").unlink()
    for log in logs:
        lab.curves([1.0, 0.5], log=log)
    path = choose_log(lab.ws, lab.ws.version("v001"))
    assert (path.parent.name if path else None) == chosen
    insight = gather(lab.ws, "v001", limits, [])
    assert insight.log == (f"Models/Artifacts/v001/logs/{chosen}/metrics.csv" if chosen else "")


def test_regression_without_classes_works(lab: Lab) -> None:
    lab.version()
    rows = [
        {"sample_id": i, "truth": i, "prediction": i + (i % 5), "correct": "", "loss": (i % 5) ** 2} for i in range(100)
    ]
    lab.samples(rows)
    lab.score({"rmse": 2.45, "loss": 6.0}, samples=100)
    insight = gather(lab.ws, "v001", Limits(primary_metric="rmse", higher_is_better=False), [])
    assert insight.task == "regression"
    assert insight.fact("wrong") is None
    chance = insight.fact("chance")
    assert chance and chance.value == pytest.approx(28.866, abs=1e-3)
    assert insight.slices[0].kind == "target range"
    assert "use_huber_loss" not in {c.id for c in insight.candidates}, "the script has no squared error"


@pytest.mark.parametrize(
    ("stats", "expected"),
    [
        ({"num_train": 120, "task_type": "Classification"}, (120, "classification")),
        ({"splits": {"train": {"num_samples": 50}, "valid": 10}, "task": "regression"}, (50, "regression")),
        ({"counts": {"training": 7}}, (7, "classification")),
        ([1, 2], (None, "classification")),
    ],
)
def test_stats_are_read_whatever_their_schema(
    lab: Lab, limits: Limits, stats: object, expected: tuple[int | None, str]
) -> None:
    lab.version()
    path = lab.ws.stats("toy_v1")
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(stats))
    insight = gather(lab.ws, "v001", limits, [])
    count = insight.fact("train_samples")
    assert (count.value if count else None, insight.task) == expected


def test_the_scale_of_the_inputs_comes_from_the_data(lab: Lab, limits: Limits) -> None:
    lab.version()
    folder = lab.ws.split("toy_v1", "train")
    folder.mkdir(parents=True)
    rows = "".join(f"{i},{(i % 7) * 1000},{(i % 5) * 0.01},{i % 2}\n" for i in range(200))
    (folder / "table.csv").write_text("id,proline,hue,label\n" + rows)
    insight = gather(lab.ws, "v001", limits, [])
    scale = insight.fact("input_scale")
    assert scale and isinstance(scale.value, float) and scale.value > 10_000
    assert scale.source.endswith("train/table.csv")
    assert insight.findings[0].id == "unscaled_inputs"
    assert insight.candidates[0].id == "add_input_standardisation"


def test_an_insight_comes_back_from_json_as_it_was(lab: Lab, limits: Limits) -> None:
    lab.version("v001", accuracy=0.8)
    lab.version("v002", accuracy=0.9, base="v001", operation={"operation": "recipe", "recipe": "dropout"})
    insight = gather(lab.ws, "v002", limits, lab.records)
    assert Insight.model_validate_json(insight.to_json()) == insight
    assert insight.flips


def test_the_briefing_holds_facts_findings_options_and_what_was_tried(lab: Lab, limits: Limits) -> None:
    lab.version("v001", accuracy=0.8)
    lab.version(
        "v002", accuracy=0.9, base="v001", operation={"operation": "recipe", "recipe": "dropout"}, action_text="dropout"
    )
    insight = gather(lab.ws, "v002", limits, lab.records)
    briefing = insight.briefing(instruction=("keep it small",), hints=("more epochs?",))
    assert Briefing.model_validate_json(briefing.model_dump_json()) == briefing
    assert [option.rank for option in briefing.options] == [c.rank for c in insight.candidates]
    assert [(t.version, t.action, t.verdict) for t in briefing.tried] == [("v002", "dropout", "better")]
    assert briefing.hints == ("more epochs?",)


def test_text_from_data_cannot_control_a_terminal(lab: Lab, limits: Limits) -> None:
    lab.version(accuracy=0.5)
    path = lab.ws.version("v001").per_sample
    path.write_text(path.read_text().replace(",1,", ",\x1b[31mred|cat,"))
    insight = gather(lab.ws, "v001", limits, [])
    assert not any("\x1b" in fact.display for fact in insight.facts)


def test_later_versions_do_not_count(lab: Lab, limits: Limits) -> None:
    lab.version("v001", accuracy=0.8)
    lab.version("v002", accuracy=0.9)
    future = VersionRecord(version="v003", source="", primary=1.0, metrics={"accuracy": 1.0})
    insight = gather(lab.ws, "v002", limits, [*lab.records, future])
    assert (insight.previous, insight.best) == ("v001", "v002")
