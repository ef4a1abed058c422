"""`--max-time` again and again until all is done: what comes out is what comes out without it."""

import subprocess

import pytest

from lossbench.home import Home
from tests.cli.test_signals import CLOCKED, start, statuses
from tests.watching import Start, told

__all__ = ["start"]

COMMAND = ("digits-cnn", "--loss", "focal:gamma=learned(2)", "-s", "epochs=40", "--plain", "--device", "cpu")
RUN = ("run", *COMMAND, "--threads", "1")
SWEEP = ("sweep", *COMMAND, "--threads", "1", "--seeds", "3", "--jobs", "2")


def numbers(home: Home) -> dict[tuple[str, int], dict[str, float]]:
    """The metrics of every epoch, to the last bit, without those of the clock."""
    keys = {body["run_id"]: body["key"] for body in told(home, "started")}
    return {
        (keys[body["run_id"]], body["epoch"]): {
            name: value for name, value in body["metrics"].items() if name not in CLOCKED
        }
        for body in told(home, "epoch")
    }


@pytest.mark.slow
@pytest.mark.parametrize("command", [RUN, SWEEP], ids=["run", "sweep"])
def test_what_may_take_only_so_long_ends_where_the_unlimited_does(
    home: Home, start: Start, command: tuple[str, ...]
) -> None:
    straight = Home(home.root / "straight")
    assert start(*command, "--home", straight.root).wait(timeout=300) == 0
    halting = Home(home.root / "halting")
    codes = []
    while 0 not in codes and len(codes) < 30:
        # Longer each time, for on a busy machine starting may take all of a short one.
        limit = f"{4 + len(codes)}s"
        process = start(*command, "--home", halting.root, "--max-time", limit, stderr=subprocess.PIPE)
        _, err = process.communicate(timeout=120)
        assert "Traceback" not in err
        codes.append(process.returncode)
        if process.returncode == 130:
            assert set(statuses(halting)) <= {"interrupted", "done"}
            # Each that began has a checkpoint to go on from, once it has an epoch; those that are done have none.
            kept = {path.stem for path in halting.checkpoints.glob("*.pt")}
            ended = {body["run_id"]: body["status"] for body in told(halting, "ended")}
            trained = {body["run_id"] for body in told(halting, "epoch")}
            assert kept == {run for run, status in ended.items() if status == "interrupted" and run in trained}
    assert codes == [130] * (len(codes) - 1) + [0]
    assert len(codes) > 1
    assert {body["status"] for body in told(halting, "ended")} == {"interrupted", "done"}
    assert any(body["from_epoch"] > 0 for body in told(halting, "started"))
    assert numbers(halting) == numbers(straight)
    # A stop in good order repeats no epoch.
    assert len(told(halting, "epoch")) == len(numbers(halting))
