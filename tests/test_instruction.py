"""The user's instruction: what is understood as a lock, and what is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from progtrain.engine import examples
from progtrain.engine.analysis.vocabulary import CANDIDATES
from progtrain.engine.rules import remembered, rules
from progtrain.engine.rules.instruction import read
from progtrain.engine.script.action.catalogue import recipes
from progtrain.engine.workspace import Workspace

LOCKS = [
    ("Never change the optimizer.", {"optimizer"}),
    ("never touch the learning rate", {"learning_rate"}),
    ("Do not change the batch size!", {"batch_size"}),
    ("Don't modify the seed.", {"seed"}),
    ("Don’t modify the seed.", {"seed"}),
    ("Please do not change the model architecture.", {"model"}),
    ("You must never change the loss function.", {"loss"}),
    ("Keep the optimizer.", {"optimizer"}),
    ("Keep batch_size at 32.", {"batch_size"}),
    ("- keep `LEARNING_RATE` fixed", {"learning_rate"}),
    ("* [ ] Keep the number of epochs unchanged, please.", {"epochs"}),
    ("Keep Adam.", {"optimizer"}),
    ("stick with AdamW", {"optimizer"}),
    ("Keep the learning rate schedule as it is.", {"schedule"}),
    ("The batch size must stay at 64.", {"batch_size"}),
    ("The learning rate and the seed must stay fixed.", {"learning_rate", "seed"}),
    ("Hidden size is fixed.", {"hidden_size"}),
    ("The optimizer must not be changed.", {"optimizer"}),
    ("The data is not to be touched.", {"data"}),
    ("Fixed: batch size, seed", {"batch_size", "seed"}),
    ("batch size: 32 (fixed)", {"batch_size"}),
    ("No dropout.", {"dropout"}),
    ("no weight decay, please", {"weight_decay"}),
    ("No changes to the model.", {"model"}),
    ("No early stopping, no warm-up.", {"early_stopping", "warmup"}),
    ("Do not use label smoothing or class weights.", {"label_smoothing", "class_weights"}),
    ("Do not clip gradients.", {"gradient_clipping"}),
    ("Never standardize the inputs.", {"input_standardisation"}),
    ("Don't use SGD.", {"sgd_momentum"}),
    ("Never add batch normalisation or a scheduler", {"batch_norm", "schedule"}),
    ("Train without dropout.", {"dropout"}),
    ("Improve recall without touching the model.", {"model"}),
    ("Leave the loss alone.", {"loss"}),
    ("Never touch the optimizer, the loss, or the batch size.", {"optimizer", "loss", "batch_size"}),
    ("Keep the optimizer, the learning rate may change.", {"optimizer"}),
    ("Keep the optimizer and tune the learning rate.", {"optimizer"}),
    ("Try what you like but never change `NUM_FILTERS`.", {"num_filters"}),
    ("Avoid dropout.", {"dropout"}),
    ("Freeze the learning rate at 0.001 because the paper did.", {"learning_rate"}),
    ("Do not change epochs: the comparison would be unfair.", {"epochs"}),
    ("**Never** change the `batch_size`.", {"batch_size"}),
    ("Do not, under any circumstances, change the seed.", {"seed"}),
    ("I don't want you to change the loss.", {"loss"}),
    ("The GPU has 8 GB, so never raise the batch size.", {"batch_size"}),
    ("Keep the learning rate at 1e-3 and the batch size at 32.", {"batch_size", "learning_rate"}),
    ("Do not replace Adam with SGD.", {"optimizer"}),
    ("The optimizer should not be touched, but everything else may.", {"optimizer"}),
    ("Do not touch `dataset/`.", {"data"}),
    ("NEVER CHANGE THE OPTIMIZER", {"optimizer"}),
]

NOT_LOCKS = [
    "Reach an accuracy of 0.97.",
    "Please improve recall on the digit 8.",
    "Keep an eye on the learning rate.",
    "Keep the model small.",
    "Keep the validation loss low.",
    "Keep the loss curve smooth.",
    "Keep the learning rate below 0.01.",
    "Keep trying different learning rates.",
    "You do not need to keep the optimizer.",
    "Do not hesitate to change the learning rate.",
    "Don't forget to tune weight decay.",
    "Do not change the learning rate and the batch size at the same time.",
    "Do not change the learning rate by more than a factor of 10.",
    "Do not change the optimizer unless the loss diverges.",
    "If the loss diverges, do not use dropout.",
    "Why not change the learning rate?",
    "No idea why the learning rate is so small.",
    "No loss of accuracy, please.",
    "No data leakage.",
    "Without a scheduler, the loss plateaus.",
    "The learning rate was never tuned.",
    "We never changed the optimizer in the last project.",
    "The bug in the model is fixed.",
    "The training must end within an hour.",
    "Only the loss is bad.",
    "Change the learning rate only if it helps.",
    "Not only the learning rate matters.",
    "Use only Adam-like optimizers.",
    "I would prefer to keep the batch size.",
    "Prefer small changes.",
    "The dropout may be raised.",
    "Fix the loss of rare classes.",
    "Never mind the latency.",
    "Do not overfit.",
    "Change one thing at a time.",
    "The model must be small.",
    "Tune the learning rate first.",
    "Never use the test data.",
    "Do not change 02_train_v001.py by hand.",
    "Do not use dropout on the input layer.",
    "It is only a small data set.",
    "Do not use more than 50 epochs.",
    "Don't act on a single epoch.",
]

ONLY = [
    ("Only change the learning rate.", {"learning_rate"}),
    ("Change only the learning rate and weight decay.", {"learning_rate", "weight_decay"}),
    ("Only the learning rate may be changed.", {"learning_rate"}),
    ("You may only tune dropout.", {"dropout"}),
    ("Do not change anything except the learning rate.", {"learning_rate"}),
    ("Everything except the batch size must stay the same.", {"batch_size"}),
    ("Tune the learning rate, nothing else.", {"learning_rate"}),
    ("The only thing you may change is the optimizer.", {"optimizer"}),
]


@pytest.mark.parametrize(("line", "expected"), LOCKS)
def test_a_line_that_fixes_or_forbids_a_known_name_is_a_lock(line: str, expected: set[str]) -> None:
    instruction = read(line)
    assert expected <= instruction.locked
    # a recipe may bring the setting of the same name with it, and nothing else
    assert {lock.removesuffix("ping").removesuffix("_clip") for lock in instruction.locked - expected} <= {"gradient"}
    assert instruction.only is None
    assert instruction.not_enforced == ()


@pytest.mark.parametrize("line", NOT_LOCKS)
def test_a_line_that_only_talks_about_a_setting_is_no_lock(line: str) -> None:
    instruction = read(line)
    assert instruction.locked == frozenset()
    assert instruction.only is None
    assert instruction.not_enforced == (line,)


@pytest.mark.parametrize(("line", "expected"), ONLY)
def test_only_is_exclusive(line: str, expected: set[str]) -> None:
    instruction = read(line)
    assert instruction.only == expected
    assert instruction.locked == frozenset()


@pytest.mark.parametrize("recipe", [recipe.id for recipe in recipes()])
def test_every_recipe_can_be_forbidden_by_its_name(recipe: str) -> None:
    assert recipe in read(f"Never use {recipe.replace('_', ' ')}.").locked
    assert recipe in read(f"Do not use `{recipe}`.").locked


@pytest.mark.parametrize("candidate", [c for c in CANDIDATES if c.endswith(("_up", "_down"))])
def test_every_setting_that_is_tuned_can_be_kept(candidate: str) -> None:
    setting = candidate.rpartition("_")[0]
    assert setting in read(f"Keep the {setting.replace('_', ' ')} as it is.").locked


def test_a_list_takes_its_meaning_from_the_line_above() -> None:
    text = "# Aim\nReach 0.97.\n\n## Do not change\n- the optimizer\n- batch size\n\nYou may tune:\n- lr\n"
    instruction = read(text)
    assert instruction.locked == {"optimizer", "batch_size"}
    assert instruction.not_enforced == ("Reach 0.97.", "You may tune:", "lr")


@pytest.mark.parametrize(
    "heading",
    [
        "## Keep fixed",
        "# Keep unchanged:",
        "Keep fixed:",
        "## Things to keep fixed",
        "## Must stay the same",
        "### What stays fixed",
    ],
)
def test_a_list_below_keep_fixed_is_kept(heading: str) -> None:
    found = read(f"{heading}\n\n- batch size: 32\n- the optimizer\n- the room temperature\n\nTry what you like.\n")
    assert found.locked == {"batch_size", "optimizer"}
    assert [line.text for line in found.lines if not line.understood][-2:] == [
        "the room temperature",
        "Try what you like.",
    ]


def test_a_line_may_fix_one_thing_and_leave_only_another_free() -> None:
    instruction = read("Keep the seed and only change the learning rate.")
    assert instruction.locked == {"seed"}
    assert instruction.only == {"learning_rate"}


def test_each_line_says_what_was_understood() -> None:
    lines = read("Never change the seed.\nBe bold.").lines
    assert [(line.text, line.understood) for line in lines] == [
        ("Never change the seed.", "locked: seed"),
        ("Be bold.", None),
    ]


@pytest.mark.parametrize("text", ["", "\n\n", "# Title\n", "<!-- never change the seed -->\n", "---\n"])
def test_a_file_without_lines_locks_nothing(text: str) -> None:
    instruction = read(text)
    assert instruction.locked == frozenset()
    assert instruction.not_enforced == ()


def test_long_lines_are_read_at_once() -> None:
    # patterns that backtrack would take minutes here
    read("never change the optimizer and the " + "learning rate and the " * 200 + "x\n" + "keep " * 2000)


def test_keeping_the_best_epoch_is_a_wish_and_no_lock() -> None:
    assert not read("Keep the best epoch.").locked
    assert read("No best epoch, please.").locked == {"best_epoch"}


def test_what_init_writes_is_nobodys_instruction(tmp_path: Path) -> None:
    examples.write_empty(tmp_path)
    text = (tmp_path / "user_instruction.md").read_text()
    assert read(text).lines == ()
    assert [line.text for line in read(text + "\nKeep the seed.\n").lines] == ["Keep the seed."]
    assert read(text.replace("<!--", "").replace("-->", "")).locked == {"batch_size", "optimizer"}


def test_what_a_runner_understood_is_remembered_for_looking_alone(ws: Workspace) -> None:
    text = "Never change the optimizer.\nOnly the seed may change.\nAccuracy comes first.\n"
    ws.instruction.write_text(text)
    understood = rules.load(ws).instruction
    remembered.keep(ws, text, understood)
    assert remembered.read(ws, text) == understood
    # what somebody wrote there changes what is shown, and no rule
    ws.understood.write_text(ws.understood.read_text().replace('"optimizer"', '"loss"'))
    assert rules.load(ws, to_look=True).instruction.locked == {"loss"}
    assert rules.load(ws).instruction.locked == {"optimizer"}
    remembered.keep(ws, text, understood)
    for other in (text + "Keep the batch size.\n", ""):
        ws.instruction.write_text(other)
        assert rules.load(ws, to_look=True).instruction == read(other)
    ws.instruction.write_text(text)
    for damaged in ("", "[]", ws.understood.read_text().replace('"lines"', '"rows"'), '{"of": 3, "lines": 3}'):
        ws.understood.write_text(damaged)
        assert rules.load(ws, to_look=True).instruction == understood
