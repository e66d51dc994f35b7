"""Candidates: legal, sized by evidence, not tried before with the same outcome, ranked with reasons."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from progtrain.engine.analysis.advise.candidates import kind_of, same_operation, state_of
from progtrain.engine.analysis.advise.evidence import AGAINST, FOR
from progtrain.engine.analysis.advise.tuning import TUNINGS, nice
from progtrain.engine.analysis.gather import gather
from progtrain.engine.analysis.types import Insight, Limits
from progtrain.engine.analysis.vocabulary import CANDIDATES, DIAGNOSES
from progtrain.engine.script.action.catalogue import recipes
from progtrain.engine.script.action.operations import parse_operation

if TYPE_CHECKING:
    from tests.insight.conftest import Lab

RATE_DOWN = {"operation": "set", "setting": "learning_rate", "from": 0.01, "to": 0.003}


def ids(insight: Insight) -> list[str]:
    return [candidate.id for candidate in insight.candidates]


def with_rate(lab: Lab, version: str, rate: float) -> str:
    return lab.script(version, learning_rate=rate)


def test_there_are_more_than_25_kinds_and_each_has_words() -> None:
    kinds = set(TUNINGS) | {info.candidate_id for info in recipes()}
    assert len(kinds) >= 25
    assert kinds <= set(CANDIDATES)
    assert set(FOR) == set(AGAINST) == set(DIAGNOSES)
    assert {name for table in (FOR, AGAINST) for row in table.values() for name in row} <= kinds


def test_a_usual_script_gets_a_ranking_with_reasons_that_is_the_same_each_time(lab: Lab, limits: Limits) -> None:
    lab.version()
    insight = gather(lab.ws, "v001", limits, lab.records)
    assert len(insight.candidates) >= 8
    assert [c.rank for c in insight.candidates] == list(range(1, len(insight.candidates) + 1))
    assert [c.score for c in insight.candidates] == sorted((c.score for c in insight.candidates), reverse=True)
    assert all(c.reasons and c.why and c.change and c.title for c in insight.candidates)
    assert gather(lab.ws, "v001", limits, lab.records) == insight


def test_every_candidate_applies_to_the_script_and_changes_it(lab: Lab, limits: Limits) -> None:
    source = lab.version().source
    for candidate in gather(lab.ws, "v001", limits, lab.records).candidates:
        result = parse_operation(candidate.operation).apply(source)
        compile(result, candidate.id, "exec")
        assert state_of(result) != state_of(source)


@pytest.mark.parametrize(
    ("train", "val", "first"),
    [
        ([1.0, 4.0, 30.0, 200.0], None, "learning_rate_down"),
        ([1.1 - 0.006 * i for i in range(20)], None, "learning_rate_up"),
        ([0.05 + 0.95 * 0.8**i for i in range(8)], None, "epochs_up"),
    ],
)
def test_the_evidence_decides_what_comes_first(
    lab: Lab, limits: Limits, train: list[float], val: list[float] | None, first: str
) -> None:
    lab.version(train=train, val=val, source=lab.script(learning_rate=0.001))
    insight = gather(lab.ws, "v001", limits, lab.records)
    assert ids(insight)[0] == first
    assert "for: " in insight.candidates[0].reasons[0]
    assert set(insight.candidates[0].evidence) <= {fact.key for fact in insight.facts}


def test_stronger_evidence_makes_larger_steps(lab: Lab, limits: Limits) -> None:
    lab.version()
    mild = gather(lab.ws, "v001", limits, lab.records).candidate("learning_rate_down")
    lab.curves([1.0, 40.0, float("nan")])
    hard = gather(lab.ws, "v001", limits, lab.records).candidate("learning_rate_down")
    assert mild and hard
    assert (mild.operation["to"], hard.operation["to"]) == (0.003, 0.001)


def test_overfitting_asks_for_regularisation_and_not_for_more_of_the_same(lab: Lab, limits: Limits) -> None:
    train = lab.decay(30, 1.1, 0.02, 0.3)
    val = [0.5 + 0.6 * 0.6**i + 0.01 * max(0, i - 8) for i in range(30)]
    lab.version(train=train, val=val)
    order = ids(gather(lab.ws, "v001", limits, lab.records))
    assert order.index("add_dropout") < order.index("epochs_up")
    assert order.index("add_weight_decay") < order.index("hidden_size_up")


@pytest.mark.parametrize(
    ("locked", "gone"),
    [
        ({"learning_rate"}, {"learning_rate_up", "learning_rate_down"}),
        ({"epochs"}, {"epochs_up", "epochs_down"}),
        ({"optimizer"}, {"use_adamw", "use_sgd_momentum", "add_weight_decay"}),
        ({"schedule"}, {"add_cosine_schedule", "add_warmup", "add_reduce_on_plateau"}),
    ],
)
def test_nothing_that_a_rule_locks_is_offered(lab: Lab, limits: Limits, locked: set[str], gone: set[str]) -> None:
    lab.version()
    free = set(ids(gather(lab.ws, "v001", limits, lab.records)))
    bound = set(ids(gather(lab.ws, "v001", replace(limits, locked=frozenset(locked)), lab.records)))
    assert gone & free
    assert not gone & bound


def test_only_what_the_rules_allow_is_offered(lab: Lab, limits: Limits) -> None:
    lab.version()
    only = replace(limits, allowed_only=frozenset({"learning_rate"}))
    assert set(ids(gather(lab.ws, "v001", only, lab.records))) == {"learning_rate_up", "learning_rate_down"}
    none = replace(limits, locked=frozenset({"dropout"}))
    assert "add_dropout" not in ids(gather(lab.ws, "v001", none, lab.records))


def test_seeds_and_data_are_no_action(lab: Lab, limits: Limits) -> None:
    lab.version()
    insight = gather(lab.ws, "v001", limits, lab.records)
    assert not {"seed", "dataset_id", "version"} & {c.operation.get("setting") for c in insight.candidates}


def test_what_failed_from_the_same_state_is_not_offered_again(lab: Lab, limits: Limits) -> None:
    """V002 tried the lower rate from v001; from v001 it is not tried again."""
    lab.version("v001", accuracy=0.9)
    assert "learning_rate_down" in ids(gather(lab.ws, "v001", limits, lab.records))
    lower = with_rate(lab, "v002", 0.003)
    lab.version("v002", accuracy=0.7, source=lower, base="v001", operation=RATE_DOWN, action_text="lower rate")
    best = replace(limits, branch_from="best")
    insight = gather(lab.ws, "v002", best, lab.records)
    assert {c.base for c in insight.candidates} == {"v001"}
    assert "learning_rate_down" not in ids(insight)
    assert "learning_rate_up" in ids(insight)


def test_no_candidate_leads_to_a_script_that_was_trained_already(lab: Lab, limits: Limits) -> None:
    lab.version("v001", accuracy=0.9)
    lab.version("v002", accuracy=0.9, source=with_rate(lab, "v002", 0.003), base="v001", operation=RATE_DOWN)
    insight = gather(lab.ws, "v002", limits, lab.records)
    known = {state_of(record.source) for record in lab.records}
    source = lab.records[-1].source
    for candidate in insight.candidates:
        if candidate.operation["operation"] != "revert":
            assert state_of(parse_operation(candidate.operation).apply(source)) not in known
    assert "undo_v002" not in ids(insight)


def test_the_opposite_of_what_just_helped_is_not_offered(lab: Lab, limits: Limits) -> None:
    lab.version("v001", accuracy=0.6)
    lab.version("v002", accuracy=0.95, source=with_rate(lab, "v002", 0.004), base="v001", operation=RATE_DOWN)
    insight = gather(lab.ws, "v002", limits, lab.records)
    assert insight.against_base and insight.against_base.verdict == "better"
    assert "learning_rate_up" not in ids(insight)
    down = insight.candidate("learning_rate_down")
    assert down and any("was better in v002" in reason for reason in down.reasons)


def test_a_clearly_worse_version_offers_the_way_back_first(lab: Lab, limits: Limits) -> None:
    lab.version("v001", accuracy=0.95)
    lab.version("v002", accuracy=0.5, source=with_rate(lab, "v002", 0.003), base="v001", operation=RATE_DOWN)
    insight = gather(lab.ws, "v002", limits, lab.records)
    first = insight.candidates[0]
    assert (first.id, first.base) == ("back_to_v001", "v001")
    assert "v002 is worse than v001 by -0.4500 in accuracy" in first.reasons[0]
    result = parse_operation(first.operation).apply(lab.records[0].source)
    assert state_of(result) not in {state_of(record.source) for record in lab.records}


def test_a_version_without_a_number_offers_the_way_back(lab: Lab, limits: Limits) -> None:
    lab.version("v001", accuracy=0.9)
    lab.version("v002", accuracy=None, source=with_rate(lab, "v002", 0.003), base="v001", operation=RATE_DOWN)
    assert "back_to_v001" in ids(gather(lab.ws, "v002", limits, lab.records))


def test_an_earlier_action_that_brought_nothing_can_be_undone(lab: Lab, limits: Limits) -> None:
    batch = {"operation": "set", "setting": "batch_size", "from": 32, "to": 64}
    lab.version("v001", accuracy=0.8)
    lab.version(
        "v002",
        accuracy=0.8,
        source=with_rate(lab, "v002", 0.003),
        base="v001",
        operation=RATE_DOWN,
        action_text="learning_rate 0.01 → 0.003",
        verdict_base="within noise",
    )
    both = lab.script("v003", batch_size=64, learning_rate=0.003)
    lab.version("v003", accuracy=0.95, source=both, base="v002", operation=batch)
    insight = gather(lab.ws, "v003", limits, lab.records)
    undo = insight.candidate("undo_v002")
    assert undo and undo.operation == {"operation": "revert", "version": "v002"}
    assert "within noise in v002" in undo.reasons[0]
    locked = replace(limits, locked=frozenset({"learning_rate"}))
    assert gather(lab.ws, "v003", locked, lab.records).candidate("undo_v002") is None


@pytest.mark.parametrize(("later", "offered"), [("gradient_clipping", True), ("warmup", False)])
def test_an_action_is_offered_to_be_undone_where_that_can_be_checked(
    lab: Lab, limits: Limits, later: str, offered: bool
) -> None:
    """Two schedules stand in one list: one of them taken out cannot be told from another change."""
    cosine, last = ({"operation": "recipe", "recipe": name} for name in ("cosine_schedule", later))
    second = parse_operation(cosine).apply(lab.script("v002"))
    third = parse_operation(last).apply(second).replace("v002", "v003")
    lab.version("v001")
    lab.version("v002", source=second, base="v001", operation=cosine, verdict_base="within noise")
    lab.version("v003", accuracy=0.95, source=third, base="v002", operation=last)
    assert ("undo_v002" in ids(gather(lab.ws, "v003", limits, lab.records))) is offered


def test_a_script_with_the_setting_in_two_places_or_none_still_gets_candidates(lab: Lab, limits: Limits) -> None:
    source = lab.script().replace("LEARNING_RATE = 0.01", "LEARNING_RATE = 0.01\nLR = 0.2")
    lab.version(source=source)
    order = ids(gather(lab.ws, "v001", limits, lab.records))
    assert "learning_rate_down" not in order
    assert "hidden_size_up" in order


def test_scripts_are_the_same_state_whatever_their_comments_and_version_say(lab: Lab) -> None:
    assert state_of(lab.script("v001")) == state_of("# a header\n" + lab.script("v002"))
    assert state_of(lab.script(epochs=20)) != state_of(lab.script(epochs=21))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (RATE_DOWN, {"operation": "set", "setting": "LR", "to": 3e-3}, True),
        (RATE_DOWN, {"operation": "set", "setting": "lr", "to": 1e-3}, False),
        ({"operation": "recipe", "recipe": "dropout"}, {"operation": "recipe", "recipe": "dropout"}, True),
        ({"operation": "recipe", "recipe": "dropout"}, {"operation": "revert", "version": "v002"}, False),
    ],
)
def test_operations_are_the_same_by_what_they_do(one: dict[str, Any], other: dict[str, Any], same: bool) -> None:
    assert same_operation(one, other) is same


def test_sizes_are_as_people_write_them() -> None:
    assert [nice(v) for v in (0.01 / 3, 0.00095, 0.06, 1e-5 / 3)] == [0.003, 0.001, 0.06, 3e-6]
    assert kind_of({"operation": "set", "setting": "HIDDEN", "from": [64, 32], "to": [128, 64]}) == (
        "hidden_size",
        "up",
    )


@pytest.mark.parametrize(("samples", "offered"), [(128, True), (129, False)])
def test_a_last_batch_of_one_sample_is_not_normalised(lab: Lab, limits: Limits, samples: int, offered: bool) -> None:
    stats = lab.ws.stats("toy_v1")
    stats.parent.mkdir(parents=True, exist_ok=True)
    stats.write_text(json.dumps({"num_train": samples}))
    lab.version(source=lab.script(batch_size=64))
    assert ("add_batch_norm" in ids(gather(lab.ws, "v001", limits, lab.records))) is offered


RATE_UP = {"operation": "set", "setting": "learning_rate", "from": 0.001, "to": 0.003}


def reported(lab: Lab, scores: list[float | None], rates: list[float]) -> None:
    """Versions of which only the script's own score is known, each made from the one before by another rate."""
    slow = [1.1 - 0.006 * i for i in range(20)]
    for number, (score, rate) in enumerate(zip(scores, rates, strict=True), start=1):
        more: dict[str, Any] = {}
        if number > 1:
            operation = {**RATE_UP, "from": rates[number - 2], "to": rate}
            more = {"base": f"v{number - 1:03d}", "operation": operation, "action_text": "the other rate"}
        version = f"v{number:03d}"
        lab.version(version, accuracy=score, source=with_rate(lab, version, rate), train=slow, **more)
        lab.ws.version(version).per_sample.unlink()


