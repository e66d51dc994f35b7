"""The difference between scripts, and whether it is exactly the declared one."""

from pathlib import Path

import pytest

from progtrain.engine.errors import InputError
from progtrain.engine.script.action.catalogue import recipes
from progtrain.engine.script.action.difference import compare
from progtrain.engine.script.action.operations import Operation, RecipeOperation, SetOperation

STYLES = sorted((Path(__file__).parent / "styles").glob("*.txt"))
PLAIN = (Path(__file__).parent / "styles" / "plain.txt").read_text()
LR = SetOperation(setting="learning_rate", from_=1e-3, to=3e-4)
CLIP = RecipeOperation(recipe="gradient_clipping")


def test_comments_layout_and_version_do_not_count() -> None:
    other = PLAIN.replace("# --- what one would tune", "# other words\n\n").replace('"v001"', '"v009"')
    assert other != PLAIN
    assert compare(PLAIN, other) == ()


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ("LEARNING_RATE = 1e-3", "LEARNING_RATE = 1e-2", "LEARNING_RATE"),
        ("SEED = 42", "SEED = 42\nEXTRA = 1", "EXTRA"),
        ("import torch.nn.functional as F", "import torch.nn.functional as F\nimport math", "import"),
        ("x, y = batch\n        loss", "y, x = batch\n        loss", "Net.training_step"),
        ("return self.net(x)", "return self.net(x) * 2", "Net.forward"),
        ("def forward(self, x)", "def forward(self, x, y=1)", "Net.forward"),
        ("max_epochs=EPOCHS", "max_epochs=1", "main"),
        ("    main()\n", "    main(1)\n", "__main__"),
        ("class Net(L.LightningModule)", "class Net(L.LightningModule, object)", "Net"),
        ("def preprocess(raw)", "def prepare(raw)", "prepare"),
    ],
)
def test_a_change_is_found_where_it_is(old: str, new: str, path: str) -> None:
    changed = PLAIN.replace(old, new)
    changes = compare(PLAIN, changed)
    assert path in [change.path for change in changes]
    for change in changes:
        assert 1 <= change.line <= len(changed.splitlines())


def test_a_change_shows_both_sides() -> None:
    (change,) = compare("def f():\n    if x:\n        y = 1\n", "def f():\n    if x:\n        y = 2\n")
    assert (change.path, change.before, change.after, change.line) == ("f", "y = 1", "y = 2", 3)


def test_moving_a_statement_into_a_branch_counts() -> None:
    assert compare("def f():\n    if x:\n        a()\n    b()\n", "def f():\n    if x:\n        a()\n        b()\n")


@pytest.mark.parametrize("path", STYLES, ids=lambda path: path.stem)
def test_every_recipe_makes_exactly_what_it_declares(path: Path) -> None:
    source = path.read_text()
    for recipe in recipes():
        if recipe.precondition(source) is None:
            RecipeOperation(recipe=recipe.id, parameters=recipe.fitted(source)).verify(source, recipe.apply(source))


INTRUSIONS = [
    ("max_epochs=EPOCHS", "max_epochs=1"),
    ("BATCH_SIZE = 32", "BATCH_SIZE = 64"),
    ("F.cross_entropy(logits, y)", "0 * F.cross_entropy(logits, y)"),
    ("# --- what one would tune", "import os; os.system('true')"),
    ("SEED = 42", "SEED = 43"),
    ("(inputs.sum(1) > 40)", "(inputs.sum(1) > 41)"),
    ("return self.net(x)", "return self.net(x).detach()"),
]


@pytest.mark.parametrize(("old", "new"), INTRUSIONS)
@pytest.mark.parametrize("recipe", [None, *(r.id for r in recipes() if r.precondition(PLAIN) is None)])
def test_anything_beside_the_action_is_refused(old: str, new: str, recipe: str | None) -> None:
    operation: Operation = RecipeOperation(recipe=recipe) if recipe else LR
    changed = operation.apply(PLAIN)
    assert old in changed
    with pytest.raises(InputError, match="does not differ by exactly this action"):
        operation.verify(PLAIN, changed.replace(old, new))


def test_another_value_than_declared_is_refused() -> None:
    with pytest.raises(InputError, match=r"LEARNING_RATE is 3e-5"):
        LR.verify(PLAIN, SetOperation(setting="lr", to=3e-5).apply(PLAIN))
    declared = RecipeOperation(recipe="gradient_clipping", parameters={"max_norm": 5.0})
    with pytest.raises(InputError, match="applying it again gives another script"):
        declared.verify(PLAIN, CLIP.apply(PLAIN))


@pytest.mark.parametrize("operation", [LR, CLIP])
def test_no_change_at_all_is_refused(operation: Operation) -> None:
    with pytest.raises(InputError, match="nothing differs"):
        operation.verify(PLAIN, PLAIN)
