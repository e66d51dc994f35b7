"""Edits of one function: from a model's text to the next script, or the reason why not."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import yaml

from progtrain.engine.analysis.action_file import parse_action
from progtrain.engine.errors import InputError
from progtrain.engine.script.action import policy, proposal
from progtrain.engine.script.action.difference import compare
from progtrain.engine.script.action.operations import (
    EditOperation,
    Lineage,
    parse_operation,
)
from progtrain.engine.script.action.revert import undo

STYLES = sorted((Path(__file__).parent / "styles").glob("*.txt"))
PLAIN = (Path(__file__).parent / "styles" / "plain.txt").read_text()

MIXED = """\
x, y = batch
# a line of the model's own
share = torch.rand(())
mixed = share * x + (1 - share) * x.flip(0)
logits = self(mixed)
loss = share * F.cross_entropy(logits, y) + (1 - share) * F.cross_entropy(logits, y.flip(0))
self.log("train_loss", loss, on_epoch=True)
return loss"""


def edit(function: str, body: str) -> EditOperation:
    operation = parse_operation({"operation": "edit", "function": function, "body": body})
    assert isinstance(operation, EditOperation)
    return operation


def answer(code: str, prose: str = "The model memorises.") -> str:
    return f"{prose}\n\n```python\n{code}\n```\n"


def method(body: str, signature: str = "training_step(self, batch, batch_idx)") -> str:
    return f"def {signature}:\n" + "\n".join(f"    {line}" if line else "" for line in body.split("\n"))


# the operation


def test_an_edit_survives_the_action_file() -> None:
    operation = edit("Net.training_step", MIXED + '\nword = "a: {b} # c"\n\nif True:\n    pass')
    text = operation.to_yaml()
    assert "body: |\n  x, y = batch\n  # a line of the model's own\n" in text
    assert parse_operation(yaml.safe_load(text)) == operation
    parsed = parse_action(f"### Change\n\n```yaml\n{text}base: v002\n```\n")
    assert (parsed.operation, parsed.base) == (operation, "v002")
    assert operation.describe() == "new body for Net.training_step (12 lines)"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"operation": "edit", "function": "f"}, "`body` is missing"),
        ({"operation": "edit", "function": "f()", "body": "pass"}, "function: a text of the form"),
        ({"operation": "edit", "function": "f", "body": "x = '''\n```\n'''"}, "must not hold ```"),
        ({"operation": "edit", "function": "f", "body": "pass", "imports": "os"}, "unknown key 'imports'"),
    ],
)
def test_a_wrong_edit_is_refused(data: dict[str, str], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        parse_operation(data)


def test_one_body_changes_and_nothing_else() -> None:
    operation = edit("Net.training_step", MIXED)
    changed = operation.apply(PLAIN)
    operation.verify(PLAIN, changed)
    assert "        # a line of the model's own\n" in changed
    assert {change.path for change in compare(PLAIN, changed)} == {"Net.training_step"}
    assert changed.replace(MIXED.replace("\n", "\n        "), "") == PLAIN.replace(
        "x, y = batch\n        loss = F.cross_entropy(self(x), y)\n"
        '        self.log("train_loss", loss, on_epoch=True)\n        return loss',
        "",
    )


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_function_on_one_line_and_other_line_ends_are_rewritten_too(newline: str) -> None:
    source = f"import math{newline}{newline}def f(x): return x{newline}{newline}y = 1{newline}"
    operation = edit("f", "z = math.exp(x)\nreturn z")
    changed = operation.apply(source)
    assert changed == source.replace(
        "def f(x): return x", f"def f(x):{newline}    z = math.exp(x){newline}    return z"
    )
    operation.verify(source, changed)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("max_epochs=EPOCHS", "max_epochs=1"),
        ("SEED = 42", "SEED = 43"),
        ("def training_step(self, batch, batch_idx)", "def training_step(self, batch, batch_idx=0)"),
        ("share = torch.rand(())", "share = torch.rand(()) / 2"),
        ("import torch\n", "import torch\nimport os\n"),
        ("return self.net(x)", "return self.net(x).detach()"),
    ],
)
def test_the_checker_refuses_whatever_else_differs(old: str, new: str) -> None:
    operation = edit("Net.training_step", MIXED)
    changed = operation.apply(PLAIN)
    assert old in changed
    with pytest.raises(InputError, match="does not differ by exactly this action"):
        operation.verify(PLAIN, changed.replace(old, new))


def test_what_an_edit_touches_is_held_against_the_locks() -> None:
    assert edit("Net.training_step", MIXED).touches(PLAIN) == {"loss", "edit_training_step"}
    halved = "return torch.optim.Adam(self.parameters(), lr=self.hparams.learning_rate / 2)"
    assert {"learning_rate", "optimizer", "schedule"} <= edit("Net.configure_optimizers", halved).touches(PLAIN)
    smaller = "L.seed_everything(SEED)\nDataLoader(TensorDataset(*load_split('train')), batch_size=8)"
    assert {"batch_size", "data", "epochs", "trainer"} <= edit("main", smaller).touches(PLAIN)
    # nothing tells what it belongs to: it counts as part of everything
    assert {"model", "loss", "optimizer", "data"} <= edit("preprocess", "return torch.as_tensor(raw)").touches(PLAIN)


def test_an_edit_is_undone_like_any_other_action() -> None:
    first = Lineage("v001", PLAIN)
    second = Lineage("v002", edit("Net.training_step", MIXED).apply(PLAIN), edit("Net.training_step", MIXED))
    second = Lineage(second.version, second.source, second.operation, "v001")
    clip = parse_operation({"operation": "recipe", "recipe": "gradient_clipping"})
    third = Lineage("v003", clip.apply(second.source), clip, "v002")
    assert ast.dump(ast.parse(undo([first, second, third], "v002"))) == ast.dump(ast.parse(clip.apply(PLAIN)))


# what a body may not do


REFUSED = [
    ("Net.training_step", "import os\nos.remove('x')\n" + MIXED, "it imports os"),
    ("Net.training_step", "from torch import os as o\no.remove('x')\n" + MIXED, "it imports os"),
    ("Net.training_step", "import numpy as np\n" + MIXED, "it imports numpy, which the script does not"),
    ("Net.training_step", "torch.os.path\n" + MIXED, "it uses os"),
    ("Net.training_step", "eval('1')\n" + MIXED, "it uses eval"),
    ("Net.training_step", "open('x')\n" + MIXED, "it uses open"),
    ("Net.training_step", "getattr(torch, 'o' + 's')\n" + MIXED, "it uses getattr"),
    ("Net.training_step", "(1).__class__\n" + MIXED, "it uses __class__"),
    ("Net.training_step", "torch.hub.load('a', 'b')\n" + MIXED, "it uses hub"),
    ("Net.training_step", "torch._os.environ\n" + MIXED, "it uses _os"),
    ("Net.training_step", "exit()\n" + MIXED, "it uses exit"),
    ("Net.training_step", "raise SystemExit\n" + MIXED, "it uses SystemExit"),
    ("Net.training_step", "torch.distributed.init_process_group()\n" + MIXED, "it uses distributed"),
    ("Net.training_step", "torch.manual_seed(1)\n" + MIXED, "about the seed"),
    ("Net.training_step", "torch.save(self, 'x')\n" + MIXED, "about a file or a checkpoint"),
    ("Net.training_step", "print(VERSION)\n" + MIXED, "about version, data or artifacts"),
    ("Net.training_step", "print(ARTIFACTS)\n" + MIXED, "about version, data or artifacts"),
    ("Net.training_step", "global EPOCHS\n" + MIXED, "it uses `global`"),
    ("Net.training_step", "F.relu = None\n" + MIXED, "it changes F.relu, which is not its own"),
    ("Net.training_step", "self.trainer.max_epochs = 9\n" + MIXED, "it changes self.trainer.max_epochs"),
    ("Net.training_step", "self.hparams['lr'] = 9\n" + MIXED, "it changes self.hparams['lr']"),
    ("Net.training_step", MIXED.replace("self.log", "print"), "it no longer logs 'train_loss'"),
    ("Net.training_step", MIXED.replace("share *", "ratio *"), "it uses ratio, which nothing defines"),
    ("Net.training_step", "yield 1\n" + MIXED, "it uses `yield`"),
    ("Net.__init__", "super().__init__()\nself.net = nn.Linear(8, 3)", "about a file or a checkpoint"),
    ("Net.validation_step", "pass", "what measures a version, or reads its data, is not edited"),
    ("load_split", "return [], []", "what measures a version, or reads its data, is not edited"),
    ("preprocess", "pass", "it does nothing"),
    ("main", "return None", "it changes a statement about the seed"),
    ("main", "L.seed_everything(SEED)", "about version, data or artifacts"),
]


@pytest.mark.parametrize(("function", "body", "reason"), REFUSED, ids=[f"{f}-{r}" for f, _, r in REFUSED])
def test_a_body_that_reaches_beyond_the_training_is_refused(function: str, body: str, reason: str) -> None:
    with pytest.raises(InputError) as caught:
        policy.check(PLAIN, edit(function, body))
    assert reason in caught.value.reason


@pytest.mark.parametrize(
    ("function", "body"),
    [
        ("Net.training_step", MIXED),
        ("Net.forward", "return self.net(F.layer_norm(x, x.shape[1:]))"),
        ("Net.configure_optimizers", "return torch.optim.AdamW(self.parameters(), lr=self.hparams.learning_rate)"),
        (
            "Net.__init__",
            "super().__init__()\nself.save_hyperparameters()\nlayers = [nn.Linear(8, hidden_size), nn.GELU()]\n"
            "self.net = nn.Sequential(*layers, nn.Linear(hidden_size, 3))",
        ),
    ],
)
def test_a_body_that_keeps_to_the_training_passes(function: str, body: str) -> None:
    policy.check(PLAIN, edit(function, body))


def test_what_reads_the_data_is_not_edited_nor_what_that_runs_through() -> None:
    source = PLAIN.replace(
        "def load_split(split):\n", "def number(split):\n    return 1\n\n\ndef load_split(split):\n    number(split)\n"
    )
    assert "number" not in policy.editable(source)
    assert policy.editable(PLAIN) == (
        "preprocess",
        "Net.__init__",
        "Net.forward",
        "Net.training_step",
        "Net.configure_optimizers",
        "main",
    )


# from a model's text


@pytest.mark.parametrize(
    "text",
    [
        answer(method(MIXED)),
        answer("# Net.training_step\n" + method(MIXED)),
        answer("class Net(L.LightningModule):\n" + "\n".join(f"    {line}" for line in method(MIXED).split("\n"))),
        answer("\n".join(f"    {line}" for line in method(MIXED).split("\n"))).replace("```python", "```"),
        answer(method(MIXED, "training_step(self, batch: tuple, batch_idx: int) -> torch.Tensor")).replace(
            "\n", "\r\n"
        ),
    ],
    ids=["bare", "named", "in its class", "indented", "annotated, other line ends"],
)
def test_the_function_is_found_in_what_a_model_writes(text: str) -> None:
    prose, operation = proposal.extract(text, PLAIN)
    assert operation == edit("Net.training_step", MIXED)
    assert prose == ("The model memorises.",)
    policy.check(PLAIN, operation)


def test_a_docstring_that_the_model_leaves_out_is_kept() -> None:
    source = PLAIN.replace("    def forward(self, x):\n", '    def forward(self, x):\n        """The logits."""\n')
    _, found = proposal.extract(answer("# Net.forward\ndef forward(self, x):\n    return self.net(x / 2)"), source)
    assert found.body == '"""The logits."""\nreturn self.net(x / 2)\n'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it wrote no block of code"),
        ("Once upon a time there was a little girl.", "it wrote no block of code"),
        ("```python\ndef forward(self, x):\n    return", "its code has no end"),
        (answer("x = 1") + answer("y = 2"), "more than one block"),
        (answer("def forward(self, x):\n    return self.net(x"), "not valid Python"),
        (answer("return 1"), "no function"),
        (answer("def a():\n    pass\n\ndef b():\n    pass"), "2 functions"),
        (answer("import os\n\ndef forward(self, x):\n    return x"), "more than a function"),
        (answer("def backward(self, x):\n    return x"), "the script has no function backward"),
        (answer("def forward(self, x, y):\n    return x"), "takes other arguments"),
        (answer("async def forward(self, x):\n    return x"), "takes other arguments"),
        (answer("def forward(self, x):\n    # as it is\n    return self.net(x)"), "is the one that the script has"),
        (answer("def validation_step(self, batch, batch_idx):\n    return 0"), "measures a version"),
        (answer("def load_split(split):\n    return [], []"), "measures a version"),
        (answer("def forward(self, x):\n    '''\n    ~~~\n    '''\n    return x"), "must not hold"),
    ],
)
def test_text_without_a_usable_function_is_told(text: str, reason: str) -> None:
    with pytest.raises(InputError) as caught:
        proposal.extract(text, PLAIN)
    assert reason in caught.value.reason


def test_a_name_that_two_classes_have_must_be_told_apart() -> None:
    source = PLAIN + "\n\nclass Other(nn.Module):\n    def forward(self, x):\n        return x\n"
    with pytest.raises(InputError, match=r"which forward is meant: Net\.forward, Other\.forward"):
        proposal.extract(answer("def forward(self, x):\n    return x * 2"), source)
    _, found = proposal.extract(answer("# Other.forward\ndef forward(self, x):\n    return x * 2"), source)
    assert found.function == "Other.forward"


@pytest.mark.parametrize("path", STYLES, ids=lambda path: path.stem)
def test_whatever_may_be_edited_can_be(path: Path) -> None:
    """A statement that does no harm, put in front of each body."""
    source = path.read_text()
    names = policy.editable(source)
    assert names
    for name in names:
        nodes = dict(_functions(source))
        body = "\n".join(ast.unparse(node) for node in nodes[name].body)
        operation = edit(name, f"marker = 1\n{body}")
        changed = operation.apply(source)
        operation.verify(source, changed)
        policy.check(source, operation)


def _functions(source: str) -> list[tuple[str, ast.FunctionDef]]:
    found: list[tuple[str, ast.FunctionDef]] = []
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef):
            found.append((node.name, node))
        elif isinstance(node, ast.ClassDef):
            found += [(f"{node.name}.{item.name}", item) for item in node.body if isinstance(item, ast.FunctionDef)]
    return found
