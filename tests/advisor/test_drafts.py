"""Drafts over briefings of real runs (digits, wine, diabetes): what a reader must find in them."""

from __future__ import annotations

import re
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from progtrain.advisor import process
from progtrain.advisor.check import wellformed
from progtrain.advisor.check.grounding import Grounding
from progtrain.advisor.interface import Briefing, Draft, Prose, Settings
from progtrain.advisor.prose import rules_draft, subjects
from progtrain.advisor.prose.outline import Outline
from progtrain.advisor.prose.phrasing import spellings
from progtrain.advisor.prose.prompts import FORMAT_KEY
from progtrain.engine.script.action.catalogue import with_words

BRIEFINGS = sorted((Path(__file__).parent / "briefings").glob("*.json"))
#: What the best and the worst of a diagnosis is called in prose.
WORDS = {
    "learning_rate_too_low": r"learning rate|slow|steps",
    "schedule_missing": r"schedule|learning rate (?:of|stays)",
    "too_few_epochs": r"too soon|still improving|not finished",
    "overfitting": r"overfit|generalises|memorises",
}

Make = Callable[..., Briefing]
Drafted = Callable[[Briefing], Draft]


@pytest.fixture(params=BRIEFINGS, ids=lambda path: path.stem)
def briefing(request: pytest.FixtureRequest) -> Briefing:
    return with_words(Briefing.model_validate_json(request.param.read_text(encoding="utf-8")))


@pytest.fixture(params=["model", "rules"])
def draft(request: pytest.FixtureRequest, briefing: Briefing, drafted: Drafted) -> Draft:
    if request.param == "rules":
        return rules_draft.draft(briefing)
    made = drafted(briefing)
    assert made.model_sha256
    return made


def test_the_summary_tells_result_change_verdict_and_main_finding(briefing: Briefing, draft: Draft) -> None:
    shown = {fact.key: fact.display for fact in briefing.facts}
    summary = draft.prose.summary
    assert shown["value"] in summary
    if "previous" in shown:
        assert shown["delta_previous"] in summary
        said = {"better": "improve|paid off|best version", "within noise": "within noise|told apart|no measurable"}
        assert re.search(said[shown["verdict_previous"]], summary)
    strongest = max(briefing.findings, key=lambda finding: finding.strength)
    assert re.search(WORDS[strongest.id], summary)


def test_sentences_are_whole_and_every_number_is_a_fact(briefing: Briefing, draft: Draft) -> None:
    prose = draft.prose
    lists = [*prose.metric_deltas, *prose.evidence, *prose.hypotheses, prose.goal, prose.risk, prose.verification]
    assert [line for line in lists if wellformed.problem(line)] == []
    assert [line for line in lists if Grounding(briefing).foreign_numbers(line)] == []
    assert "@" not in prose.summary + " ".join(lists)


def test_hypotheses_agree_with_the_choice_and_the_focus_with_what_is_on_offer(briefing: Briefing, draft: Draft) -> None:
    acts = {option.id: {option.id, *option.effects} for option in briefing.options}
    assert draft.prose.hypotheses and draft.prose.next_focus
    assert [h for h in draft.prose.hypotheses if subjects.contradicts(h, acts[draft.chosen])] == []
    assert [f for f in draft.prose.next_focus if subjects.out_of_reach(f, set().union(*acts.values()))] == []


def test_the_bundled_model_writes_nothing_but_true_sentences_and_needs_few_notes(
    briefing: Briefing, drafted: Drafted
) -> None:
    made = drafted(briefing)
    outline, grounding = Outline(briefing), Grounding(briefing)
    true = {
        grounding.fill(line)
        for section, place in (("evidence", ""), ("hypotheses", ""), ("focus", ""), ("deltas", ""))
        for part in outline.parts(section, place)
        for sentence in part.sentences
        for line in spellings(sentence, outline.signals)
    }
    prose = made.prose
    assert {*prose.evidence, *prose.hypotheses, *prose.next_focus, *prose.metric_deltas} <= true
    assert len(made.notes) <= 1


def test_a_draft_takes_less_than_two_seconds(tmp_path: Path) -> None:
    """From facts to file, the process's start included. In processor time of both processes, which is what it takes
    on a machine that does nothing else: one thread works at a time."""

    def worked() -> float:
        return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))

    longest = max(BRIEFINGS, key=lambda path: path.stat().st_size)
    briefing = with_words(Briefing.model_validate_json(longest.read_text(encoding="utf-8")))
    before = worked()
    made = process.draft(briefing, Settings(), events=tmp_path / "events.jsonl", log=tmp_path / "advisor.log")
    assert made.model_sha256
    assert worked() - before < 2


def test_damaged_weights_are_noticed_by_what_they_make_of_familiar_sentences(
    make_briefing: Make, bundled: Path, tmp_path: Path
) -> None:
    data = bundled.read_bytes()
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(data[: len(data) // 3] + bytes(len(data) - len(data) // 3))
    made = process.draft(
        make_briefing(), Settings(model=damaged), events=tmp_path / "events.jsonl", log=tmp_path / "advisor.log"
    )
    assert made.author == "rules only"
    assert "the weights are damaged" in made.notes[0]


def test_a_model_that_babbles_has_no_say(bundled: Path, tmp_path: Path) -> None:
    """The bundled model, made to look like one of somebody else's: asked in words that it never learned, it babbles."""
    briefing = Briefing.model_validate_json(BRIEFINGS[0].read_text(encoding="utf-8"))
    foreign = tmp_path / "foreign.gguf"
    foreign.write_bytes(bundled.read_bytes().replace(FORMAT_KEY.encode(), FORMAT_KEY.encode()[:-1] + b"_"))
    made = process.draft(
        briefing,
        Settings(model=foreign, context_tokens=4096),
        events=tmp_path / "events.jsonl",
        log=tmp_path / "advisor.log",
    )
    assert made.author == "rules only"
    assert "sentences could not be used" in made.notes[0] or "nothing usable" in made.notes[0]
    assert made.notes[1:] == ("drafted by the rules alone",)


def test_prose_has_no_empty_section(draft: Draft) -> None:
    assert all(value for value in Prose.model_dump(draft.prose).values())
