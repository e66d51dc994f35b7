"""What is learned from outcomes: a planted preference is found, and the table comes back as it was written."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.recipe import experience, policy, scenario
from models.recipe.experience import COLUMNS, Judge, State, read_states
from progtrain.engine.analysis.vocabulary import DIAGNOSES


def _states(count: int, first: int = 0) -> list[State]:
    """The first finding's place in the vocabulary decides between up and down of the learning rate."""
    found = []
    seed = first
    while len(found) < count:
        seed += 1
        briefing = scenario.briefing(seed)
        names = [option.id for option in briefing.options]
        if not briefing.findings or not {"learning_rate_up", "learning_rate_down"} <= set(names):
            continue
        strengths = {f.id: f.strength for f in briefing.findings}
        up = strengths.get("learning_rate_too_low", 0.0) - strengths.get("learning_rate_too_high", 0.0)
        gains = {name: {"learning_rate_up": up, "learning_rate_down": -up}.get(name, 0.0) for name in names}
        found.append(State(seed, "made up", briefing, gains))
    return found


def test_a_planted_preference_is_learned() -> None:
    judge = Judge(ridge=1.0).fit(_states(250))
    right = wrong = 0
    for state in _states(80, first=1_000_000):
        if abs(state.gains["learning_rate_up"]) > 0.4:
            gains = judge.gains(state.briefing)
            agrees = (gains["learning_rate_up"] > gains["learning_rate_down"]) == (state.gains["learning_rate_up"] > 0)
            right, wrong = right + agrees, wrong + (not agrees)
    assert right + wrong >= 10
    assert right > 4 * wrong


def test_the_table_comes_back_as_it_was_written(tmp_path: Path) -> None:
    briefing = scenario.briefing(3)
    row = dict.fromkeys(COLUMNS, "") | {"seed": 3, "version": briefing.version, "option": "epochs_up", "gain": 0.25}
    states = [{"seed": 3, "family": "waves", "briefing": briefing.model_dump(mode="json")}]
    experience.write(states, [row, row | {"option": "use_adamw", "gain": -3.0}], tmp_path)
    (state,) = read_states(tmp_path)
    assert state.briefing == briefing
    assert state.gains == {"epochs_up": 0.25, "use_adamw": -1.0}


def test_the_collected_experience_is_large_and_has_held_out_families() -> None:
    states = read_states()
    families = {state.family for state in states}
    assert families > experience.HELD_OUT_FAMILIES
    assert sum(len(state.gains) for state in states) >= 2000
    assert {f.id for state in states for f in state.briefing.findings} >= set(DIAGNOSES) - {"healthy"}
    assert not {state.family for state in policy.states()} & experience.HELD_OUT_FAMILIES


def test_the_judge_is_better_than_chance_on_families_it_never_saw() -> None:
    held = experience.held_out()
    judged = experience.achieved(held, experience.by_judge(policy.judge()))
    at_random = [sum(s.gains.values()) / len(s.gains) for s in held]
    assert sum(judged) > sum(at_random)


def test_the_judge_adds_to_the_rules_on_families_it_never_saw() -> None:
    """Each family judged by what the others taught."""
    states = [state for state in read_states() if state.gains]
    judged: list[float] = []
    rules: list[float] = []
    for family in {state.family for state in states}:
        judge = Judge().fit([state for state in states if state.family != family])
        held = [state for state in states if state.family == family]
        judged += experience.achieved(held, experience.by_judge(judge))
        rules += experience.achieved(held, experience.by_rules)
    assert sum(judged) / len(states) > sum(rules) / len(states) + 0.01


def test_better_options_are_likelier() -> None:
    odds = policy.odds({"a": 0.3, "b": 0.27, "c": -0.5})
    assert odds["a"] > odds["b"] > 0.1
    assert odds["c"] < 0.01
    assert sum(odds.values()) == pytest.approx(1)


def test_a_wish_counts_most() -> None:
    drawn = (scenario.briefing(seed) for seed in range(200))
    briefing = next(b for b in drawn if any(o.id == "add_cosine_schedule" for o in b.options))
    hinted = briefing.model_copy(update={"hints": ("try a cosine schedule",)})
    assert policy.choose(hinted) == "add_cosine_schedule"


@pytest.mark.parametrize(
    ("option", "kind"), [("undo_v003", "undo"), ("back_to_v001", "back"), ("epochs_up", "epochs_up")]
)
def test_which_version_it_is_makes_no_kind(option: str, kind: str) -> None:
    assert experience.kind(option) == kind
