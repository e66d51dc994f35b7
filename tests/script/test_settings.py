"""Settings found in every place where scripts keep them."""

from pathlib import Path

import pytest

from progtrain.engine.errors import InputError, in_file
from progtrain.engine.script.settings import find_setting, find_settings, refuse_value

SCRIPT = """
import argparse
from dataclasses import dataclass, field

LEARNING_RATE: float = 3e-4
EPOCHS, BATCH_SIZE = 10, 32
SHIFT = -1.5
BETAS = (0.9, 0.999)
NAME = f"run-{EPOCHS}"
CONFIG = {"optimizer": {"wd": 0.01}, "widths": [64, 32], "amp": None}
extra = dict(dropout=0.1)

@dataclass
class Config:
    hidden_dim: int = 64
    layers: int = field(default=2)
    data: str = "wine"

class Net(LightningModule):
    def __init__(self, slope=0.2, *, momentum=0.9):
        local = 5

def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-p", "--patience", type=int, default=7)
    parser.add_argument("--verbose", action="store_true")
    trainer = Trainer(max_epochs=EPOCHS, gradient_clip_val=0.5)
    Net(slope=0.3)
"""


@pytest.mark.parametrize(
    ("name", "key", "value", "source"),
    [
        ("LEARNING_RATE", "learning_rate", 3e-4, "constant"),
        ("EPOCHS", "epochs", 10, "constant"),
        ("BATCH_SIZE", "batch_size", 32, "constant"),
        ("SHIFT", "shift", -1.5, "constant"),
        ("BETAS", "betas", (0.9, 0.999), "constant"),
        ("CONFIG['optimizer']['wd']", "weight_decay", 0.01, "dict"),
        ("CONFIG['widths']", "widths", (64, 32), "dict"),
        ("CONFIG['amp']", "precision", None, "dict"),
        ("extra['dropout']", "dropout", 0.1, "dict"),
        ("Config.hidden_dim", "hidden_size", 64, "dataclass"),
        ("Config.layers", "layers", 2, "dataclass"),
        ("Config.data", "data", "wine", "dataclass"),
        ("Net.momentum", "momentum", 0.9, "default"),
        ("--patience", "patience", 7, "argparse"),
        ("Trainer(gradient_clip_val)", "gradient_clip", 0.5, "keyword"),
    ],
)
def test_a_setting_is_found(name: str, key: str, value: object, source: str) -> None:
    found = {s.name: s for s in find_settings(SCRIPT)}
    assert (found[name].key, found[name].value, found[name].source) == (key, value, source)
    assert SCRIPT.splitlines()[found[name].line - 1]


NODES = """
import sys
from yacs.config import CfgNode as CN

def get_config():
    C = CN()
    C.train = CN()
    C.train.lr = 5e-4
    C.train.steps = 10
    C.train.steps *= 2
    C.data = path_of("rows")
    C.batch_size = 32
    if "--deep" in sys.argv:
        C.layers = 4
    return C

def local():
    D = CN()
    D.dropout = 0.5

cfg = SimpleNamespace(patience=3)
cfg.hidden_dim = 64
cfg.patience = 5
config = get_config()
config.batch_size = 64
other.momentum = 0.9
"""


def test_attributes_of_a_configuration_object_are_settings() -> None:
    found = {s.name: (s.key, s.value) for s in find_settings(NODES)}
    assert found == {
        "C.train.lr": ("learning_rate", 5e-4),
        "C.layers": ("layers", 4),
        "cfg.hidden_dim": ("hidden_size", 64),
        "cfg.patience": ("patience", 5),
    }


def test_what_is_no_literal_or_is_overridden_is_not_found() -> None:
    names = {s.name for s in find_settings(SCRIPT)}
    assert not names & {"NAME", "local", "--verbose", "Trainer(max_epochs)", "Net.slope"}


def test_a_name_assigned_twice_cannot_be_set_by_its_first_place() -> None:
    assert find_settings("LR = 0.1\nLR = float(x)\n") == ()


def test_a_written_setting_counts_more_than_a_default() -> None:
    source = "LR = 0.1\nclass Net:\n    def __init__(self, lr=0.5): ...\n"
    setting = find_setting(source, "learning_rate")
    assert setting is not None
    assert setting.name == "LR"


@pytest.mark.parametrize(
    ("source", "name", "key"),
    [
        ('Net(optimizer={"params": {"lr": 5e-3}})', "Net(optimizer)['params']['lr']", "learning_rate"),
        ('class Net:\n    def __init__(self, o={"p": {"lr": 5e-3}}): ...', "Net.o['p']['lr']", "learning_rate"),
        ('class Config:\n    opt = {"wd": 5e-3, "who": 1}', "Config.opt['wd']", "weight_decay"),
        ("C = dict(optimizer=dict(lr=5e-3), name=f(2))", "C['optimizer']['lr']", "learning_rate"),
    ],
)  # fmt: skip
def test_a_setting_within_dicts_is_found(source: str, name: str, key: str) -> None:
    found = find_settings(source)
    assert [(setting.name, setting.key, setting.value) for setting in found] == [(name, key, 5e-3)]


@pytest.mark.parametrize(
    "source",
    [
        'log_metrics(values={"lr": 0.1})',
        'WandbLogger(config={"lr": 0.1})',
        'Net(sizes={"a": 1}, more={"seed": 3})',
        'class Net:\n    def __init__(self, opt={"lr": 5e-3}): ...\nNet(opt=read())',
    ],
)
def test_dicts_in_calls_that_are_no_settings_are_not_found(source: str) -> None:
    assert find_settings(source) == ()


def test_two_values_for_one_setting_name_both_lines() -> None:
    source = "LR = 0.1\nCONFIG = {'learning_rate': 0.2}\n"
    with pytest.raises(InputError, match=r"LR = 0.1 \(line 1\) and CONFIG\['learning_rate'\] = 0.2 \(line 2\)"):
        find_setting(source, "lr")
    exact = find_setting(source, "CONFIG['learning_rate']")
    assert exact is not None
    assert exact.value == 0.2


def test_a_syntax_error_is_named_with_its_line() -> None:
    match = r"02_train_baseline.py, line 2: not valid Python"
    with pytest.raises(InputError, match=match), in_file("02_train_baseline.py"):
        find_settings("x = 1\ndef f(:\n")


def test_a_null_byte_is_an_input_error() -> None:
    with pytest.raises(InputError, match="not valid Python"):
        find_settings("x = '\0'")


@pytest.mark.parametrize("style", sorted(p.stem for p in (Path(__file__).parent / "styles").glob("*.txt")))
def test_each_style_has_its_usual_settings(style: str) -> None:
    source = (Path(__file__).parent / "styles" / f"{style}.txt").read_text()
    for key in ("learning_rate", "batch_size", "epochs"):
        assert find_setting(source, key) is not None, key


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("dropout", 1.0, "dropout must be below 1"),
        ("lr", 0, "learning_rate must be above 0"),
        ("epochs", 2.5, "epochs must be a whole number"),
        ("batch_size", 0, "batch_size must be at least 1"),
        ("weight_decay", -0.1, "weight_decay must be at least 0"),
        ("anything", float("nan"), "finite"),
        ("lr", 3e-4, None),
        ("unknown", -7, None),
    ],
)
def test_a_value_out_of_range_is_refused(key: str, value: object, reason: str | None) -> None:
    why = refuse_value(key, value)
    assert why is None if reason is None else why is not None and reason in why
