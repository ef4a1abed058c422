"""Telling the living from the dead."""

import os
import subprocess
import sys

import pytest

from lossbench import processes


def test_this_process_is_alive_under_its_own_identity_only() -> None:
    me = processes.identity()
    assert processes.alive(me) is True
    assert processes.alive({**me, "boot_id": "another boot"}) is False
    assert processes.alive({**me, "host": "elsewhere"}) is None
    if me["pid_started"] is not None:
        assert processes.alive({**me, "pid_started": me["pid_started"] - 1}) is False


@pytest.mark.parametrize("pid", [None, 0, -1, "7", 1.5, True, 2**70])
def test_what_is_no_process_id_is_not_alive(pid: object) -> None:
    assert processes.alive({**processes.identity(), "pid": pid, "pid_started": None}) is False


def test_a_process_is_dead_once_it_has_ended_even_before_anybody_waits_for_it() -> None:
    code = "import sys; from lossbench import processes; print(processes.identity(), flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        identity = eval(child.stdout.readline())
        assert processes.alive(identity) is True
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, and still a zombie
        assert processes.alive(identity) is False
