"""What is asked of Slurm, by its own programs, and what they say when they fail."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from progtrain.engine.errors import InputError
from progtrain.engine.jobs import batch
from progtrain.engine.jobs.detached import with_parent
from progtrain.engine.schema import Resources
from progtrain.engine.text import clean_line

#: squeue's columns and their widths
_COLUMNS = {
    "job": ("JobID", 20),
    "name": ("Name", 128),
    "state": ("State", 24),
    "reason": ("Reason", 80),
    "restarts": ("RestartCnt", 8),
    "exit": ("exit_code", 12),
    "node": ("NodeList", 200),
}
ANSWER_SECONDS = 20.0
_LIMIT = re.compile(r"MaxSubmit|MaxJobCount|temporarily unable to accept|job submit limit, user's size", re.IGNORECASE)
_NO_ANSWER = re.compile(
    r"timed out|unable to contact|connection refused|zero bytes|unable to resolve|communication|connect failure"
    r"|insane message length|no response|protocol authentication",
    re.IGNORECASE,
)
_OF_ONE_JOB = re.compile(r"\w*(PerJob|WallDuration|MaxNode|MaxCpu|MaxMem)\w*Limit", re.IGNORECASE)
Done = subprocess.CompletedProcess[str]


def run(command: list[str], asked: Resources, folder: Path, text: str | None = None) -> Done:
    """Raises `TimeoutExpired`, and `InputError` where there is no Slurm."""
    try:
        return subprocess.run(
            command,
            cwd=folder,
            env=batch.for_submission(asked),
            input=text or "",
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=ANSWER_SECONDS,
            check=False,
            # killed with its runner it has either reached Slurm or never will
            preexec_fn=with_parent,
        )
    except FileNotFoundError as error:
        fix = "start it where sbatch is on the path, on a login node of the cluster; or use the local executor"
        raise InputError(f"{command[0]} is not installed here, so there is no Slurm to ask", fix=fix) from error


def squeue() -> dict[str, dict[str, str]] | None:
    """All jobs of this user, ended ones that Slurm still remembers too, by id. None when there is no answer."""
    columns = ",".join(f"{name}:{width}" for name, width in _COLUMNS.values())
    command = ["squeue", "--noheader", "--states=all", f"--user={os.getuid()}", f"--Format={columns}"]
    try:
        done = run(command, Resources(), Path("/"))
    except (subprocess.TimeoutExpired, InputError):
        return None
    if done.returncode:
        return None
    rows: dict[str, dict[str, str]] = {}
    for line in done.stdout.splitlines():
        row, begins = {}, 0
        for key, (_, width) in _COLUMNS.items():
            row[key], begins = line[begins : begins + width].strip(), begins + width
        rows[row["job"]] = row
    return rows


def is_limit(said: str) -> bool:
    return bool(_LIMIT.search(said)) and not _OF_ONE_JOB.search(said)


def plain(said: str) -> str:
    """Without the name of the program before each line."""
    lines = [re.sub(r"^sbatch: (error: )?", "", clean_line(line)) for line in said.splitlines() if line.strip()]
    return "; ".join(dict.fromkeys(lines))


def is_no_answer(said: str) -> bool:
    """Whether the job may have been taken although the program says that it failed."""
    return bool(_NO_ANSWER.search(said))


def is_unfit(said: str) -> bool:
    return "node configuration is not available" in said


def nodes_away() -> str:
    """Those that are down, drained or in maintenance, as Slurm writes lists of nodes; empty where all are up."""
    command = ["sinfo", "--noheader", "--states=down,drain,fail,maint,reboot,no_respond", "--format=%N"]
    try:
        return ", ".join(run(command, Resources(), Path("/")).stdout.split())
    except (subprocess.TimeoutExpired, InputError):
        return ""
