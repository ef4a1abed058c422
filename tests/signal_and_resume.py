"""Helper of test_signals: run the command line in forked children, send them signals, and tell how they ended.

A process of its own because it forks; see kill_and_resume. Usage: signal_and_resume.py FOLDER SCENARIO...; prints what
it saw as JSON.
"""

import contextlib
import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path

import torch

from lossbench import experiment
from lossbench.cli import main as lossbench_main
from lossbench.home import Home
from lossbench.journal import journals, read

ENDLESS = ["run", "digits-cnn", "-s", "epochs=100000", "-s", "data.limit=60"]
SWEEP = ["sweep", "digits-cnn", "-s", "epochs=100000", "-s", "data.limit=60", "--seeds", "3", "--jobs", "2"]
SCENARIOS = {
    "int": (ENDLESS, [signal.SIGINT]),
    "term": (ENDLESS, [signal.SIGTERM]),
    "usr1": (ENDLESS, [signal.SIGUSR1]),
    "hup, closed pipes, int": (ENDLESS, [signal.SIGHUP, None, signal.SIGINT]),
    "sweep int": (SWEEP, [signal.SIGINT]),
    "sweep term": (SWEEP, [signal.SIGTERM]),
    "sweep int twice": (SWEEP, [signal.SIGINT, signal.SIGINT]),
}


def bodies(home: Home) -> list[dict]:
    return [line.body for path in journals(home) for line in read(path)]


def start(arguments: list[str], home: Home, output: int) -> int:
    """Run a command in a child that leads a process group of its own, as a shell would start it."""
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setpgid(0, 0)
        for stream in (1, 2):
            os.dup2(output, stream)
        sys.argv = ["lossbench", *arguments, "--home", str(home.root), "--device", "cpu"]
        lossbench_main()
    except SystemExit as ended:
        os._exit(int(ended.code or 0))
    except KeyboardInterrupt:
        os._exit(99)
    except BaseException:
        traceback.print_exc()
    os._exit(98)


def epochs(home: Home) -> int:
    return sum(body["kind"] == "epoch" for body in bodies(home))


def wait_for_epochs(home: Home, more: int, pid: int) -> None:
    wanted = epochs(home) + more
    while epochs(home) < wanted:
        assert os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None, "it ended by itself"
        time.sleep(0.01)


def play(folder: Path, name: str) -> dict:
    arguments, signals = SCENARIOS[name]
    home = Home(folder / name.replace(", ", "-").replace(" ", "-"))
    reader, writer = os.pipe()
    pid = start(arguments, home, writer)
    os.close(writer)
    said = b""
    wait_for_epochs(home, 6 if arguments is SWEEP else 3, pid)
    for number in signals:
        if number is None:
            said = os.read(reader, 1 << 16)
            os.close(reader)
        else:
            # To the whole group, as a terminal does.
            os.killpg(pid, number)
        # What is ignored must let training go on; a second Ctrl-C must not be merged with the first.
        if number in (None, signal.SIGHUP):
            wait_for_epochs(home, 3, pid)
        else:
            time.sleep(0.05)
    sent = time.monotonic()
    _, status = os.waitpid(pid, 0)
    took = time.monotonic() - sent
    with contextlib.suppress(OSError):
        said = os.read(reader, 1 << 16)
        os.close(reader)
    told = bodies(home)
    return {
        "name": name,
        "exit": os.waitstatus_to_exitcode(status),
        "seconds": took,
        "started": sum(body["kind"] == "started" for body in told),
        "ended": [body["status"] for body in told if body["kind"] == "ended"],
        "reasons": [body["reason"] for body in told if body["kind"] == "ended"],
        "checkpoints": len(list(home.checkpoints.glob("*.pt"))),
        "said": said.decode(),
    }


def main() -> None:
    # What is slow to import is imported before the first fork.
    assert experiment
    torch.set_num_threads(1)
    torch.optim.SGD([torch.zeros(1)])
    print(json.dumps([play(Path(sys.argv[1]), name) for name in sys.argv[2:]]))


main()
