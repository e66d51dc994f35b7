"""What fingerprints of training data cost: for the first version, and from the second on.

The large files are sparse: their zeros are read from memory, so that the first figure is of hashing, not of a disk.
What follows is a new process each time, as for a runner that is started again; seconds are of the processor, the
fastest of three. The memory is what the process held at most, beyond that of one that has only imported it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from progtrain.engine.workspace import Workspace

_DATASET = "big"
#: from the second version on
_MOST_SECONDS = 2.0
_LOOK = """\
import json, resource, sys, time
from pathlib import Path
from progtrain.engine import prepared_data
from progtrain.engine.control import digests
from progtrain.engine.workspace import Workspace
ws, begun = Workspace(Path(sys.argv[1])), time.process_time()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = prepared_data.fingerprints(ws, "big") if len(sys.argv) == 2 else {}
digests.keep(ws)
held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(json.dumps([time.process_time() - begun, held / 1024, found.get("data")]))
"""


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="records-") as folder:
        _tell("10 GB in 10 files", _large(Path(folder) / "large", 10.0))
        _tell("100,000 small files", _many(Path(folder) / "many", 100_000))


def _large(root: Path, gigabytes: float) -> Workspace:
    ws = Workspace(root)
    for number in range(10):
        path = ws.split(_DATASET, "train") / f"{number}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.truncate(int(gigabytes * 1e8))
    return ws


def _many(root: Path, count: int) -> Workspace:
    ws = Workspace(root)
    for number in range(count):
        path = ws.split(_DATASET, "train") / f"{number // 1000:03d}" / f"{number:06d}.txt"
        if number % 1000 == 0:
            path.parent.mkdir(parents=True)
        path.write_text(str(number))
    return ws


def _tell(what: str, ws: Workspace) -> None:
    ws.own.mkdir()
    time.sleep(2.5)  # what was written a moment ago is not remembered
    first, _, print_of_first = _look(ws)
    again = [_look(ws) for _ in range(3)]
    assert {found for _, _, found in again} == {print_of_first}
    second, held = min(one[0] for one in again), max(one[1] for one in again)
    size = ws.digests.stat().st_size / 1e6
    target = f"target {_MOST_SECONDS:g} s: {'held' if second <= _MOST_SECONDS else 'MISSED'}"
    took = f"first version {first:.2f} s, afterwards {second:.2f} s"
    print(f"{what}: {took}, {held:.0f} MB, digests.json {size:.1f} MB; {target}")


def _look(ws: Workspace) -> tuple[float, float, str]:
    done = subprocess.run([sys.executable, "-c", _LOOK, str(ws.root)], capture_output=True, text=True, check=True)
    seconds, held, found = json.loads(done.stdout)
    return seconds, held, found
