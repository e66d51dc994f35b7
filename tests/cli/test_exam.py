"""`progtrain model check`: the small exam that any model sits."""

from __future__ import annotations

from pathlib import Path

from progtrain.advisor.interface import Settings
from progtrain.advisor.prose.prompts import by_rank
from progtrain.engine.cli import exam


def test_the_bundled_model_passes() -> None:
    told: list[str] = []
    marks = exam.sit(Settings(), told.append)
    assert exam.serves(marks)
    assert sum(mark.diagnosed for mark in marks) == 5
    assert sum(mark.chosen_well for mark in marks) >= 4
    assert exam.line(marks).startswith("exam: facts 100 %")
    assert "form 100 %" in exam.line(marks)
    assert len(told) == len(marks) == 5


def test_a_model_that_cannot_be_used_fails_early(tmp_path: Path) -> None:
    path = tmp_path / "none.gguf"
    path.write_bytes(b"import torch\n" * 100)
    marks = exam.sit(Settings(model=path))
    assert not exam.serves(marks)
    assert len(marks) == 2
    assert "diagnosis 0 of 5, choice 0 of 5, form 0 %" in exam.line(marks)
    assert exam.verdict(marks).startswith("does not serve")


def test_leaning_on_the_rules_does_not_pass() -> None:
    questions = list(zip(exam.briefings(), exam._QUESTIONS, strict=True))
    assert [name for b, (name, _, _, right, _) in questions if by_rank(b)[0].id in right] == []
    assert all(right < {option.id for option in b.options} for b, (_, _, _, right, _) in questions)


def test_a_weak_model_is_told_in_what() -> None:
    mark = exam.Mark(
        question="overfitting",
        sentences=10,
        true_to_facts=9,
        diagnosed=True,
        chosen="epochs_up",
        chosen_well=False,
        sections=9,
        seconds=1.0,
        notes=(),
        by_model=True,
    )
    marks = (mark,) * 5
    assert exam.line(marks) == "exam: facts 90 % (50 sentences), diagnosis 5 of 5, choice 0 of 5, form 100 %"
    assert exam.verdict(marks) == "serves, but is weak in choice: look at the rules' order as well"
