"""Conversation with the advisor in the loop: code edits, hints, and what the user chose against the advice.

Real runners, a real training, and real llama.cpp with files that hold what a model could have written.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from progtrain.engine.clock import now
from progtrain.engine.control import decisions
from progtrain.engine.control.launch import Options
from progtrain.engine.drafting import redo
from progtrain.engine.errors import InputError
from progtrain.engine.files import LineReader
from progtrain.engine.loop import runner
from progtrain.engine.schema import Decision, Review
from progtrain.engine.status.view import WorkspaceView
from progtrain.engine.workspace import Workspace
from tests.advisor import scripted
from tests.conftest import prepare_plain

EditRules = Callable[..., None]

PREDICT = """\
```python
def predict(weights, raw):
    score = weights[0] + sum(w * x for w, x in zip(weights[1:], raw))
    # a softer limit
    return 1 / (1 + math.exp(-max(-20.0, min(20.0, score))))
```
"""
WRITTEN = ["The limit of the score lets single samples dominate.\n", "It has a size of 77.\n\n", PREDICT]


def run(ws: Workspace, **options: Any) -> int:
    return runner.run(ws, Options.model_validate(options))


def question(ws: Workspace) -> Review:
    review = WorkspaceView(ws.root).snapshot().review
    assert review is not None
    return review


def answer(ws: Workspace, reply: str, **fields: Any) -> int:
    decision = {"question": question(ws).question, "answer": reply, "at": now(), **fields}
    decisions.decide(ws, Decision.model_validate(decision))
    return run(ws)


def events(ws: Workspace, kind: str) -> list[dict[str, Any]]:
    return [e for e in LineReader(ws.journal).read() if e["event"] == kind]


def briefing(ws: Workspace, version: str = "v001") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ws.drafts(version).briefing.read_text())
    return found


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The first version is trained and evaluated: no advice has been asked for yet."""
    ws = Workspace(tmp_path_factory.mktemp("evaluated"))
    prepare_plain(ws)
    assert run(ws, autopilot=True, until="evaluate") == 0
    return ws


@pytest.fixture
def plain(ws: Workspace, evaluated: Workspace) -> Workspace:
    shutil.copytree(evaluated.root, ws.root, dirs_exist_ok=True)
    return ws


@pytest.fixture
def scripted_model(plain: Workspace, edit_rules: EditRules) -> Callable[..., Path]:
    """A workspace whose advisor is a model that writes these texts."""

    def make(says: dict[str, list[str]], *, allowed: bool = True, **more: Any) -> Path:
        path = scripted.write(plain.root / "model.gguf", says, **more)
        edit_rules(plain, advisor_config={"model": "model.gguf", "allow_code_edits": allowed})
        return path

    return make


# code edits


def test_a_proposed_body_is_a_candidate_with_its_diff(plain: Workspace, scripted_model: Callable[..., Path]) -> None:
    """Shown, chosen, accepted, read back from the file, trained."""
    scripted_model({scripted.BEGIN: WRITTEN})
    assert run(plain, autopilot=True, until="analyze") == 0
    assert run(plain) == 3
    card = next(card for card in question(plain).candidates if card.id == "edit_predict")
    assert card.change == "new body for predict (3 lines)"
    # what the model says is held against the facts: the number is not one of them
    assert card.why == "The limit of the score lets single samples dominate."
    assert card.risk == "high" and "proposed by scripted" in card.reasons[0]
    assert answer(plain, "choose", candidate="edit_predict") == 3
    review = question(plain)
    assert "+    # a softer limit" in review.diff and "-    return 1 / (1 + math.exp(-max(-30.0" in review.diff
    assert "the new body touches no seed, data, artifact, import, file or process" in review.checks
    action = plain.drafts("v001").action.read_text()
    assert "operation: edit\nfunction: predict\nbody: |\n" in action
    assert "the body of `predict`, nothing else" in action
    assert answer(plain, "accept") == 3
    assert "    # a softer limit\n" in plain.script("v002").read_text()
    assert plain.version("v002").eval_score.is_file()
    kept = json.loads(plain.drafts("v001").proposal.read_text())
    assert kept["outcome"] == "proposed as edit_predict" and PREDICT.strip() in kept["proposal"]["text"]


