"""What is given to Slurm: the batch script of a job, its name, and the environment that sbatch sees."""

from __future__ import annotations

import math
import os
import re
import shlex
import sys
import uuid
from pathlib import Path

from progtrain.engine.files import sha256_text
from progtrain.engine.schema import JobRequest, Resources
from progtrain.engine.workspace import JobFolder

#: sbatch's variables for what a user of this cluster always asks for; others would win over the script's lines
_DEFAULTS = {"SBATCH_ACCOUNT": "account", "SBATCH_PARTITION": "partition", "SBATCH_QOS": "qos"}
_KEPT = {"SLURM_CONF", "SLURM_CLUSTERS", "SBATCH_CLUSTERS", "SBATCH_RESERVATION", "SBATCH_CONSTRAINT"}
#: more than the guard's own time limit, so that it is the guard that ends the script
_SPARE_MINUTES = 2
_NOT_A_NAME = re.compile(r"[^A-Za-z0-9_.-]+")
_LONGEST_NAME = 80


def new_name(folder: JobFolder) -> str:
    """Of one submission alone: a job is looked for under it when sbatch gave no answer."""
    attempt = _NOT_A_NAME.sub("-", folder.path.name)[-_LONGEST_NAME:]
    return f"pt-{sha256_text(f'{folder.path.absolute()} {uuid.uuid4()}')[:8]}-{attempt}"


def script(folder: JobFolder, request: JobRequest, name: str) -> str:
    """Runs in the job's folder; the guard goes to that of the request, as the lines of `setup` do."""
    asked = request.resources
    lines = ["#!/bin/bash", *(f"#SBATCH --{option}" for option in options(request, name))]
    lines += [f"#SBATCH {option}" for option in asked.options]
    if asked.setup:
        # a module that cannot be loaded must not end in a training on the wrong device
        lines += ["set -e", f"cd {shlex.quote(request.cwd)}", *asked.setup]
    guard = [asked.python or sys.executable, "-P", "-m", "progtrain.engine.jobs.guard", str(folder.path.absolute())]
    # exec: a shell between Slurm and the guard would get the signals
    return "\n".join([*lines, f"exec {shlex.join(guard)} --batch", ""])


def options(request: JobRequest, name: str) -> list[str]:
    asked = request.resources
    minutes = _minutes(request)
    lead = asked.save_seconds if minutes is None else min(asked.save_seconds, minutes * 20)
    found = {
        "job-name": name,
        "partition": asked.partition,
        "account": asked.account,
        "qos": asked.qos,
        "time": minutes,
        "cpus-per-task": asked.cpus,
        "mem": asked.memory_mb and f"{asked.memory_mb}M",
        "gres": asked.gpus and f"gpu:{asked.gpus}",
        "exclude": ",".join(asked.exclude),
        "mail-user": asked.mail,
        "mail-type": asked.mail and "FAIL,TIME_LIMIT_80",
        "signal": f"B:USR1@{lead}",
    }
    again = "requeue" if asked.preemptible else "no-requeue"
    given = [f"{option}={value}" for option, value in found.items() if value]
    return ["nodes=1", "ntasks=1", "open-mode=append", "export=ALL", again, *given]


def output_of(folder: JobFolder, asked: Resources, job: str) -> Path:
    """What Slurm itself writes of a job: what `setup` printed, and why Slurm ended it."""
    return (Path(asked.logs) if asked.logs else folder.path) / f"slurm-{job}.out"


def environment() -> dict[str, str]:
    """Without what belongs to a job that this process may run in, and without defaults that the script states."""
    return {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT or name in _DEFAULTS or not name.startswith(("SLURM", "SBATCH_", "SQUEUE_", "SCANCEL_"))
    }


def for_submission(asked: Resources) -> dict[str, str]:
    stated = {name for name, option in _DEFAULTS.items() if getattr(asked, option)}
    return {name: value for name, value in environment().items() if name not in stated}


def output_option(folder: JobFolder, asked: Resources) -> str:
    """On the command line: any character may stand in a path, and `#SBATCH` lines have quotes of their own."""
    path = output_of(folder, asked, "*").absolute()
    return f"--output={str(path.parent).replace('%', '%%')}/slurm-%j.out"


def _minutes(request: JobRequest) -> int | None:
    if request.resources.minutes is not None or request.timeout_seconds is None:
        return request.resources.minutes
    return math.ceil(request.timeout_seconds / 60) + _SPARE_MINUTES