def test_a_change_that_came_with_a_worse_score_is_not_extended_though_nothing_was_measured(
    lab: Lab, limits: Limits
) -> None:
    reported(lab, [0.9], [0.001])
    assert ids(gather(lab.ws, "v001", limits, lab.records))[0] == "learning_rate_up"
    lab.records.clear()
    reported(lab, [0.9, 0.88], [0.001, 0.003])
    insight = gather(lab.ws, "v002", limits, lab.records)
    assert insight.metrics[0].verdict_previous is None
    assert "learning_rate_up" not in ids(insight)
    back = insight.candidate("back_to_v001")
    assert back
    assert back.reasons[0] == (
        "for: v002 is worse than v001 by -0.0200 in accuracy (there 0.9000), which may be noise: "
        "no verdict could be measured"
    )


def test_an_earlier_action_that_came_with_a_worse_score_can_be_undone(lab: Lab, limits: Limits) -> None:
    reported(lab, [0.9, 0.88, 0.89], [0.001, 0.003, 0.003])
    lab.records[2] = replace(
        lab.records[2],
        source=lab.script("v003", epochs=30, learning_rate=0.003),
        operation={"operation": "set", "setting": "epochs", "from": 20, "to": 30},
    )
    insight = gather(lab.ws, "v003", limits, lab.records)
    found = insight.candidate("undo_v002")
    assert found
    assert found.reasons == (
        "for: the other rate came with a worse score in v002, which may be noise: no verdict could be measured",
    )


