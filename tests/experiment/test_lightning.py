"""The worker that trains scripts: what a run is given, what comes of it, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from progtrain.engine.experiment import run_workspace
from progtrain.engine.workspace import Workspace
from tests.experiment.by_hand import ByHand

V003 = "base: {script: 02_train_v003.py}\n"


@pytest.fixture
def versions(plain: Workspace) -> Workspace:
    """A workspace at its third version, with modules and results of its own."""
    script = (plain.root / "02_train_baseline.py").read_text().replace('"baseline"', '"v003"')
    plain.script("v003").write_text(script)
    plain.script("v002").write_text(script.replace("v003", "v002"))
    results = plain.version("v003")
    results.path.mkdir(parents=True)
    results.best_checkpoint.write_text("the user's")
    return plain


def texts(ended: Any) -> str:
    return f"{ended.failure}"


def test_a_run_trains_with_its_settings_and_touches_nothing_of_the_user(versions: Workspace) -> None:
    before = versions.script("v003").read_text()
    hand = ByHand(versions, V003 + "variables: {lr: [0.02, 0.5]}\ncontrols: {EPOCHS: 2}")
    assert hand.worker.problems(hand.experiment) == []
    piece = hand.piece("lr0.5")
    hand.scaffold(piece)
    ended = hand.train(piece)
    assert ended.failure is None
    assert [path.name for path in ended.outputs] == ["best.ckpt", "last.ckpt", "spec.json"]
    spec = json.loads((piece.folder.artifacts / "spec.json").read_text())
    assert spec["settings"]["learning_rate"] == 0.5 and spec["settings"]["epochs"] == 2
    assert len((piece.folder.artifacts / "logs/version_0/metrics.csv").read_text().splitlines()) == 3
    assert "LEARNING_RATE = 0.5\n" in piece.folder.script.read_text()
    assert hand.worker.check(piece) is None
    assert versions.script("v003").read_text() == before
    assert versions.version("v003").best_checkpoint.read_text() == "the user's"


def test_a_moved_project_still_works(versions: Workspace) -> None:
    hand = ByHand(versions, V003 + "variables: {lr: [0.5]}")
    hand.scaffold(hand.piece("lr0.5"))
    moved = versions.root.with_name("elsewhere")
    shutil.move(versions.root, moved)
    run = moved / "experiments/cap/lr0.5"
    assert "LEARNING_RATE = 0.5" in (run / "train.py").read_text()
    assert (run / "workspace/dataset/prepdata/toy_v1/train/data.csv").is_file()


def test_a_run_is_given_what_the_script_needs_and_no_results(versions: Workspace) -> None:
    root = versions.root
    for name in ("helpers.py", "net/layers.py", "data.bin", "checkpoints/best.pt", ".git/config", "wandb/run.txt"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text("# one")
    hand = ByHand(versions, V003 + "variables: {lr: [0.5]}")
    piece = hand.piece("lr0.5")
    hand.scaffold(piece)
    own = piece.folder.workspace
    there = {path.name: path.is_symlink() for path in own.iterdir()}
    assert there == {
        "02_train_v003.py": False,
        "03_eval.py": False,
        "user_defined_rules.json": False,
        "helpers.py": False,
        "net": False,
        "data.bin": True,
        "dataset": True,
    }
    assert not (own / "net/layers.py").is_symlink()


def test_what_becomes_the_runs_own_is_never_written_through_a_link(versions: Workspace) -> None:
    folder = versions.root / "conf"
    folder.mkdir()
    (folder / "train.yaml").write_text("lr: 0.02\n")
    hand = ByHand(versions, V003 + "variables: {lr: [0.5]}")
    piece = hand.piece("lr0.5")
    hand.scaffold(piece)
    assert (piece.folder.workspace / "conf").is_symlink()
    # from now on it is code, and copied
    (folder / "net.py").write_text("WIDTH = 8\n")
    hand.scaffold(piece)
    (piece.folder.workspace / "conf/net.py").write_text("WIDTH = 9\n")
    assert (folder / "net.py").read_text() == "WIDTH = 8\n" and (folder / "train.yaml").read_text() == "lr: 0.02\n"
    assert (piece.folder.workspace / "conf/train.yaml").is_symlink()


def test_settings_in_a_config_file_are_set_in_the_runs_copy(versions: Workspace) -> None:
    (versions.root / "conf.json").write_text('{"lr": 0.02, "epochs": 1}\n')
    script = versions.script("v003")
    text = script.read_text().replace("LEARNING_RATE = 0.02\nEPOCHS = 6", 'CONF = json.load(open("conf.json"))')
    script.write_text(text.replace("LEARNING_RATE", "CONF['lr']").replace("EPOCHS", "CONF['epochs']"))
    hand = ByHand(versions, V003 + "variables: {learning_rate: [0.5]}")
    assert hand.worker.settings(hand.experiment)["learning_rate"] == 0.02
    piece = hand.piece("learning_rate0.5")
    hand.scaffold(piece)
    assert json.loads((piece.folder.workspace / "conf.json").read_text()) == {"lr": 0.5, "epochs": 1}
    assert json.loads((versions.root / "conf.json").read_text())["lr"] == 0.02
    assert hand.train(piece).failure is None
    assert yaml.safe_load((piece.folder.artifacts / "logs/version_0/hparams.yaml").read_text())


def test_a_versions_own_copies_of_config_files_and_modules_are_set(versions: Workspace) -> None:
    root, script = versions.root, versions.script("v003")
    for name, text in {
        "conf/train.yaml": "lr: 0.02\n",
        "conf/train_v003.yaml": "lr: 0.04\n",
        "conf/other.yaml": "a: 1\n",
        "net/layers.py": "WIDTH = 4\n",
        "02_train_v003_src/net/layers.py": "WIDTH = 6\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    first = 'import sys; sys.path[:0] = [f"{__file__[:-3]}_src/"]\nfrom net.layers import WIDTH\nimport yaml\n'
    text = script.read_text().replace("import csv\n", f"import csv\n{first}")
    rate = 'LEARNING_RATE = yaml.safe_load(open("conf/train_v003.yaml"))["lr"]'
    script.write_text(text.replace("LEARNING_RATE = 0.02", rate))
    hand = ByHand(versions, V003 + "variables: {lr: [0.5], width: [8]}")
    piece = hand.piece("lr0.5_width8")
    hand.scaffold(piece)
    own = piece.folder.workspace
    assert (own / "conf/train_v003.yaml").read_text() == "lr: 0.5\n"
    assert (own / "02_train_v003_src/net/layers.py").read_text() == "WIDTH = 8\n"
    assert (own / "net/layers.py").read_text() == "WIDTH = 4\n"
    assert (own / "conf/other.yaml").is_symlink() and (root / "conf/train_v003.yaml").read_text() == "lr: 0.04\n"
    # less memory for another attempt: the same places
    hand.submit(hand.piece("lr0.5_width8", {"width": 2}), 2)
    assert (own / "02_train_v003_src/net/layers.py").read_text() == "WIDTH = 2\n"
    assert (root / "02_train_v003_src/net/layers.py").read_text() == "WIDTH = 6\n"
    hand.wait(piece, 2)


def test_a_candidate_is_the_next_version_with_one_action(versions: Workspace) -> None:
    action = "{operation: set, setting: weight_decay, to: 0.1}"
    hand = ByHand(
        versions,
        V003 + f"runs: {{add: [{{name: base, type: control}}, {{name: decay, action: {action}}}]}}",
        "candidates",
    )
    assert hand.worker.problems(hand.experiment) == []
    piece = hand.piece("decay")
    hand.scaffold(piece)
    assert hand.train(piece).failure is None
    assert [path.name for path in piece.folder.workspace.glob("02_train*")] == ["02_train_v004.py"]
    assert "WEIGHT_DECAY = 0.1\n" in piece.folder.script.read_text()
    assert piece.folder.artifacts.resolve().name == "v004"
    assert not versions.script("v004").exists()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("variables: {learning_rat: [0.1]}", "key variables.learning_rat: the script has no setting 'learning_rat'"),
        ("variables: {batch_size: [16, 32]}", "batch_size 32 is not allowed: locked by the rules: batch_size"),
        ("controls: {batch_size: 32}\nvariables: {lr: [1]}", "key controls.batch_size"),
        ("variables: {lr: ['fast']}", "holds a number, and 'fast' is text"),
        # whatever its values: once
        ("variables: {batch_size: [32, 64, 128]}", "key variables.batch_size: batch_size 32 is not allowed"),
        ("variables: {dataset_id: [other_v1]}", "the data stays the same"),
        ("variables: {lr: [-1]}", "learning_rate must be above 0"),
    ],
)
def test_what_the_script_or_the_rules_do_not_allow(versions: Workspace, text: str, told: str) -> None:
    hand = ByHand(versions, V003 + text)
    found = [str(problem) for problem in hand.worker.problems(hand.experiment)]
    assert len(found) == 1 and told in found[0] and "experiment.yaml" in found[0]


@pytest.mark.parametrize(
    ("script", "fix"),
    [
        ("02_train_v03.py", "did you mean 02_train_v003.py?"),
        ("deep/train.py", "`progtrain adopt` brings a script into a workspace; or move it there"),
    ],
)
def test_a_script_that_is_not_there_or_elsewhere(versions: Workspace, script: str, fix: str) -> None:
    (versions.root / "deep").mkdir()
    (versions.root / "deep/train.py").touch()
    hand = ByHand(versions, f"base: {{script: {script}}}\nvariables: {{lr: [1]}}")
    (problem,) = hand.worker.problems(hand.experiment)
    assert problem.place == "key base.script"
    assert problem.fix == fix


def test_a_script_without_a_version_trains(versions: Workspace) -> None:
    (versions.root / "fit.py").write_text(versions.script("v003").read_text().replace('"v003"', '"mine"'))
    hand = ByHand(versions, "base: {script: fit.py}\nvariables: {epochs: [1]}")
    piece = hand.piece("epochs1")
    hand.scaffold(piece)
    assert "EPOCHS = 1\n" in (piece.folder.workspace / "02_train_fit.py").read_text()


def test_an_estimate_leaves_the_limit_of_the_rules(versions: Workspace, edit_rules: Callable[..., None]) -> None:
    edit_rules(versions, loop_config={"step_timeout_minutes": 5})
    hand = ByHand(versions, V003 + 'variables: {epochs: [1]}\nestimates: {time: {value: "30"}}')
    piece = hand.piece("epochs1")
    hand.scaffold(piece)
    assert hand.worker.request(piece, piece.folder.attempt("train", 1)).timeout_seconds == 300


def test_repeats_have_seeds_of_their_own_where_the_rules_state_one(
    versions: Workspace, edit_rules: Callable[..., None]
) -> None:
    edit_rules(versions, seed=42)
    alone = ByHand(versions, V003 + "variables: {seed: [42, 43]}")
    assert "give `repeats`" in str(alone.worker.problems(alone.experiment)[0])
    hand = ByHand(versions, V003 + "variables: {epochs: [1]}\nrepeats: 2")
    assert hand.worker.problems(hand.experiment) == []
    piece = hand.piece("epochs1_seed43")
    hand.scaffold(piece)
    assert hand.train(piece).failure is None
    assert json.loads((piece.folder.artifacts / "spec.json").read_text())["seed"] == 43


def test_a_lock_that_the_training_breaks_fails_the_run(versions: Workspace) -> None:
    script = versions.script("v003")
    script.write_text(script.read_text().replace('"batch_size": BATCH_SIZE', '"batch_size": 2 * BATCH_SIZE'))
    hand = ByHand(versions, V003 + "variables: {lr: [0.5]}")
    piece = hand.piece("lr0.5")
    hand.scaffold(piece)
    failure = hand.train(piece).failure
    assert failure is not None and failure.cause == "outputs"
    assert "batch_size was 32 in the training, the rules say 16" in failure.error_summary


def test_a_failed_script_says_why_and_its_results_are_set_aside_for_the_next(versions: Workspace) -> None:
    script = versions.script("v003")
    last = '    (ARTIFACTS / "last.ckpt")'
    script.write_text(script.read_text().replace(last, f"    raise ValueError('no')\n{last}"))
    hand = ByHand(versions, V003 + "variables: {lr: [0.5]}")
    piece = hand.piece("lr0.5")
    hand.scaffold(piece)
    failure = hand.train(piece).failure
    assert failure is not None and (failure.cause, failure.error_summary) == ("exception", "ValueError: no")
    script.write_text(script.read_text().replace("    raise ValueError('no')\n", ""))
    hand.scaffold(piece)
    assert not hand.worker.can_resume(piece)
    assert hand.train(piece, 2).failure is None
    ws = run_workspace.of(piece.folder)
    assert (ws.attempt("v003", 1).parent / "before-1/best.ckpt").is_file()


@pytest.mark.parametrize(
    ("script", "rules", "held", "smaller"),
    [
        ("", {}, {}, {"batch_size": 8}),
        ("ACCUMULATE_GRAD_BATCHES = 2\n", {}, {}, {"batch_size": 8, "gradient_accumulation": 4}),
        ("", {}, {"batch_size": 1}, None),
        ("", {"batch_size": 16}, {}, None),
        ("ACCUM_STEPS = 1\n", {"accum_steps": 1}, {}, {"batch_size": 8}),
    ],
)
def test_half_the_batch_and_twice_the_accumulation(
    versions: Workspace,
    edit_rules: Callable[..., None],
    script: str,
    rules: dict[str, Any],
    held: dict[str, Any],
    smaller: dict[str, Any] | None,
) -> None:
    stated = json.loads(versions.rules.read_text())
    stated["training_config"] = rules
    versions.rules.write_text(json.dumps(stated))
    path = versions.script("v003")
    path.write_text(path.read_text().replace("EPOCHS = 6", f"EPOCHS = 6\n{script}"))
    hand = ByHand(versions, V003 + "variables: {lr: [0.5]}")
    assert hand.worker.smaller(hand.piece("lr0.5", held)) == smaller


def test_the_smaller_attempt_is_trained_so(versions: Workspace) -> None:
    versions.rules.write_text(versions.rules.read_text().replace('"batch_size": 16', '"momentum": 0.9'))
    hand = ByHand(versions, V003 + "variables: {bs: [12]}")
    piece = hand.piece("bs12")
    changes = hand.worker.smaller(piece)
    assert changes == {"bs": 6}
    again = hand.piece("bs12", changes)
    hand.scaffold(again)
    assert hand.train(again, 2).failure is None
    assert json.loads((piece.folder.artifacts / "spec.json").read_text())["settings"]["batch_size"] == 6


def test_a_script_that_saves_where_all_runs_save_fails(versions: Workspace) -> None:
    (versions.root / "saved").mkdir()
    hand = ByHand(versions, V003 + "variables: {lr: [0.5]}")
    piece = hand.piece("lr0.5")
    hand.scaffold(piece)
    ws = run_workspace.of(piece.folder)
    hand.submit(piece)
    # what the hooks tell of a script that saves by torch.save
    ws.saves("v003").write_text(json.dumps({"kind": "weights", "path": str(ws.root / "saved/best.pt")}) + "\n")
    failure = hand.wait(piece).failure
    assert failure is not None and "where all runs save" in failure.error_summary
