"""One name for a setting, however it is spelled."""

import subprocess
import sys

import pytest

from progtrain.engine.script.names import ALIASES, canonical, nearest


@pytest.mark.parametrize(
    ("spelled", "key"),
    [
        ("epochs", "epochs"),
        ("max_epochs", "epochs"),
        ("num-epochs", "epochs"),
        ("EPOCHS", "epochs"),
        ("cfg.n_epochs", "epochs"),
        ("maxEpochs", "epochs"),
        ("Trainer(max_epochs)", "epochs"),
        ("lr", "learning_rate"),
        ("--lr", "learning_rate"),
        ("LEARNING_RATE", "learning_rate"),
        ("CONFIG['optimizer']['lr']", "learning_rate"),
        ('CONFIG["lr"]', "learning_rate"),
        ("optimizer.lr", "learning_rate"),
        ("train_batch_size", "batch_size"),
        ("batchSize", "batch_size"),
        ("wd", "weight_decay"),
        ("p_drop", "dropout"),
        ("dropout_rate", "dropout"),
        ("hidden", "hidden_size"),
        ("width", "hidden_size"),
        ("hidden_dim", "hidden_size"),
        ("n_hidden", "hidden_size"),
        ("n_layers", "layers"),
        ("depth", "layers"),
        ("gradient_clip_val", "gradient_clip"),
        ("EARLY_STOPPING_PATIENCE", "patience"),
        ("prepdata_version", "dataset_id"),
        ("My-Own.Thing", "thing"),
        ("SomeKnob", "some_knob"),
    ],
)
def test_a_spelling_means_its_key(spelled: str, key: str) -> None:
    assert canonical(spelled) == key


def test_no_alias_means_two_keys() -> None:
    spelled = [alias for key, aliases in ALIASES.items() for alias in (key, *aliases)]
    assert len(spelled) == len(set(spelled))


def test_canonical_is_stable() -> None:
    assert all(canonical(canonical(alias)) == key for key, aliases in ALIASES.items() for alias in aliases)


def test_a_typing_error_finds_the_nearest_name() -> None:
    assert nearest("learning_rat", ["batch_size", "LEARNING_RATE"]) == ["LEARNING_RATE"]
    assert nearest("xyzzy", ["batch_size"]) == []


def test_operations_import_nothing_heavy() -> None:
    code = (
        "import sys, progtrain.engine.script.action.operations as _;"
        "print(*(set(sys.modules) & {'torch', 'libcst', 'pandas'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
