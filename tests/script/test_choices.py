"""Flags and words of a script: what each may be, and what it means by its name."""

from __future__ import annotations

import pytest

from progtrain.engine.script.action.operations import parse_operation
from progtrain.engine.script.choices import find_choices, is_off
from progtrain.engine.script.sources import Sources, files_of

COMPARED = 'if OPTIMIZER == "adam":\n    pass\nelif OPTIMIZER in ("sgd", "lion"):\n    pass\n'
ARGUMENT = 'parser.add_argument("--opt", default="sgd", choices={choices})\nif args.opt == "never":\n    pass\n'


def words(source: str) -> dict[str, tuple[object, ...]]:
    return {meaning: values for _, meaning, values in find_choices(source)}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('OPTIMIZER = "sgd"\n' + COMPARED, ("adam", "sgd", "lion")),
        (ARGUMENT.format(choices='["sgd", "adamw"]'), ("sgd", "adamw")),
        ('KINDS = {"sgd": 1, "adam": 2}\n' + ARGUMENT.format(choices="list(KINDS)"), ("sgd", "adam")),
        ('KINDS = {"sgd": 1, "adam": 2}\n' + ARGUMENT.format(choices="KINDS.keys()"), ("sgd", "adam")),
        ('class Config:\n    optimizer: Literal["sgd", "adamw"] = "sgd"\n', ("sgd", "adamw")),
        ('class Net:\n  def __init__(self, optimizer: Literal["sgd", "adamw"] = "sgd"): ...\n', ("sgd", "adamw")),
        ('OPTIMIZER = "sgd"\n{"sgd": 1, "adamw": 2}[OPTIMIZER.lower()]\n', ("sgd", "adamw")),
        ('C = {"optimizer": "sgd"}\nKINDS = {"sgd": 1, "adamw": 2}\nKINDS.get(C["optimizer"])\n', ("sgd", "adamw")),
        ('class Kind(Enum):\n  A = "sgd"\n  B = "adamw"\nOPTIMIZER = "sgd"\nKind(OPTIMIZER)\n', ("sgd", "adamw")),
        ('OPTIMIZER = "sgd"\nmatch OPTIMIZER:\n    case "adam" | "adamw":\n        pass\n', ("adam", "adamw")),
        ('OPTIMIZER = "sgd"\ndef build(kind):\n    if kind == "adam":\n        pass\nbuild(OPTIMIZER)\n', ("adam",)),
        ('OPTIMIZER = "sgd"\ndef build():\n    kind = OPTIMIZER\n    if kind == "adam":\n        pass\n', ("adam",)),
        (
            'OPTIMIZER = "sgd"\nclass Net:\n    def __init__(self, a, kind):\n        self.kind = kind\n'
            '    def configure_optimizers(self):\n        if self.kind == "adam":\n            pass\n'
            "Net(1, kind=OPTIMIZER)\n",
            ("adam",),
        ),
    ],
)  # fmt: skip
def test_the_words_of_a_setting_are_those_that_the_script_knows(source: str, found: tuple[str, ...]) -> None:
    assert words(source) == {"optimizer": found}


def test_names_of_arguments_count_only_in_the_function_that_gets_the_setting() -> None:
    source = (
        'OPTIMIZER = "sgd"\nSCHEDULER = "none"\n'
        'def one(kind):\n    if kind == "adam":\n        pass\n'
        'def other(kind):\n    if kind == "cosine":\n        pass\n'
        "one(OPTIMIZER)\nother(SCHEDULER)\n"
    )
    assert words(source) == {"optimizer": ("adam",), "schedule": ("cosine",)}


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("STANDARDIZE", "standardisation"),
        ("normalise_inputs", "standardisation"),
        ("USE_BN", "batch_norm"),
        ("use_dropout", "dropout"),
        ("DATA_AUGMENTATION", "augmentation"),
        ("class_weights", "class_weights"),
        ("EARLY_STOPPING", "early_stopping"),
    ],
)
def test_a_flag_that_the_code_asks_is_known_by_its_name(name: str, meaning: str) -> None:
    for test in (f"if {name}:\n    pass\n", f"x = 1 if not {name} else 2\n", f"x = {name} and y\n"):
        assert words(f"{name} = False\n{test}") == {meaning: (False, True)}
    assert is_off(f"{name} = False\nif {name}:\n    pass\n", meaning)
    assert not is_off(f"{name} = True\nif {name}:\n    pass\n", meaning)


@pytest.mark.parametrize(
    "source",
    [
        "STANDARDIZE = False\nprint(STANDARDIZE)\n",
        "VERBOSE = False\nif VERBOSE:\n    pass\n",
        "NORMALIZE_TARGETS = False\nif NORMALIZE_TARGETS:\n    pass\n",
        'OPTIMIZER = "sgd"\ntorch.optim.SGD(p)\n',
        'MODE = "a"\nif MODE == "b":\n    pass\n',
        "STANDARDIZE = bool(x)\nif STANDARDIZE:\n    pass\n",
    ],
)
def test_what_cannot_be_understood_has_no_choices(source: str) -> None:
    assert find_choices(source) == ()


@pytest.mark.parametrize(("action", "now", "then"), [("store_true", False, True), ("store_false", True, False)])
def test_a_flag_of_the_command_line_gets_the_default_that_nobody_wrote(action: str, now: bool, then: bool) -> None:
    old = (
        'parser.add_argument("--standardize", "-s", action="' + action + '", help="scale")  # inputs\n'
        'parser.add_argument("--unread", action="store_true")\n'
        "if args.standardize:\n    pass\n"
    )
    assert words(old) == {"standardisation": (False, True)}
    forth = parse_operation({"operation": "set", "setting": "standardize", "from": now, "to": then})
    new = forth.apply(old)
    line = f'"--standardize", "-s", action="{action}", default={then}, help="scale")  # inputs'
    assert new.splitlines()[0] == f"parser.add_argument({line}"
    assert new.splitlines()[1:] == old.splitlines()[1:]
    forth.verify(old, new)
    back = parse_operation({"operation": "set", "setting": "standardize", "from": then, "to": now})
    back.verify(new, back.apply(new))


def test_flags_and_words_of_config_files_are_asked_for_in_any_module() -> None:
    files = {
        "a.yaml": "model:\n  use_bn: false\n  verbose: false\noptim: {name: x, optimizer: sgd}\n",
        "build.py": 'def build(cfg):\n    if cfg.optim.optimizer == "adamw":\n        pass\n',
    }
    source = Sources("if cfg.model.use_bn:\n    pass\n", files)
    assert [(s.full_name, m, w) for s, m, w in find_choices(source)] == [
        ("a.yaml:model.use_bn", "batch_norm", (False, True)),
        ("a.yaml:optim.optimizer", "optimizer", ("adamw",)),
    ]
    turned = parse_operation({"operation": "set", "setting": "use_bn", "to": True}).apply(source)
    assert files_of(turned)["a.yaml"] == files["a.yaml"].replace("use_bn: false", "use_bn: true")
