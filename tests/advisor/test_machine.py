"""What a model is given of the machine: decided before it is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from progtrain.advisor.llama import machine
from progtrain.advisor.llama.model import Model
from progtrain.advisor.locate import bundled_model

GIB = 2**30


def test_what_does_not_fit_is_told_with_both_figures() -> None:
    assert machine.too_large(4 * GIB, 8 * GIB) is None
    told = machine.too_large(8 * GIB, 4 * GIB) or ""
    assert "it needs about 8.1 GiB of memory, and 4.0 GiB are free" in told


def test_the_limit_of_a_container_counts(tmp_path: Path) -> None:
    assert machine.free_memory(tmp_path) > 0
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1000\n")
    assert machine.free_memory(tmp_path) > 3000
    (tmp_path / "memory.max").write_text("4000\n")
    (tmp_path / "memory.stat").write_text("anon 500\ninactive_file 300\n")
    assert machine.free_memory(tmp_path) == 3300


@pytest.mark.parametrize(
    ("asked", "free", "layers"),
    [
        (None, [], 0),
        (None, [4 * GIB], 0),
        (None, [8 * GIB], -1),
        (None, [4 * GIB, 4 * GIB], -1),
        (7, [], 7),
        (0, [99], 0),
    ],
)
def test_all_layers_go_to_the_gpu_where_they_fit_unless_the_user_says_otherwise(
    asked: int | None, free: list[int], layers: int
) -> None:
    assert machine.layers_on_gpu(asked, 5 * GIB, free) == layers


def test_a_build_without_gpu_loads_into_memory() -> None:
    assert Model(bundled_model(), gpu_layers=None).gpu_layers in (0, -1)


def test_a_quota_of_processors_counts(tmp_path: Path) -> None:
    free = machine.processors(tmp_path)
    assert free >= 1
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert machine.processors(tmp_path) == free
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    assert machine.processors(tmp_path) == 1
