"""A machine that runs out of something: one sentence, what was recorded is kept, and it goes on once there is room."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lossbench.home import Home
from tests.cli.test_signals import Start, start, statuses
from tests.watching import told, until

__all__ = ["start"]

SMALL = ("run", "digits-mlp", "-s", "epochs=100000", "-s", "data.limit=64", "--plain")


@contextlib.contextmanager
def mounted(place: Path, *limits: str) -> Iterator[Path]:
    """A file system of its own within these limits."""
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", ",".join(limits), "tmpfs", str(place)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small file system")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MiB of its own."""
    with mounted(tmp_path / "small", "size=3m") as place:
        yield place


def test_a_full_disk_fails_the_run_keeps_its_epochs_and_room_lets_it_go_on(small_disk: Path, start: Start) -> None:
    home = Home(small_disk / "home")
    process = start(*SMALL, "--home", home.root, stderr=subprocess.PIPE)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1, err
    assert "Traceback" not in err
    assert [line for line in err.splitlines() if "No space left" in line]
    epochs = [body["epoch"] for body in told(home, "epoch")]
    assert epochs == list(range(1, len(epochs) + 1))
    assert len(epochs) > 10
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    assert statuses(home) in (["failed"], ["lost"])
    start(*SMALL, "--home", home.root, "--retry", "failed")
    until(lambda: len(told(home, "started")) == 2)
    first, second = told(home, "started")
    assert first["run_id"] == second["run_id"]
    assert 0 < second["from_epoch"] <= len(epochs)


@pytest.mark.parametrize("room", [4, 64, 300, 600])
def test_a_store_that_does_not_fit_is_not_left_in_part(small_disk: Path, start: Start, room: int) -> None:
    home = Home(small_disk / "home")
    assert start("run", "iris-linear", "-s", "epochs=2", "--home", home.root).wait(timeout=120) == 0
    home.store.unlink()
    filler = small_disk / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    os.truncate(filler, filler.stat().st_size - 1024 * room)
    for _ in range(2):
        listed = start("ls", "--home", home.root, stderr=subprocess.PIPE)
        out, err = listed.communicate(timeout=60)
        assert (listed.returncode, "iris-linear" in out) == (0, True), err
    filler.unlink()
    assert start("ls", "--home", home.root).wait(timeout=60) == 0
    assert home.store.exists()


def test_a_home_that_may_only_be_read_is_named(tmp_path: Path, start: Start) -> None:
    if os.geteuid() == 0:
        place = Path("/proc/sys/lossbench")
    else:
        place = tmp_path / "closed" / "home"
        place.parent.mkdir(mode=0o555)
    process = start("run", "iris-linear", "--home", place, stderr=subprocess.PIPE)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (6, "")
    assert err.count("\n") == 1
    assert f"cannot write to {place}" in err
