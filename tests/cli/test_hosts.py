"""A sweep as lines of shell on several machines, and their stores as one."""

import os
import subprocess
import sys
from pathlib import Path

from lossbench.home import Home
from tests.cli.conftest import Lossbench
from tests.executors.test_contract import CLOCKED, journalled


def numbers(home: Home) -> dict[tuple[str, int], dict[str, float]]:
    """What each epoch of each cell came to, without what clocks had to do with it."""
    told = journalled(home)
    keys = {body["run_id"]: body["key"] for body in told if body["kind"] == "started"}
    return {
        (keys[body["run_id"]], body["epoch"]): {
            name: value for name, value in body["metrics"].items() if name not in CLOCKED
        }
        for body in told
        if body["kind"] == "epoch"
    }


def test_printed_commands_train_what_the_sweep_does_and_stores_of_several_hosts_become_one(
    home: Home, tmp_path: Path, lossbench: Lossbench
) -> None:
    losses = ("-l", "ce", "-l", "adaptive", "-l", "focal:gamma=1")
    plan = ("sweep", "iris-linear", "-s", "epochs=3", *losses, "-n", "1", "--device", "cpu")
    hosts = [Home(tmp_path / name) for name in ("one", "two")]
    programs = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    del programs["LOSSBENCH_HOME"]
    shells = (("sh",), ("xargs", "-P2", "-I{}", "sh", "-c", "{}"))
    shares = (slice(0, 1), slice(1, 3))
    for host, shell, share in zip(hosts, shells, shares, strict=True):
        lines = lossbench(*plan, "--emit-commands", "--home", host.root).out.splitlines()
        assert len(lines) == 3
        # From another folder than the one they were printed in, with nothing said beside them.
        ran = subprocess.run(
            shell, input="\n".join(lines[share]), capture_output=True, text=True, env=programs, cwd="/", check=True
        )
        assert len(ran.stdout.split()) == len(lines[share])
    both = Home(tmp_path / "both")
    merged = [lossbench("import", host.root, "--home", both.root).err for _ in range(2) for host in hosts]
    # A start, three epochs, predictions and an end of each run; and nothing the second time.
    assert [text.split()[1] for text in merged] == ["6", "12", "0", "0"]
    assert lossbench(*plan).code == 0
    assert numbers(home) == {**numbers(hosts[0]), **numbers(hosts[1])}
    finals = "SELECT loss, seed, split, name, value FROM final WHERE split = 'test' ORDER BY ALL"
    assert lossbench("sql", finals).out == lossbench("sql", finals, "--home", both.root).out
    assert lossbench(*plan, "--emit-commands", "--home", both.root).out == ""
