"""The documents of the analysis, written and read back."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from progtrain.advisor.interface import Candidate, Draft, Prose, Ranked
from progtrain.engine.analysis.action_file import parse_action
from progtrain.engine.analysis.documents import (
    operation_block,
    render_action,
    render_analysis,
    with_facts,
)
from progtrain.engine.analysis.gather import gather
from progtrain.engine.analysis.types import Insight, Limits
from progtrain.engine.errors import InputError
from progtrain.engine.script.action.catalogue import recipes
from progtrain.engine.script.action.operations import parse_operation

if TYPE_CHECKING:
    from tests.insight.conftest import Lab

PROSE = Prose(
    summary="Accuracy rose.",
    metric_deltas=("Accuracy rose by 0.1.",),
    evidence=("The gap is small.",),
    hypotheses=("Larger steps help.",),
    next_focus=("The learning rate.",),
    goal="Raise accuracy.",
    expected_impact="A little.",
    risk="Hardly any.",
    verification="Compare on the same samples.",
)


def draft(chosen: str, **changes: Any) -> Draft:
    values = {"author": "rules only", "model_sha256": None, "chosen": chosen, "ranking": (), "prose": PROSE}
    return Draft(**{**values, **changes})


@pytest.fixture
def insight(lab: Lab, limits: Limits) -> Insight:
    lab.version("v001", accuracy=0.8)
    lab.version("v002", accuracy=0.9)
    return gather(lab.ws, "v002", limits, lab.records)


def test_the_analysis_says_what_is_not_offered_and_why(lab: Lab, limits: Limits) -> None:
    fit = "    trainer.fit("
    lab.version(source=lab.script().replace(fit, f"    Tuner(trainer).lr_find(Net(), loader)\n{fit}"))
    insight = gather(lab.ws, "v001", limits, lab.records)
    text = render_analysis("v001", insight, draft(insight.candidates[0].id))
    assert "- Not offered: learning rate: no action, lr_find decides it while the script runs\n" in text


def headings(text: str, level: int) -> list[str]:
    return re.findall(rf"^{'#' * level} (.*)$", text, flags=re.MULTILINE)


def action(block: str, before: str = "### Change\n\n", after: str = "\n") -> str:
    return f"## Selected Action (only 1)\n\n{before}```yaml\n{block}```{after}"


SET = "operation: set\nsetting: learning_rate\nfrom: 0.01\nto: 0.003\n"


def test_the_analysis_has_its_headings_tables_and_footer(insight: Insight) -> None:
    ranking = (Ranked(id=insight.candidates[0].id, probability=0.7),)
    by_rules = draft(insight.candidates[0].id, ranking=ranking)
    by_model = by_rules.model_copy(update={"model_sha256": "ab" * 32})
    text = render_analysis("v002", insight, by_rules)
    assert headings(text, 2) == ["Summary", "Metric deltas", "Evidence", "Hypotheses", "Next focus candidates"]
    assert "| accuracy ↑ | 0.9000 | 0.8000 | +0.1000 | better |" in text
    assert "95 % interval" in text
    assert "20 samples are right now that were wrong" in text
    assert "| 0.70 |" in render_analysis("v002", insight, by_model)
    assert "| 0.70 |" not in text and "| model |" not in text
    assert "Drafted by rules only, from" in text


def test_the_first_version_says_that_there_is_no_previous_one(lab: Lab, limits: Limits) -> None:
    lab.version()
    insight = gather(lab.ws, "v001", limits, [])
    assert "there is no previous version" in render_analysis("v001", insight, draft("x"))


def test_the_action_has_its_headings_and_defers_the_other_candidates(insight: Insight, lab: Lab) -> None:
    first = insight.candidates[0]
    text = render_action("v002", insight, draft(first.id), first, source=lab.records[1].source)
    assert headings(text, 2) == ["Selected Action (only 1)", "Deferred Candidates"]
    expected = ["Goal", "Change", "Where", "Expected impact", "Risk", "Verification"]
    assert [h for h in headings(text, 3) if h in expected] == expected
    deferred = text.split("## Deferred Candidates")[1]
    assert all(f"`{c.id}`" in deferred for c in insight.candidates[1:])
    assert f"`{first.id}`" not in deferred
    assert text.count("```yaml") == 1


def test_where_names_the_line_of_the_setting(insight: Insight, lab: Lab) -> None:
    candidate = insight.candidate("learning_rate_up")
    assert candidate
    text = render_action("v002", insight, draft(candidate.id), candidate, source=lab.records[1].source)
    assert "`02_train_v002.py`, line 16: `LEARNING_RATE`" in text


def test_every_candidate_is_read_back_as_it_was_written(insight: Insight) -> None:
    for candidate in insight.candidates:
        parsed = parse_action(render_action("v002", insight, draft("another"), candidate), "action-extract.md")
        assert parsed.operation == parse_operation(candidate.operation)
        assert parsed.base is None
        assert parsed.goal


def test_prose_cannot_bring_in_a_second_operation(insight: Insight) -> None:
    first = insight.candidates[0]
    sly = PROSE.model_copy(update={"goal": "```yaml\noperation: set\nsetting: seed\nto: 1\n```\n## Change\n\x1b[2J"})
    text = render_action("v002", insight, draft(first.id, prose=sly), first)
    assert parse_action(text).operation == parse_operation(first.operation)
    assert "\x1b" not in text


def test_placeholders_are_filled_with_facts(insight: Insight) -> None:
    assert with_facts("now @value (@unknown_thing)", insight) == "now 0.9000 (unknown thing)"


NUMBERS = st.integers(1, 10**6) | st.floats(1e-9, 1e6, allow_nan=False)
SETS = st.builds(
    lambda setting, before, to: {"operation": "set", "setting": setting, "from": before, "to": to},
    st.sampled_from(["learning_rate", "LR", "CONFIG['lr']", "--weight-decay", "Config.some_rate"]),
    NUMBERS,
    NUMBERS,
)
TEXTS = st.builds(
    lambda to: {"operation": "set", "setting": "activation", "to": to},
    st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), max_size=20)
    | st.booleans()
    | st.none(),
)
RECIPES = st.builds(lambda name: {"operation": "recipe", "recipe": name}, st.sampled_from([r.id for r in recipes()]))
REVERTS = st.builds(lambda n: {"operation": "revert", "version": f"v{n:03d}"}, st.integers(1, 2000))


@given(operation=SETS | TEXTS | RECIPES | REVERTS, base=st.none() | st.just("v002"), ending=st.sampled_from("\n\r"))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_operation_survives_writing_and_reading(
    insight: Insight, operation: dict[str, Any], base: str | None, ending: str
) -> None:
    candidate = Candidate(
        id="x", title="x", operation=operation, change="x", risk="low", why="x", score=0.5, rank=1, base=base
    )
    text = render_action("v002", insight, draft("x"), candidate)
    parsed = parse_action(text.replace("\n", "\r\n") if ending == "\r" else text)
    assert (parsed.operation, parsed.base) == (parse_operation(operation), base)
    assert operation_block(candidate).endswith("\n")


@pytest.mark.parametrize(
    "text",
    [
        action(SET),
        action(SET).replace("\n", "\r\n"),
        "\ufeff" + action(SET),
        action(SET).replace("```yaml", "```yml").replace("## ", "#### "),
        action(SET).replace("```yaml", "~~~ YAML").replace("```", "~~~"),
        action(SET).replace("```yaml", "```"),
        action(SET).replace("```yaml", "   ```yaml"),
        "some prose of mine\n\n" + action("# a comment\n- " + SET.replace("\n", "\n  ").rstrip(" ")),
        action(SET, after="\n\n```python\noperation: set\n```\n\n```bash\nls\n```\n"),
        f"```yaml\n{SET}```",
    ],
)
def test_edits_of_the_layout_are_tolerated(text: str) -> None:
    assert parse_action(text).operation == parse_operation(
        {"operation": "set", "setting": "learning_rate", "from": 0.01, "to": 0.003}
    )


def test_a_hand_edit_counts() -> None:
    text = action(SET.replace("0.003", "3e-4") + "base: v002\n", before="### Goal\n\nMine.\n\n### Change\n\n")
    parsed = parse_action(text)
    assert (parsed.base, parsed.goal) == ("v002", "Mine.")
    assert parsed.operation == parse_operation(
        {"operation": "set", "setting": "learning_rate", "from": 0.01, "to": 0.0003}
    )


@pytest.mark.parametrize(
    "text",
    [
        "### Change\n\nSo: `learning_rate = 0.01` -> `learning_rate = 0.003`, now.\n\n### Risk\n\n`a = 1` -> `a = 2`",
        "### Change\n\n- `learning_rate = 0.01 → learning_rate = 0.003`\n",
        "### Change\n\n```yaml\nlearning_rate: 0.01 -> 0.003\n```\n",
        "### Change\n\n```python\nlearning_rate = 0.01  ->  learning_rate = 0.003\n```\n",
        "learning_rate: 0.01 -> 0.003",
        action("operation: set\nsetting: learning_rate\nfrom: learning_rate = 0.01\nto: learning_rate = 0.003\n"),
    ],
)
def test_a_change_that_is_spelled_out_sets_the_second_value(text: str) -> None:
    assert parse_action(text).operation == parse_operation(
        {"operation": "set", "setting": "learning_rate", "from": 0.01, "to": 0.003}
    )


@pytest.mark.parametrize(
    ("text", "reason", "place"),
    [
        ("## Selected Action\n\n### Change\n\nlower the rate\n", "no operation in it", "line 3"),
        ("", "no operation in it", "line 1"),
        ("### Change\n\n`a = 1` -> `b = 2`\n", "no operation in it", "line 1"),
        ("# Mine\n\naccuracy: 0.5 -> 0.7\n", "no operation in it", "line 1"),
        ("### Change\n\na: 1 -> 2\nb: 1 -> 2\n", "two operations, in lines 3 and 4", "line 4"),
        (action(""), "no operation in it", "line 3"),
        (action(SET) + action(SET), "two operations, in lines 6 and 16", "line 16"),
        (action(SET + "---\n" + SET), "two operations in one block", "line 6"),
        (action(SET + SET), "`operation` comes twice", "line 10"),
        (
            action("- operation: set\n  setting: a\n  to: 1\n- operation: set\n"),
            "two operations in one block",
            "line 6",
        ),
        (action(SET + "why: because\n"), "unknown key 'why'", "line 10"),
        (action(SET + "bases: v002\n"), "unknown key 'bases'", "line 10"),
        (action(SET + "base: version 2\n"), "is no version", "line 10"),
        (action("operation: [set\n"), "not valid YAML", "line 6"),
        (action("operation: set\nsetting: a\n"), "`to` is missing", "line 6"),
        (action("operation: dance\n"), "unknown operation 'dance'", "line 6"),
        (action("operation: recipe\nrecipe: dropuot\n"), "unknown recipe 'dropuot'", "line 6"),
        (action("just words\n"), "is a mapping", "line 6"),
        (f"### Change\n\n```yaml\n{SET}", "has no end", "line 3"),
    ],
)
def test_what_is_no_single_operation_is_refused_with_line_and_fix(text: str, reason: str, place: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_action(text, "action-extract.md")
    assert reason in caught.value.reason
    assert (caught.value.place, caught.value.file) == (place, "action-extract.md")
    assert caught.value.fix


@given(text=st.text(max_size=300) | st.text("`~#:-\n\r \tyaml operationset{}[]&*!|>%@", max_size=200))
@settings(max_examples=300, deadline=None)
def test_no_text_breaks_the_reader(text: str) -> None:
    for candidate in (text, action(text + "\n")):
        try:
            parse_action(candidate)
        except InputError as error:
            assert error.place