def test_a_redraft_asks_for_code_again_unless_a_hint_wants_none(
    plain: Workspace, scripted_model: Callable[..., Path]
) -> None:
    scripted_model({scripted.BEGIN: WRITTEN})
    assert run(plain, autopilot=True, until="analyze") == 0
    assert run(plain) == 3
    path = plain.drafts("v001").proposal
    path.unlink()
    assert answer(plain, "redraft", hint="no code edits") == 3
    assert not path.exists()
    assert "edit_predict" not in {card.id for card in question(plain).candidates}
    decisions.forget_hint(plain, "no code edits", now())
    assert answer(plain, "redraft") == 3
    assert path.exists()
    assert "edit_predict" in {card.id for card in question(plain).candidates}
    # the analysis stands: it is not made again for it
    assert [e["step"] for e in events(plain, "step_started")].count("analyze") == 1


def test_without_the_key_no_code_is_asked_for_and_none_is_applied(
    plain: Workspace, scripted_model: Callable[..., Path], edit_rules: EditRules
) -> None:
    """Also not in autopilot, and not from a file that was edited by hand."""
    scripted_model({scripted.BEGIN: WRITTEN}, allowed=False)
    assert run(plain, autopilot=True, until="extract") == 0
    assert not plain.drafts("v001").proposal.exists()
    path = plain.version("v001").action
    text = path.read_text()
    start, end = text.index("```yaml"), text.index("```", text.index("```yaml") + 3) + 3
    block = "```yaml\noperation: edit\nfunction: predict\nbody: |\n  return 0.5\n```"
    path.write_text(text[:start] + block + text[end:])
    assert run(plain, autopilot=True) == 2
    failed = events(plain, "loop_failed")[-1]
    assert "code edits are off" in failed["reason"] and failed["place"] == "key advisor_config.allow_code_edits"
    assert not plain.script("v002").exists()
    edit_rules(plain, advisor_config={"allow_code_edits": True})
    assert run(plain, autopilot=True, until="author") == 0
    assert "    return 0.5\n" in plain.script("v002").read_text()


def test_with_the_key_autopilot_may_choose_it(plain: Workspace, scripted_model: Callable[..., Path]) -> None:
    prose = {
        "# summary\n": ["This version came to @metric @value.\n"],
        "# evidence\n": ["The training loss is @train_loss at the end of training.\n"],
        "# hypotheses\n": ["The steps of the training are too small.\n"],
        "# choice\n": ["edit_predict\n"],
    }
    scripted_model({scripted.BEGIN: WRITTEN, **prose}, context=8192)
    assert run(plain, autopilot=True, until="author") == 0
    assert events(plain, "version_authored")[-1]["operation"]["operation"] == "edit"
    assert "# a softer limit" in plain.script("v002").read_text()


@pytest.mark.parametrize(
    ("says", "note"),
    [
        (["Once upon a time.\n"], "it wrote no block of code"),
        (["NO CHANGE\n"], "the model would leave the code as it is"),
        (
            ["```python\ndef predict(weights, raw):\n    return open('x')\n```\n"],
            "the new body of predict is refused: it uses open, which was not there",
        ),
        (
            ["```python\ndef load_split(split):\n    return []\n```\n"],
            "load_split measures a version or reads its data",
        ),
        (["```python\ndef predict(weights, raw):\n    return 0.5 * (BATCH_SIZE > 3)\n```\n"], "batch_size"),
    ],
)
def test_a_proposal_that_fails_a_check_is_dropped_with_a_note(
    plain: Workspace, scripted_model: Callable[..., Path], says: list[str], note: str
) -> None:
    scripted_model({scripted.BEGIN: says})
    assert run(plain, autopilot=True, until="analyze") == 0
    assert run(plain) == 3
    review = question(plain)
    assert not [card for card in review.candidates if card.id.startswith("edit_")]
    assert any(line.startswith("no code edit is proposed: ") and note in line for line in review.notes), review.notes


