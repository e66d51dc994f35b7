"""Logs by column: the same values as row by row, whatever stands in them."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from progtrain.engine.analysis.measure.curves import logged
from progtrain.engine.files import lines_of
from progtrain.engine.trackers import columns

_LOGS = {
    "by Lightning": "epoch,step,train,val\n0,0,0.5,\n0,1,,0.25\n1,2,nan,\n1,3,-inf,1e-5\n",
    "without steps": "loss,acc\n3,1\n2,\n,\n1,1_0\n",
    "steps as decimals": "loss,step\n3,0.0\n2,5.0\n1,1e1\n",
    "a step that is none": "step,loss\n0,3\n,2\nnan,1\n7,0\n",
    "an epoch that is none": "step,epoch,loss\n0,,3\n1,x,2\n2,1,1\n3,2.0,4\n",
    "logs put together": "step,loss\n0,3\n1,2\n\nstep,loss\n2,1\nstep,acc,loss\n0,0.5,9\n",
    "words among numbers": "step,loss,lr\n0,3,0.1\n1,oops,0.2\n2,1, \n3, 4 ,None\n",
    "short and long rows": "step,loss\n0,3\n1\n2,1,9\n3,4\n",
    "quoted cells": 'step,"the ""loss"", all"\n0,3\n1,"2"\n2,"1\n"\n3,4\n',
    "lines of Windows": "step,loss\r\n0,3\r\n1,2\r\n2,1\r\n",
    "lines of an old Mac": "step,loss\r0,3\r1,2\r2,1\r",
    "one column": "loss\n3\n\n2\n1\n",
    "one name twice": "step,loss,loss\n0,3,4\n1,2,\n2,,1\n",
    "a column without a name": "step,,loss\n0,a,3\n1,step,2\n2,5,1\n",
    "numbers for names": "step,5\nstep,5\n0,3\nstep,5\n1,2\n",
    "a torn last line": "step,loss\n0,3\n1,2\n2,1",
    "zero bytes": "step,loss\n0,3\n1,\0002\n2,1\n",
    "large steps": f"step,loss\n{2**70},3\n{10**400},2\n1,1\n",
    "a cell without an end": f"step,loss\n0,3\n1,{'1' * 140_000}\n2,1\n",
    "a header alone": "step,loss\n",
    "nothing": "",
}


@pytest.mark.parametrize("log", _LOGS)
@pytest.mark.parametrize("rows", [1, 2, 100])
def test_a_log_by_column_holds_what_it_holds_row_by_row(tmp_path: Path, log: str, rows: int) -> None:
    path = tmp_path / "metrics.csv"
    path.write_bytes(_LOGS[log].encode())
    found = []
    for steps, epochs, held in columns.read(path, rows):
        assert 0 < len(steps) <= rows
        for place, (step, epoch) in enumerate(zip(steps, epochs, strict=True)):
            told = {name: column[place] for name, column in held.items() if column[place] is not None}
            found.append((step, epoch, sorted(told.items())))
    lines = (line for line in lines_of(path) if line.endswith(("\n", "\r")))
    wanted = [(step, epoch, sorted(dict(values).items())) for step, epoch, values in logged(csv.reader(lines), str)]
    # as text: of numbers that are none, no two are equal
    assert str(found) == str(wanted)
