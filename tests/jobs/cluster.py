"""A real Slurm on this machine's loopback, in a folder of its own: no systemd, no accounting, ended by pid."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"

_CONF = """
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmdLogFile={folder}/slurmd-%n.log
SlurmdSpoolDir={folder}/spool-%n
MailProg={folder}/mail
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=100
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0,sched_min_interval=0
SlurmdParameters=config_overrides
KillWait=30
MessageTimeout=2
SlurmctldTimeout=10
SlurmdTimeout=10
InactiveLimit=0
ReturnToService=2
MinJobAge={forgets}
{more}
"""


def missing() -> str:
    """Why there can be no cluster here; empty where there can."""
    needed = ("munged", "slurmctld", "slurmd", "sbatch", "squeue")
    absent = [name for name in needed if shutil.which(name, path=PATH) is None]
    if absent:
        return f"{absent[0]} is not installed (Debian: apt-get install slurm-wlm munge)"
    return "" if os.geteuid() == 0 else "its daemons need root"


class Cluster:
    """Use as a context manager. Its daemons know only this folder."""

    def __init__(self, folder: Path, nodes: int = 1, forgets: int = 300, more: str = "") -> None:
        self.folder = folder
        host = socket.gethostname().split(".")[0]
        self.nodes = [host] if nodes == 1 else [f"n{number}" for number in range(1, nodes + 1)]
        self.conf = folder / "slurm.conf"
        self.environment = {**os.environ, "PATH": PATH, "SLURM_CONF": str(self.conf)}
        folder.mkdir(parents=True, exist_ok=True)
        lines = [
            f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={_free_port()} CPUs=4 RealMemory=4000"
            for node in self.nodes
        ]
        settings = {"host": host, "port": _free_port(), "folder": folder, "forgets": forgets, "more": more}
        partition = "PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP"
        self.conf.write_text("\n".join([_CONF.format(**settings), *lines, partition, ""]))

    def __enter__(self) -> Cluster:
        for name in ("state", *(f"spool-{node}" for node in self.nodes)):
            (self.folder / name).mkdir()
        (self.folder / "mail").write_text(f'#!/bin/sh\necho "$@" >> {self.folder}/mails\ncat > /dev/null\n')
        (self.folder / "mail").chmod(0o755)
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        names = {"key-file": "munge.key", "socket": "munge.socket", "pid-file": "munged.pid"}
        names |= {"log-file": "munged.log", "seed-file": "munged.seed"}
        self.run("munged", "--force", *(f"--{option}={self.folder / name}" for option, name in names.items()))
        try:
            self.start_controller()
            for node in self.nodes:
                self.start_node(node)
            until(
                lambda: self.run("sinfo", "-h", "-N", "-o", "%t").split() == ["idle"] * len(self.nodes),
                "no node is idle",
            )
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        found = [pid for file in self.folder.glob("*.pid") if (pid := _pid(file))]
        ours = [psutil.Process(pid) for pid in found if psutil.pid_exists(pid)]
        for process in self._steps():
            _send(process, signal.SIGKILL)
        for process in ours:
            _send(process, signal.SIGCONT)
            _send(process, signal.SIGTERM)
        _, alive = psutil.wait_procs(ours, timeout=5)
        for process in alive:
            _send(process, signal.SIGKILL)

    def run(self, *command: str, timeout: float = 40) -> str:
        """What it prints. Raises `CalledProcessError` with what it says of an error."""
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=timeout, cwd=self.folder, check=False
        )
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
        return done.stdout

    def answers(self) -> bool:
        try:
            return bool(self.run("sinfo", "-h"))
        except subprocess.CalledProcessError:
            return False

    def fits(self) -> bool:
        """Whether it finds a node for a small job: for a second after a node came back it does not."""
        try:
            self.run("sbatch", "--test-only", "--time=5", "--wrap=true")
        except subprocess.CalledProcessError:
            return False
        return True

    def start_controller(self) -> None:
        # a daemon changes its folder and reads its configuration again later: the path must be whole
        self._daemon("slurmctld", "-f", str(self.conf))

    def start_node(self, node: str) -> None:
        self._daemon("slurmd", "-N", node, "-f", str(self.conf))

    def controller(self) -> psutil.Process:
        return self._process("slurmctld.pid")

    def node(self, name: str | None = None) -> psutil.Process:
        return self._process(f"slurmd-{name or self.nodes[0]}.pid")

    def job(self, job: str) -> dict[str, str]:
        """What the controller tells of a job."""
        words = self.run("scontrol", "show", "job", job, "-o").split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def empty(self) -> None:
        """Ends what is in the queue, and makes the nodes usable again."""
        self.run("scancel", "--user=root")
        until(lambda: not self.run("squeue", "-h"), "the queue did not become empty")

    def _daemon(self, *command: str) -> None:
        with (self.folder / f"{command[0]}.out").open("ab") as out:
            subprocess.run(
                command, env=self.environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=True, timeout=60
            )

    def _process(self, name: str) -> psutil.Process:
        until(lambda: _pid(self.folder / name) > 0, f"{name} was not written")
        return psutil.Process(_pid(self.folder / name))

    def _steps(self) -> list[psutil.Process]:
        """Who watches over jobs, and the jobs: a daemon that ends leaves them behind."""
        found = []
        for process in psutil.process_iter(["name"]):
            if process.info["name"].startswith("slurmstepd"):
                # its title stands over the beginning of its environment, which is empty for psutil
                with suppress(psutil.Error, OSError):
                    if f"SLURM_CONF={self.conf}\0".encode() in Path(f"/proc/{process.pid}/environ").read_bytes():
                        found += [process, *process.children(recursive=True)]
        return found


def until(holds: Callable[[], object], what_not: str, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, what_not
        time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def _pid(file: Path) -> int:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return 0


def _send(process: psutil.Process, number: int) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)
