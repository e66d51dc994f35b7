"""The worker that runs any command: real commands under real guards."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from progtrain.engine.errors import InputError
from progtrain.engine.experiment.workers import base
from progtrain.engine.experiment.workers.base import Score
from progtrain.engine.workspace import Workspace
from tests.experiment.tools import carry_out, complaints, experiment, piece, scaffold

TRAIN = """
import json, os, pathlib, sys
rank, out = int(sys.argv[1]), pathlib.Path(sys.argv[2])
rate = float(os.environ["PROGTRAIN_PARAM_LEARNING_RATE"])
(out / "model.json").write_text(json.dumps({"rank": rank, "rate": rate, "batch": sys.argv[3:]}))
print("trained", rank, rate)
"""
EVALUATE = """
import json, os, pathlib, sys
model = json.loads((pathlib.Path(sys.argv[1]) / "model.json").read_text())
out = pathlib.Path(os.environ["PROGTRAIN_OUTPUT"])
right = [int(n < model["rank"]) for n in range(int(os.environ["PROGTRAIN_OPTION_LIMIT"]))]
(out / "eval_score.json").write_text(json.dumps({"metrics": {"accuracy": sum(right) / len(right)}}))
rows = "".join(f"s{n},{value}\\n" for n, value in enumerate(right))
(out / "per_sample.csv").write_text("id,accuracy\\n" + rows)
"""
PLAN = """
experiment: {name: cap}
tools: {training: command, evaluation: [command]}
base: {command: [python, train.py, "{rank=4}", "{artifacts}", "--batch={batch_size=8}"]}
variables: {rank: [8, 16]}
controls: {learning_rate: 1e-5}
runs: {add: [{name: plain, type: control}, {name: old, type: eval-only, checkpoint: old}]}
evaluation:
  tasks: [{name: caps, command: [python, evaluate.py, "{artifacts}"], options: {limit: 20}}]
