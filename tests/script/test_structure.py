"""What kind of script it is."""

import ast
from pathlib import Path

import pytest

from progtrain.engine.script.structure import describe, is_main_guard

STYLES = Path(__file__).parent / "styles"


@pytest.mark.parametrize(
    ("style", "optimizer", "schedule", "loss", "module", "data"),
    [
        ("plain", "Adam", None, "cross_entropy", "Net", None),
        ("argparse_regression", "AdamW", "StepLR", "mse_loss", "Regressor", "Data"),
        ("dataclass_images", "SGD", None, "cross_entropy", "Classifier", None),
        ("config_dict", "Adam", None, "cross_entropy", "Model", None),
    ],
)
def test_a_script_is_described(
    style: str, optimizer: str, schedule: str | None, loss: str, module: str, data: str | None
) -> None:
    source = (STYLES / f"{style}.txt").read_text()
    facts = describe(source)
    assert (facts.optimizer, facts.schedule, facts.loss) == (optimizer, schedule, loss)
    assert (facts.module_class, facts.datamodule_class) == (module, data)
    assert any(map(is_main_guard, ast.parse(source).body))
    assert f"{module}.training_step" in facts.training_path


def test_a_shared_step_belongs_to_the_training_path_and_validation_does_not() -> None:
    facts = describe((STYLES / "dataclass_images.txt").read_text())
    assert "Classifier._step" in facts.training_path
    assert "Classifier.validation_step" not in facts.training_path
    assert facts.modules == {"ConvNet", "Classifier"}


def test_what_is_not_there_is_none() -> None:
    facts = describe("def load_split(split): ...\nprint(1)\n")
    assert facts.module_class is None
    assert facts.optimizer is None
    assert not any(map(is_main_guard, ast.parse("print(1)\n").body))
    assert facts.functions == {"load_split"}


def test_a_base_class_in_the_script_is_followed() -> None:
    facts = describe("class Base(pl.LightningModule): ...\nclass Net(Base):\n    def training_step(self): ...\n")
    assert facts.module_class == "Net"
