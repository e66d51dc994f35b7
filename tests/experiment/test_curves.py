"""The curve of a training in several starts."""

from __future__ import annotations

from progtrain.engine.experiment import curves
from progtrain.engine.workspace import Workspace


def test_of_what_two_starts_logged_the_later_counts_and_doing_it_twice_adds_nothing(ws: Workspace) -> None:
    log = ws.version("v001").logs / "version_0/metrics.csv"
    log.parent.mkdir(parents=True)
    log.write_text("epoch,step,train_loss,val_loss\n0,0,5,\n0,1,4,\n0,1,,4.5\n1,2,3,\n")
    earlier, joined = ws.root / "earlier.csv", ws.root / "joined.csv"
    curves.keep(ws, "v001", [earlier], joined)
    log.write_text("step,epoch,train_loss,extra\n2,1,2.5,7\n3,1,2,8\n")
    for added in (True, False):
        assert curves.complete(ws, "v001", [joined]) is added
        assert log.read_text().splitlines() == [
            "epoch,step,train_loss,val_loss,extra",
            "0,0,5,,",
            "0,1,4,,",
            "0,1,,4.5,",
            "1,2,2.5,,7",
            "1,3,2,,8",
        ]
    # cut short before it had logged anything: what is known stays known
    log.unlink()
    curves.keep(ws, "v001", [joined], earlier)
    assert earlier.read_text() == joined.read_text()


def test_a_training_in_one_start_is_left_alone(ws: Workspace) -> None:
    log = ws.version("v001").logs / "version_0/metrics.csv"
    log.parent.mkdir(parents=True)
    log.write_text("loss\n1\n")
    assert not curves.complete(ws, "v001", [ws.root / "none.csv"])
    assert log.read_text() == "loss\n1\n"
