"""What is wrong with a command line itself is said in one line; a reader that goes is nothing wrong."""

import signal
import subprocess
import sys

import pytest

from tests.cli.conftest import Lossbench


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("run digits-mlp --precision fp8", "'fp8' is not one of 'fp32', 'bf16'"),
        ("run digits-mlp --lss ce", "no such option: --lss (Possible options: --loss"),
        ("run digits-mlp --seed -4", "invalid value for '--seed': Input should be greater than or equal to 0"),
        ("cmpare", "no such command 'cmpare'. Did you mean 'compare'?"),
        ("store chek", "no such command 'chek'. Did you mean 'check'?"),
        ("diff", "missing argument 'RUN'"),
        ("ls --format yaml", "'yaml' is not one of 'table'"),
        ("set @last --note \udcff", "\\xff is no text in UTF-8"),
    ],
)
def test_wrong_usage_is_one_line(lossbench: Lossbench, line: str, said: str) -> None:
    ended = lossbench(*line.split())
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("lossbench: ")
    assert said in ended.err
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize("group", ["", "store"])
def test_a_group_without_a_command_shows_its_help(lossbench: Lossbench, group: str) -> None:
    ended = lossbench(*group.split())
    assert ended.code == 2
    assert ended.out == ""
    assert "Usage: lossbench" in ended.err
    assert "Examples:" in ended.err or "Commands:" in ended.err


@pytest.mark.parametrize("line", ["losses", "--help", "ls --help"])
def test_a_reader_that_goes_is_no_failed_run(line: str) -> None:
    command = [sys.executable, "-m", "lossbench", *line.split()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 128 + signal.SIGPIPE
