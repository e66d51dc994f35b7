"""The quickstart of docs/cluster.md: its commands, one after the other, against a real Slurm."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.jobs.cluster import Cluster

PAGE = Path(__file__).parents[2] / "docs" / "cluster.md"
#: what differs from machine to machine: numbers (times, jobs, scores), names of nodes, and the width of columns
_NUMBER = re.compile(r"[+-]?\d[\d.:T-]*")


def transcript() -> list[tuple[str, list[str]]]:
    """Command and the lines that the page shows of what it prints."""
    section = PAGE.read_text().partition("\n## Quickstart\n")[2].partition("\n## ")[0]
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"```console\n(.*?)```", section, re.S):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def plain(line: str) -> str:
    line = re.sub(r"on nodes \S+", "on nodes N", line)
    line = re.sub(r"(done +\d+ .*|running.*) \S+$", r"\1", line) if "running" in line else line
    return " ".join(re.sub(r"-{3,}:?", "---", _NUMBER.sub("N", line)).split())


def missing(shown: list[str], printed: list[str]) -> list[str]:
    """Lines of the page that are not in what was printed, in the page's order; `...` stands for lines left out."""
    rest = iter([plain(line) for line in printed])
    return [line for line in shown if line.strip() not in ("", "...") and not any(plain(line) == one for one in rest)]


@pytest.mark.slow
def test_the_quickstart_does_what_its_page_shows(cluster: Cluster, tmp_path: Path) -> None:
    places = [str(Path(sys.executable).parent), cluster.environment["PATH"]]
    environment = {**os.environ, "PATH": os.pathsep.join(places), "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    here, commands = tmp_path, transcript()
    assert len(commands) > 5
    for command, shown in commands:
        if command.startswith("cd "):
            here = here / command.removeprefix("cd ")
            continue
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=here,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=400,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}"
        assert missing(shown, done.stdout.splitlines()) == [], f"{command}\n{done.stdout}"