"""
TRAINING, EVALUATION = base.training("command"), base.evaluation("command")


@pytest.fixture
def prepared(ws: Workspace) -> Workspace:
    (ws.root / "train.py").write_text(TRAIN)
    (ws.root / "evaluate.py").write_text(EVALUATE)
    return ws


def test_a_command_is_trained_and_evaluated_with_the_settings_of_its_run(prepared: Workspace) -> None:
    whole = experiment(prepared, PLAN)
    assert complaints(TRAINING, whole) == complaints(EVALUATION, whole) == []
    run = piece(whole, "rank8", cell="caps_best")
    scaffold(TRAINING, run)
    ended, _, output = carry_out(TRAINING, piece(whole, "rank8"))
    assert ended.failure is None and output == "trained 8 1e-05\n"
    made = run.folder.artifacts / "model.json"
    assert list(ended.outputs) == [made]
    assert json.loads(made.read_text()) == {"rank": 8, "rate": 1e-5, "batch": ["--batch=8"]}
    assert TRAINING.check(run) is None

    ended, _, _ = carry_out(EVALUATION, run)
    assert ended.failure is None
    assert EVALUATION.scores(run) == [Score("accuracy", 0.4, 20, True)]
    # in the form in which samples are compared
    assert run.cell_folder.per_sample.read_text().startswith("sample_id,part__accuracy\ns0,1\n")
    assert run.cell_folder.protocol in ended.outputs


def test_a_control_has_what_the_command_says_of_the_base_and_a_checkpoint_is_evaluated_alone(
    prepared: Workspace,
) -> None:
    whole = experiment(prepared, PLAN)
    assert TRAINING.settings(whole) == {"rank": 4, "batch_size": 8, "learning_rate": 1e-5}
    assert carry_out(TRAINING, piece(whole, "plain"))[2] == "trained 4 1e-05\n"
    old = piece(whole, "old", cell="caps_best")
    assert not TRAINING.trains(old.run)
    (prepared.root / "old").mkdir()
    (prepared.root / "old/model.json").write_text('{"rank": 10}')
    carry_out(EVALUATION, old)
    assert EVALUATION.scores(old)[0].value == 0.5


def test_scores_are_comparable_where_evaluator_and_data_are_the_same(prepared: Workspace) -> None:
    def protocol(text: str, run: str) -> tuple[str, str]:
        whole = experiment(prepared, text)
        what = piece(whole, run, cell="caps_best")
        carry_out(TRAINING, piece(whole, run))
        assert carry_out(EVALUATION, what)[0].failure is None
        told = json.loads(what.cell_folder.protocol.read_text())
        return told["evaluator_sha256"], told["data_sha256"]

    (prepared.root / "valid.csv").write_text("a\n")
    text = PLAN.replace('"{artifacts}"], options', '"{artifacts}", valid.csv], options')
    first = protocol(text, "rank8")
    assert protocol(text, "rank16") == first
    assert protocol(text.replace("limit: 20", "limit: 21"), "rank8")[0] != first[0]
    (prepared.root / "valid.csv").write_text("b\n")
    other = protocol(text, "rank8")
    assert other[0] == first[0] and other[1] != first[1]
    (prepared.root / "evaluate.py").write_text(EVALUATE + "# another\n")
    assert protocol(text, "rank8")[0] != first[0]


def test_a_failed_command_tells_why_and_what_it_left_is_kept(prepared: Workspace) -> None:
    script = prepared.root / "train.py"
    script.write_text(TRAIN + 'raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")')
    whole = experiment(prepared, PLAN)
    run = piece(whole, "rank8")
    ended, state, _ = carry_out(TRAINING, run)
    assert ended.failure is not None and ended.failure.cause == "out of memory" and state.exit_code == 1
    smaller = TRAINING.smaller(run)
    assert smaller == {"batch_size": 4}
    script.write_text(TRAIN)
    again = piece(whole, "rank8", changes=smaller)
    assert carry_out(TRAINING, again, 2)[0].failure is None
    assert json.loads((run.folder.artifacts / "model.json").read_text())["batch"] == ["--batch=4"]
    assert (run.folder.attempts / "train-1.artifacts/model.json").is_file()
    # the first start is no attempt beside it
    assert run.folder.attempts_at("train") == [1, 2]


def test_half_the_batch_is_made_up_for_by_accumulation_and_one_is_the_least(prepared: Workspace) -> None:
    text = PLAN.replace('"--batch={batch_size=8}"', '"{bs=3}", "{grad_accum=2}"')
    whole = experiment(prepared, text)
    assert TRAINING.smaller(piece(whole, "rank8")) == {"bs": 1, "grad_accum": 6}
    assert TRAINING.smaller(piece(whole, "rank8", changes={"bs": 1})) is None


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("pass", "there is nothing in experiments/cap/rank8/artifacts"),
        ("import sys; sys.exit(3)", "exit code 3"),
    ],
)
def test_a_training_without_results_has_failed(prepared: Workspace, code: str, said: str) -> None:
    (prepared.root / "train.py").write_text(f"# PROGTRAIN_PARAM_LEARNING_RATE\n{code}\n")
    ended, _, _ = carry_out(TRAINING, piece(experiment(prepared, PLAN), "rank8"))
    assert ended.failure is not None and said in ended.failure.error_summary


def test_a_checkpoint_that_was_cut_off_is_found(prepared: Workspace) -> None:
    torch = pytest.importorskip("torch")
    run = piece(experiment(prepared, PLAN), "rank8")
    made = run.folder.artifacts / "best.ckpt"
    made.parent.mkdir(parents=True)
    torch.save({"weight": torch.zeros(1000)}, made)
    assert TRAINING.check(run) is None
    made.write_bytes(made.read_bytes()[:-100])
    failure = TRAINING.check(run)
    assert failure is not None and failure.error_summary == "best.ckpt ends in the middle"


def test_a_command_that_asks_whether_to_go_on_can_be_resumed(prepared: Workspace) -> None:
    (prepared.root / "train.py").write_text(
        "# PROGTRAIN_PARAM_LEARNING_RATE\nimport os, sys\nfrom pathlib import Path\n"
        "file = Path(sys.argv[2]) / 'steps'\n"
        "file.write_text((file.read_text() if os.environ.get('PROGTRAIN_RESUME') else '') + '+')\n"
    )
    run = piece(experiment(prepared, PLAN), "rank8")
    assert not TRAINING.can_resume(run)
    carry_out(TRAINING, run)
    assert TRAINING.can_resume(run)
    carry_out(TRAINING, run, 2, resume=True)
    assert (run.folder.artifacts / "steps").read_text() == "++"
    carry_out(TRAINING, run, 3)
    assert (run.folder.artifacts / "steps").read_text() == "+"


def test_it_is_told_where_to_tell_how_far_it_is_and_when_to_stop(prepared: Workspace) -> None:
    run = piece(experiment(prepared, PLAN), "rank8")
    attempt = run.folder.attempt("train", 1)
    environment = TRAINING.request(run, attempt).environment
    assert Path(environment["PROGTRAIN_STOP_FILE"]).parent == Path(environment["PROGTRAIN_LIVE_FILE"]).parent
    assert Path(environment["PROGTRAIN_STOP_FILE"]).parent == attempt.path


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (("variables: {rank: [8, 16]}", "variables: {rnk: [8]}"), "nothing in the command asks for rnk"),
        (('"{rank=4}"', '"{rank=4}", "{rnak}"'), "{rnak} is no setting\n  fix: did you mean {rank}?"),
        (('"{rank=4}"', '"{rank}"'), "plain has no value for {rank}"),
        (("controls: {", "controls: {run: 3, "), "{run} means something else in a command"),
        (("[python, train.py", "[no-such-program, train.py"), "there is no program no-such-program"),
        (("[python, train.py", "[./train.sh, train.py"), "there is no program ./train.sh"),
        (("controls: {", "repeats: 2\ncontrols: {"), "nothing in the command asks for seed"),
    ],
)
def test_what_a_plan_gets_wrong_is_told_before_anything_runs(
    prepared: Workspace, changed: tuple[str, str], said: str
) -> None:
    assert changed[0] in PLAN
    found = complaints(TRAINING, experiment(prepared, PLAN.replace(*changed)))
    assert any(said in problem and "experiment.yaml" in problem for problem in found), found


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (("limit: 20", "limit: 20, limt: 3"), "nothing in the command asks for the option limt"),
        (('"{artifacts}"], options', '"{artefacts}"], options'), "did you mean {artifacts}?"),
        (('command: [python, evaluate.py, "{artifacts}"], ', ""), "tool command needs a command"),
    ],
)
def test_so_is_what_is_wrong_with_a_task(prepared: Workspace, changed: tuple[str, str], said: str) -> None:
    assert changed[0] in PLAN
    assert any(said in problem for problem in complaints(EVALUATION, experiment(prepared, PLAN.replace(*changed))))


@pytest.mark.parametrize(
    ("score", "samples", "said"),
    [
        (None, None, "the evaluation has written no score"),
        ('{"metrics": {"accuracy": 0.5}, "num_samples": 0}', None, "evaluated on 0 samples"),
        ('{"metrics": {"zeal": 0.5}, "num_samples": 3}', None, "whether zeal is better higher is not known"),
        ('{"metrics": {"accuracy": "high"}}', None, "accuracy is no number"),
        ('{"metrics": {}}', None, "metrics are missing"),
        ('{"metrics": {"accuracy": 0.5}}', "name,accuracy\na,1\n", "no column sample_id"),
        ('{"metrics": {"accuracy": 0.5}}', "id,accuracy\na,1\na,0\n", "the sample a comes twice"),
        ('{"metrics": {"accuracy": 0.5}}', "id,accuracy\n", "it holds no sample"),
    ],
)
def test_a_score_that_is_wrong_is_told_with_its_file(
    prepared: Workspace, score: str | None, samples: str | None, said: str
) -> None:
    code = "import os, pathlib\nout = pathlib.Path(os.environ['PROGTRAIN_OUTPUT'])\n# PROGTRAIN_OPTION_LIMIT\n"
    for name, text in (("eval_score.json", score), ("per_sample.csv", samples)):
        code += f"(out / {name!r}).write_text({text!r})\n" if text is not None else ""
    (prepared.root / "evaluate.py").write_text(code)
    what = piece(experiment(prepared, PLAN), "rank8", cell="caps_best")
    what.folder.artifacts.mkdir(parents=True)
    # of an evaluation before
    what.cell_folder.path.mkdir(parents=True)
    what.cell_folder.score.write_text('{"metrics": {"accuracy": 1}, "num_samples": 3}')
    ended, _, _ = carry_out(EVALUATION, what)
    assert ended.failure is not None and ended.failure.cause == "outputs"
    assert said in ended.failure.error_summary and str(what.cell_folder.path) in ended.failure.error_summary


def test_an_epoch_that_nobody_kept_is_an_error(prepared: Workspace) -> None:
    text = PLAN + "  matrix: [{run: rank8, tasks: [caps], epochs: [3, last]}]\n"
    whole = experiment(prepared, text)
    made = piece(whole, "rank8").folder.artifacts
    for name in ("epoch_2", "last"):
        (made / name).mkdir(parents=True)
    third, last = (piece(whole, "rank8", cell=f"caps_{name}") for name in ("epoch3", "last"))
    with pytest.raises(InputError, match="nothing is kept of epoch 3"):
        EVALUATION.request(third, third.folder.attempt("caps_epoch3", 1))
    request = EVALUATION.request(last, last.folder.attempt("caps_last", 1))
    assert request.environment["PROGTRAIN_CHECKPOINT"] == str(made / "last")