def test_it_may_be_extended_where_the_score_is_better_or_the_same(lab: Lab, limits: Limits) -> None:
    for score in (0.9, 0.91):
        lab.records.clear()
        reported(lab, [0.9, score], [0.001, 0.003])
        found = gather(lab.ws, "v002", limits, lab.records)
        assert "learning_rate_up" in ids(found)
        assert "back_to_v001" not in ids(found)


def test_the_way_that_a_metric_is_better_counts_there(lab: Lab) -> None:
    reported(lab, [0.9, 0.88], [0.001, 0.003])
    insight = gather(lab.ws, "v002", Limits(primary_metric="accuracy", higher_is_better=False), lab.records)
    assert "learning_rate_up" in ids(insight)


def test_what_came_with_a_better_score_is_not_lightly_taken_back(lab: Lab, limits: Limits) -> None:
    reported(lab, [0.9, 0.91], [0.01, 0.03])
    insight = gather(lab.ws, "v002", limits, lab.records)
    down = insight.candidate("learning_rate_down")
    assert down
    assert any("came with a better score in v002, which may be noise" in reason for reason in down.reasons)


def test_a_shorter_step_from_the_best_counts_for_less_after_a_longer_one_came_with_a_worse_score(
    lab: Lab, limits: Limits
) -> None:
    reported(lab, [0.9], [0.001])
    before = gather(lab.ws, "v001", limits, lab.records).candidate("learning_rate_up")
    lab.records.clear()
    reported(lab, [0.9, 0.88], [0.001, 0.01])
    best = replace(limits, branch_from="best")
    after = gather(lab.ws, "v002", best, lab.records).candidate("learning_rate_up")
    assert before
    assert after
    assert after.operation["to"] == 0.003
    assert after.score < before.score
    assert "against: the other rate came with a worse score in v002" in after.reasons[-1]
