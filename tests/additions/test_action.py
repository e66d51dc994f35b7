"""Adding training rows as an action: from the candidate to what it brought."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from progtrain.engine import comparable
from progtrain.engine.additions import folder
from progtrain.engine.analysis.compare import added_rows
from progtrain.engine.analysis.compare.pairs import Runs, compare
from progtrain.engine.analysis.measure.samples import PerSample
from progtrain.engine.analysis.types import AddedRows, Insight, Limits
from progtrain.engine.cli import check_rows
from progtrain.engine.clock import now
from progtrain.engine.control import decisions, launch
from progtrain.engine.control.launch import Options
from progtrain.engine.drafting import history
from progtrain.engine.errors import InputError
from progtrain.engine.experiment.stages import design
from progtrain.engine.loop import runner
from progtrain.engine.records.jobs import jobs
from progtrain.engine.schema import Decision, Review, load
from progtrain.engine.script.action.operations import Lineage, RevertOperation, parse_operation
from progtrain.engine.script.action.parts import additions
from progtrain.engine.workspace import Workspace
from tests.additions.conftest import DATASET, sha256_of_all
from tests.cli.test_json import as_json
from tests.cli.test_json import check as json_is_documented

EXAMPLES = Path(__file__).parents[2] / "examples"
ROWS = {"operation": "data", "focus": {"classes": [1]}, "replay": {"hard_by": "out_of_fold"}}


# the script


@pytest.mark.parametrize("example", ["digits", "wine", "diabetes"])
def test_the_training_reads_its_rows_besides_the_split(example: str) -> None:
    old = (EXAMPLES / example / "02_train_baseline.py").read_text()
    first, second = (parse_operation({**ROWS, "addition": name}) for name in ("a001", "a002"))
    new = first.apply(old)
    first.verify(old, new)
    newer = second.apply(new)
    second.verify(new, newer)
    assert 'ADDITIONS = ("a001", "a002")\n' in newer
    assert newer.replace('"a001", "a002"', '"a001",') == new, "the second one changes its constant alone"
    assert "[*load_split(split), *load_additions(split)]" in new


def test_a_change_beside_it_is_refused() -> None:
    old = (EXAMPLES / "digits" / "02_train_baseline.py").read_text()
    operation = parse_operation({**ROWS, "addition": "a001"})
    new = operation.apply(old)
    for sneaky in (
        new.replace("EPOCHS = 15", "EPOCHS = 16"),
        new.replace('("a001",)', '("a001", "a002")'),
        new.replace('if split == "train" else ()', 'if split != "train" else ()'),
        new.replace("/train", "/valid", 1),
        old,
    ):
        with pytest.raises(InputError, match="does not differ by exactly this action"):
            operation.verify(old, sneaky)


def test_it_is_undone_and_what_came_after_it_stays() -> None:
    sources = [(EXAMPLES / "digits" / "02_train_baseline.py").read_text()]
    told: list[dict[str, Any]] = [
        {**ROWS, "addition": "a001"},
        {"operation": "set", "setting": "learning_rate", "to": 0.05},
    ]
    line = [Lineage("v001", sources[0])]
    for number, one in enumerate(told, start=2):
        sources.append(parse_operation(one).apply(sources[-1]))
        line.append(Lineage(f"v{number:03d}", sources[-1], parse_operation(one), f"v{number - 1:03d}"))
    undone = RevertOperation(version="v002").apply(sources[-1], lineage=line)
    assert undone == parse_operation(told[1]).apply(sources[0])
    RevertOperation(version="v002").verify(sources[-1], undone, lineage=line)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("DATA / split /", 'DATA / ("train" if split == "train" else "valid") /', "more with the split's name"),
        ("load_split", "read_split", "no function load_split"),
        ("DATASET_ID", "NAME_OF_IT", "no constant DATASET_ID"),
        ("HIDDEN_SIZE = 32", "HIDDEN_SIZE = 32\nADDITIONS = 5", "something called ADDITIONS already"),
    ],
)
def test_a_training_whose_reading_is_not_recognised_is_told(old: str, new: str, reason: str) -> None:
    script = (EXAMPLES / "digits" / "02_train_baseline.py").read_text().replace(old, new)
    assert reason in additions.why_not(script)
    with pytest.raises(InputError, match=reason):
        parse_operation(ROWS).apply(script)


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"augment": {"share": 0.9}}, "augment.share: the share is 0.9"),
        ({"focus": {"class": [1]}}, "focus: there is no key 'class'"),
        ({"addition": "../a001"}, "addition: "),
        ({"shares": 1}, "unknown key 'shares'"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_key(told: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputError, match=reason.replace("(", r"\(")):
        parse_operation({**ROWS, **told})


def test_its_constant_is_set_by_nothing_else() -> None:
    script = parse_operation(ROWS).apply((EXAMPLES / "digits" / "02_train_baseline.py").read_text())
    with pytest.raises(InputError, match="rows are added by `operation: data`"):
        parse_operation({"operation": "set", "setting": "additions", "to": ["a009"]}).apply(script)


def test_a_lock_on_the_data_holds() -> None:
    touched = parse_operation(ROWS).touches("")
    assert Limits("accuracy", True, locked=frozenset({"data"})).refusal(touched)
    assert Limits("accuracy", True, allowed_only=frozenset({"optimizer"})).refusal(touched)
    assert not Limits("accuracy", True, locked=frozenset({"model"})).refusal(touched)


# what it brought


def samples(right: list[bool]) -> PerSample:
    """The first 40 of class b, the others of class a."""
    truth = ["b" if at < 40 else "a" for at in range(len(right))]
    said = [of if ok else "c" for of, ok in zip(truth, right, strict=True)]
    part: list[float | None] = [float(ok) for ok in right]
    ids = [str(at) for at in range(len(right))]
    return PerSample(
        ids,
        truth,
        said,
        list(right),
        [1.0 - value for value in part if value is not None],
        [None] * len(right),
        {"accuracy": part},
    )


@pytest.mark.parametrize(
    ("focus", "rest", "overall", "verdict"),
    [
        (30, -30, "within noise", "trade-off"),
        (30, -80, "worse", "trade-off"),
        (38, -22, "better", "trade-off"),
        (30, 0, "better", "better"),
        (0, -40, "worse", "worse"),
        (0, 0, "within noise", "within noise"),
    ],
)
def test_a_gain_in_the_focus_that_the_rest_pays_for_is_never_better(
    focus: int, rest: int, overall: str, verdict: str
) -> None:
    """`focus`, `rest`: so many more samples are right; of 40 samples 2 were, of 160 all but 40."""
    before = samples([at < 2 for at in range(40)] + [at < 120 for at in range(160)])
    after = samples([at < 2 + focus for at in range(40)] + [at < 120 + rest for at in range(160)])
    runs = (Runs(({},), (before,)), Runs(({},), (after,)))
    parts = added_rows.judge({"classes": ["b"]}, runs, "accuracy", True, 42, names=("v001", "v002"))
    whole = compare(before, after, "accuracy", True, 42)
    assert whole is not None and parts[0] is not None and parts[1] is not None
    assert (parts[0].n, parts[1].n) == (40, 160)
    assert whole.verdict == overall
    told = added_rows.told(parts[0].verdict, parts[1].verdict, whole.verdict)
    assert told == verdict
    rows = AddedRows(addition="a001", count=20, meant="class b", verdict=told)
    capped = added_rows.capped(whole, rows)
    assert capped is not None and capped.verdict == ("trade-off" if overall == "better" != verdict else overall)


def test_a_range_of_the_target_is_a_focus_too() -> None:
    of = added_rows.meant({"target_range": [10, 20]})
    held = samples([True] * 3)
    assert of is not None
    numbers = PerSample(held.ids, ["9.5", "10", "20"], held.truth, [None] * 3, held.loss, held.confidence)
    assert [of(numbers, row) for row in range(3)] == [False, True, True]


# the loop


def open_question(ws: Workspace, version: str = "v001") -> Review:
    return load(ws.drafts(version).review, Review)


def answer(ws: Workspace, given: str, **fields: Any) -> None:
    question = open_question(ws).question
    decisions.decide(ws, Decision.model_validate({"question": question, "answer": given, "at": now(), **fields}))


def written(ws: Workspace, operation: str) -> str:
    text = ws.drafts("v001").action.read_text()
    head, _, rest = text.partition("```yaml\n")
    return f"{head}```yaml\n{operation}\n```{rest.partition('```')[2]}"


ACTION = "operation: data\nfocus: {classes: ['1']}\nreplay: {hard_by: out_of_fold}"


@pytest.fixture
def drafted(waiting: Workspace) -> Workspace:
    """The review shows an addition for class 1."""
    answer(waiting, "edit", action=written(waiting, ACTION))
    assert runner.run(waiting, Options()) == 3
    return waiting


def test_from_the_draft_to_what_it_brought(drafted: Workspace) -> None:
    ws, before = drafted, sha256_of_all(drafted.data(DATASET))
    review = open_question(ws)
    assert (review.problems, folder.names(ws, DATASET)) == ([], []), "nothing is in use before it is accepted"
    assert review.addition is not None and review.addition["counts"] == {"base": 160, "augment": 13, "replay": 3}
    assert review.addition["classes"] == {"1": 16}
    shown = review.addition["rows"]
    assert len(shown) == 10 and any("→" in row["change"] for row in shown)
    assert all(row["parent"].startswith("train-") for row in shown)
    json_is_documented(as_json(ws, "review", "--json"))
    answer(ws, "accept")
    assert runner.run(ws, Options()) == 3
    assert sha256_of_all(ws.data(DATASET)) == before
    assert folder.names(ws, DATASET) == ["a001"] and not ws.drafts("v001").addition.exists()
    assert "addition: a001" in ws.version("v001").action.read_text()
    assert additions.used(ws.script("v002").read_text()) == ("a001",)
    spec, first = (json.loads(ws.version(v).spec.read_text()) for v in ("v002", "v001"))
    assert (spec["additions"], first["additions"]) == (["a001"], [])
    assert spec["additions_sha256"] == {"a001": folder.sha256_of(ws, DATASET, "a001")}
    assert all(spec[name] == first[name] for name in ("train_sha256", "valid_sha256", "data_sha256"))
    assert comparable.why_not(ws, "v001", "v002") == ""
    insight = history.read_insight(ws, "v002")
    assert insight is not None and insight.added_rows is not None
    found = insight.added_rows
    assert (found.addition, found.count, found.meant) == ("a001", 16, "class 1")
    assert found.focus and found.rest and found.overall and found.control
    assert found.focus.n + found.rest.n == found.overall.n == found.control.n == 120
    assert {job.kind for job in jobs(ws) if job.version == "v002/control"} == {"train", "evaluate"}
    compared = as_json(ws, "compare", "v001", "v002", "--json")
    json_is_documented(compared.copy())
    (overall, *told) = [line for line in compared["metrics"] if "acc" in line["metric"]][1:]
    assert [(line["metric"], line["model"]) for line in told] == [
        ("accuracy, focus: class 1", "v002"), ("accuracy, rest", "v002")
    ]  # fmt: skip
    assert [line["delta"] for line in told] == [pytest.approx(one.delta) for one in (found.focus, found.rest)]
    assert overall["verdict"] == found.verdict
    document = ws.drafts("v002").analysis.read_text()
    assert all(part in document for part in ("### Added training rows", "focus:", "rest:", "overall:", "random"))
    assert {"focus_delta", "rest_delta", "overall_delta", "control_delta"} <= {fact.key for fact in insight.facts}


def test_rows_that_lie_in_their_place_already_are_taken_up_after_a_kill(drafted: Workspace) -> None:
    """Ended between the rows and the accepted action: the next start goes on with the same rows."""
    folder.put(drafted, drafted.drafts("v001").addition)
    shown = folder.sha256_of(drafted, DATASET, "a001")
    answer(drafted, "accept")
    assert runner.run(drafted, Options(until="author")) == 0
    assert folder.names(drafted, DATASET) == ["a001"]
    assert folder.sha256_of(drafted, DATASET, "a001") == shown
    assert additions.used(drafted.script("v002").read_text()) == ("a001",)


@pytest.mark.slow
def test_killed_at_any_instant_the_data_stay_and_no_half_addition_is_used(waiting: Workspace) -> None:
    """While the rows are made, and while they are taken over."""
    ws, before = waiting, sha256_of_all(waiting.data(DATASET))

    def killed(times: int) -> None:
        for number in range(times):
            if ws.script("v002").is_file():
                return  # carried out between two kills: another start would go on with that version
            process = launch.start(ws, Options(until="author"))
            time.sleep(0.2 * number)
            process.kill()
            process.wait()
            assert sha256_of_all(ws.data(DATASET)) == before
            for name in folder.names(ws, DATASET):
                folder.read(ws, DATASET, name)

    answer(ws, "edit", action=written(ws, ACTION))
    killed(10)
    assert folder.names(ws, DATASET) == [] and runner.run(ws, Options()) == 3
    assert open_question(ws).addition is not None
    answer(ws, "accept")
    killed(10)
    assert ws.script("v002").is_file() or runner.run(ws, Options(until="author")) == 0
    assert folder.names(ws, DATASET) == ["a001"]
    assert additions.used(ws.script("v002").read_text()) == ("a001",)


def test_rows_that_changed_since_are_not_trained_with(drafted: Workspace, capfd: pytest.CaptureFixture[str]) -> None:
    answer(drafted, "accept")
    assert runner.run(drafted, Options(until="author")) == 0
    rows = drafted.addition(DATASET, "a001") / "rows.csv"
    rows.chmod(0o644)
    rows.write_text(rows.read_text().replace(",1\n", ",0\n"))
    assert runner.run(drafted, Options(autopilot=True)) == 2
    assert "changed after the addition was made" in drafted.journal.read_text()
    assert not drafted.version("v002").best_checkpoint.exists()


def test_what_the_checks_refuse_cannot_be_accepted(waiting: Workspace) -> None:
    """Validation rows that are training rows, too: each row that is made is one of them in disguise."""
    train = (waiting.split(DATASET, "train") / "data.csv").read_text()
    (waiting.split(DATASET, "valid") / "data.csv").write_text(train.replace("train-", "valid-"))
    action = ACTION + "\naugment: {share: 0}\n".replace("{share: 0}", "{share: 0}")
    answer(waiting, "edit", action=written(waiting, action.replace("replay: {", "replay: {share: 0.1, ")))
    assert runner.run(waiting, Options()) == 3
    review = open_question(waiting)
    assert "are not validation or test rows in disguise" in review.problems[0]
    assert review.addition is None
    answer(waiting, "accept")
    assert runner.run(waiting, Options()) == 3
    assert not waiting.script("v002").exists() and folder.names(waiting, DATASET) == []


def test_an_addition_that_is_there_is_named_and_one_that_is_not_is_refused(drafted: Workspace) -> None:
    folder.put(drafted, drafted.drafts("v001").addition)
    for name, problem in (("a001", ""), ("a007", "there is no addition a007")):
        answer(drafted, "edit", action=written(drafted, f"operation: data\naddition: {name}"))
        assert runner.run(drafted, Options()) == 3
        assert problem in "".join(open_question(drafted).problems)
        assert bool(open_question(drafted).problems) is bool(problem)


def test_old_insights_are_read(waiting: Workspace) -> None:
    told = json.loads(waiting.insight("v001").read_text())
    told.pop("added_rows")
    assert Insight.model_validate(told).added_rows is None


def test_a_candidate_is_built_as_it_is_offered_and_experiments_leave_it_out(waiting: Workspace) -> None:
    insight = history.read_insight(waiting, "v001")
    assert insight is not None
    card = next(one for one in insight.candidates if one.id == "add_training_rows")
    assert card.rank > 1 and card.risk == "medium" and card.operation["replay"] == {"hard_by": "out_of_fold"}
    notes: list[str] = []
    content = design.content(waiting, "all", {"from_version": "v001", "candidates": 40}, notes)
    assert "add_training_rows" not in json.dumps(content["runs"])
    assert "add_training_rows is left out: its rows are not made yet" in notes
    answer(waiting, "choose", candidate="add_training_rows")
    assert runner.run(waiting, Options()) == 3
    assert open_question(waiting).addition is not None


def test_check_says_why_no_rows_can_be_added(plain: Workspace) -> None:
    context = runner.prepare(plain, Options())
    assert list(check_rows.told(context)) == []
    text = plain.baseline_script.read_text()
    plain.baseline_script.write_text(text.replace("DATA / split", 'DATA / (split or "train")'))
    [(state, told, _)] = check_rows.told(context)
    assert state == "note" and told.startswith(
        "no action will add training rows: 02_train_baseline.py: load_split does"
    )


def test_a_script_that_reads_its_rows_outside_of_any_function_is_told_in_check_and_review(plain: Workspace) -> None:
    reads = '    train, valid = load_split("train"), load_split("valid")\n'
    text = plain.baseline_script.read_text().replace(reads, "")
    plain.baseline_script.write_text(text.replace("def main():", f"{reads.strip()}\n\n\ndef main():"))
    why = "its training rows are read outside of any function (line 42), before anything asks for batches"
    [(_, told, _)] = check_rows.told(runner.prepare(plain, Options()))
    assert told.startswith(f"no action will add training rows: 02_train_baseline.py: {why}")
    assert runner.run(plain, Options(autopilot=True, until="analyze")) == 0
    assert runner.run(plain, Options()) == 3
    review = open_question(plain)
    assert not any(card.id == "add_training_rows" for card in review.candidates)
    assert any(note.startswith("not offered: add_training_rows: no action, its training rows") for note in review.notes)
    assert "Not offered: add_training_rows: no action" in plain.drafts("v001").analysis.read_text()