def test_the_bundled_model_is_not_asked_for_code(plain: Workspace, edit_rules: EditRules, bundled_copy: Path) -> None:
    edit_rules(plain, advisor_config={"allow_code_edits": True})
    assert run(plain, autopilot=True, until="analyze") == 0
    assert not plain.drafts("v001").proposal.exists()
    # named by its path, it is not asked either, and says so
    edit_rules(plain, advisor_config={"model": str(bundled_copy)})
    assert run(plain) == 3
    assert any("not to write code" in note for note in question(plain).notes)


@pytest.fixture
def bundled_copy(tmp_path: Path) -> Path:
    from progtrain.advisor.locate import bundled_model

    path = tmp_path / "copy.gguf"
    path.write_bytes(bundled_model().read_bytes())
    return path


def test_a_model_of_stories_proposes_nothing(plain: Workspace, edit_rules: EditRules, extra_model: Path) -> None:
    edit_rules(plain, advisor_config={"model": str(extra_model), "allow_code_edits": True})
    assert run(plain, autopilot=True, until="analyze") == 0
    assert any("no code edit is proposed: " in event["text"] for event in events(plain, "warning"))


# hints


@pytest.fixture(scope="module")
def drafted(evaluated: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    ws = Workspace(tmp_path_factory.mktemp("drafted"))
    shutil.copytree(evaluated.root, ws.root, dirs_exist_ok=True)
    assert run(ws, autopilot=True, until="analyze") == 0
    assert run(ws) == 3
    return ws


@pytest.fixture
def waiting(ws: Workspace, drafted: Workspace) -> Workspace:
    shutil.copytree(drafted.root, ws.root, dirs_exist_ok=True)
    return ws


def test_a_hint_that_says_no_takes_candidates_out_and_can_be_taken_back(waiting: Workspace) -> None:
    """In code, whatever the model would choose."""
    offered = {option["id"] for option in briefing(waiting)["options"]}
    assert {"learning_rate_up", "epochs_up"} <= offered
    assert answer(waiting, "redraft", hint="no learning rate changes, and no longer training") == 3
    assert 'your hint: "no learning rate changes, and no longer training"' in question(waiting).notes
    left = {option["id"] for option in briefing(waiting)["options"]}
    assert left and not {"learning_rate_up", "learning_rate_down", "epochs_up"} & left
    note = 'left out because of your hint "no learning rate changes, and no longer training": '
    assert any(line.startswith(note) for line in question(waiting).notes)
    # what is asked for by name counts for more
    assert answer(waiting, "choose", candidate="epochs_up") == 3
    assert question(waiting).chosen == "epochs_up"
    decisions.forget_hint(waiting, "no learning rate changes, and no longer training", now())
    assert answer(waiting, "redraft") == 3
    assert {option["id"] for option in briefing(waiting)["options"]} == offered
    assert briefing(waiting)["hints"] == []


@pytest.mark.parametrize(("model", "author"), [("none.gguf", "rules only"), (None, "progtrain-advisor 3M (f16)")])
def test_what_a_hint_asks_for_is_drafted(
    waiting: Workspace, edit_rules: EditRules, model: str | None, author: str
) -> None:
    """Also where neither rules nor model would have chosen it."""
    edit_rules(waiting, advisor_config={"model": model})
    assert run(waiting) == 3
    other = [card.id for card in question(waiting).candidates if card.id != question(waiting).chosen][-1]
    assert answer(waiting, "redraft", hint=f"try {other}") == 3
    review = question(waiting)
    assert (review.author, review.chosen) == (author, other)
    assert f'put first because of your hint "try {other}": {other}' in review.notes


def test_a_hint_counts_in_the_versions_that_follow(waiting: Workspace) -> None:
    assert answer(waiting, "redraft", hint="no learning rate changes") == 3
    assert answer(waiting, "accept") == 3
    assert question(waiting).version == "v002"
    assert not any(o["id"].startswith("learning_rate") for o in briefing(waiting, "v002")["options"])
    # what the user asked for is told beside the draft, and is nothing to be warned of
    assert any("because of your hint" in note for note in question(waiting).notes)
    assert not any("hint" in event["text"] for event in events(waiting, "warning"))


def test_a_hint_that_leaves_nothing_is_refused_and_not_remembered(waiting: Workspace) -> None:
    everything = ", and no ".join(option["id"] for option in briefing(waiting)["options"])
    assert answer(waiting, "redraft", hint=f"no {everything}") == 2
    assert "with this hint no candidate is left" in events(waiting, "loop_failed")[-1]["reason"]
    assert decisions.hints(waiting) == ()
    assert run(waiting) == 3


def test_what_the_user_chose_against_the_advice_is_told_as_such(waiting: Workspace) -> None:
    advised = question(waiting).chosen
    other = next(card.id for card in question(waiting).candidates if card.id != advised)
    assert answer(waiting, "choose", candidate=other) == 3
    assert answer(waiting, "accept") == 3
    tried = briefing(waiting, "v002")["tried"]
    assert [entry["instead_of"] for entry in tried] == ["", advised]


# drafts made again


def test_a_draft_is_made_again_token_for_token(waiting: Workspace) -> None:
    assert answer(waiting, "redraft", hint="more regularisation") == 3
    for number in (1, 2):
        again, author, differences = redo.redo(waiting, "v001", number)
        assert (again, differences) == (number, [])
        assert author.startswith("progtrain-advisor")
    assert redo.redo(waiting, "v001")[0] == 2


def test_a_draft_by_the_rules_is_made_again_too(plain: Workspace, edit_rules: EditRules) -> None:
    (plain.root / "broken.gguf").write_bytes(b"GGUF nothing")
    edit_rules(plain, advisor_config={"model": "broken.gguf"})
    assert run(plain, autopilot=True, until="analyze") == 0
    _, author, differences = redo.redo(plain, "v001")
    assert (author, differences) == ("rules only", [])


def test_what_differs_is_told(waiting: Workspace) -> None:
    path = waiting.drafts("v001").round(1).draft
    text = path.read_text()
    path.write_text(text.replace("# summary\\n", "# summary\\nIndeed. ", 1))
    (told,) = redo.redo(waiting, "v001", 1)[2]
    assert told.startswith("the model's own words differ from character 11: ")
    path.write_text(text.replace('"seed": 42', '"seed": 43'))
    assert redo.redo(waiting, "v001", 1)[2]


def test_another_model_than_the_one_that_drafted_is_told(plain: Workspace, scripted_model: Callable[..., Path]) -> None:
    path = scripted_model({"# summary\n": ["This version came to @metric @value.\n"]}, allowed=False)
    assert run(plain, autopilot=True, until="analyze") == 0
    redo.redo(plain, "v001")
    record = json.loads(plain.drafts("v001").round(1).draft.read_text())
    record["draft"]["model_sha256"] = "0" * 64
    plain.drafts("v001").round(1).draft.write_text(json.dumps(record))
    with pytest.raises(InputError, match="not the model that drafted it"):
        redo.redo(plain, "v001")
    path.unlink()
    with pytest.raises(InputError, match="the model that drafted it is gone"):
        redo.redo(plain, "v001")
    with pytest.raises(InputError, match="there is no round 7"):
        redo.redo(plain, "v001", 7)


# whatever the model is, the loop goes on


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: None, "the model file does not exist"),
        (lambda path: path.write_bytes(b"GGUF and nothing more"), "which llama.cpp does not read"),
        (lambda path: scripted.write_bert(path), "an embedding model"),
        (lambda path: os.truncate(scripted.write(path, {}), 2**42), "it is too large for this machine"),
        (lambda path: scripted.write(path, {}), "it wrote nothing usable"),
        (lambda path: scripted.write(path, {}, context=300), "a context of 300 tokens is too small"),
    ],
    ids=["missing", "broken", "embeddings", "too large", "silent", "short context"],
)
def test_a_model_that_cannot_serve_is_one_line_and_the_loop_goes_on(
    plain: Workspace, edit_rules: EditRules, make: Callable[[Path], object], reason: str
) -> None:
    make(plain.root / "model.gguf")
    edit_rules(plain, advisor_config={"model": "model.gguf"})
    assert run(plain, autopilot=True, until="author") == 0
    assert plain.script("v002").is_file()
    told = [event["text"] for event in events(plain, "warning") if "model.gguf: " in event["text"]]
    assert len(told) == 1 and reason in told[0] and "\n" not in told[0]
    assert "Drafted by rules only" in plain.version("v001").analysis.read_text()
