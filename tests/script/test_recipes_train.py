"""What the recipes make trains, saves, and loads again."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from progtrain.engine.script.action.catalogue import get_recipe, recipes
from progtrain.engine.script.action.operations import RecipeOperation

STYLES = Path(__file__).parent / "styles"
SHAPES = {
    "plain": [4, 8],
    "argparse_regression": [4, 5],
    "dataclass_images": [4, 1, 8, 8],
    "config_dict": [4, 6],
}
RUNNER = Path(__file__).parent / "train_scripts.py"


def train(folder: Path, scripts: dict[str, tuple[str, str]]) -> dict[str, dict[str, object]]:
    """Name -> (style, source) in; name -> result out."""
    jobs = []
    for name, (style, source) in scripts.items():
        place = folder / name
        place.mkdir()
        script = place / "02_train_v001.py"
        script.write_text(source)
        jobs.append({"script": str(script), "folder": str(place), "shape": SHAPES[style]})
    listed = folder / "jobs.json"
    listed.write_text(json.dumps(jobs))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    subprocess.run([sys.executable, RUNNER, listed], check=True, env=environment, capture_output=True, timeout=900)
    return {name: json.loads((folder / name / "result.json").read_text()) for name in scripts}


def assert_trained(name: str, result: dict[str, object]) -> None:
    assert "error" not in result, f"{name}: {result['error']}"
    assert result["finite"], name
    assert result["last"], name
    assert isinstance(result["rows"], int), name
    assert result["rows"] > 1, name


def chain(style: str, names: list[str]) -> str:
    """Each recipe on what the one before it made, verified as the loop does it."""
    source = (STYLES / f"{style}.txt").read_text()
    for name in names:
        source = chain_one(source, name)
    return source


def chain_one(source: str, recipe: str) -> str:
    operation = RecipeOperation(recipe=recipe, parameters=get_recipe(recipe).fitted(source))
    changed = operation.apply(source)
    operation.verify(source, changed)
    return changed


def test_a_script_trains_after_several_recipes_in_a_row(tmp_path: Path) -> None:
    names = ["input_standardisation", "class_weights", "cosine_schedule", "weight_averaging", "dropout"]
    scripts = {"chained": ("plain", chain("plain", names))}
    result = train(tmp_path, scripts)["chained"]
    assert_trained("chained", result)
    assert result["std"] == pytest.approx([3.0] * 8, rel=0.25)


@pytest.mark.slow
def test_every_recipe_gives_a_script_that_trains(tmp_path: Path) -> None:
    scripts = {}
    for style in SHAPES:
        source = (STYLES / f"{style}.txt").read_text()
        scripts[f"{style}-as-it-is"] = (style, source)
        for recipe in recipes():
            if recipe.precondition(source) is None:
                scripts[f"{style}-{recipe.id}"] = (style, recipe.apply(source))
    assert {name.rsplit("-", 1)[-1] for name in scripts} >= {recipe.id for recipe in recipes()}
    for name, result in train(tmp_path, scripts).items():
        assert_trained(name, result)


@pytest.mark.slow
def test_recipes_go_together_in_any_order(tmp_path: Path) -> None:
    scripts = {}
    for style in SHAPES:
        for order, listed in {"forwards": recipes(), "backwards": recipes()[::-1]}.items():
            source = (STYLES / f"{style}.txt").read_text()
            applied = []
            for recipe in listed:
                if recipe.precondition(source) is None:
                    source = chain_one(source, recipe.id)
                    applied.append(recipe.id)
            assert len(applied) >= 10, style
            scripts[f"{style}-{order}"] = (style, source)
    for name, result in train(tmp_path, scripts).items():
        assert_trained(name, result)
