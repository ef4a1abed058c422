"""Whatever a file from elsewhere turns out to be, every reader of files refuses it in one line and touches nothing.

Here every reader gets every kind of bad file; `store/test_hostile.py` and `test_journal.py` hold the hostile lines of
journals, `data/test_archive.py` and `store/test_merge.py` the well-formed containers of hostile contents.
"""

import hashlib
import pickle
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lossbench import checkpoint, presets
from lossbench.data import archive
from lossbench.errors import LossbenchError
from lossbench.home import Home
from lossbench.store import Store, merge
from tests.data.test_archive import tar_of, zip_of
from tests.store.conftest import Teller, a_spec

RUN, SPEC = "aaaaaaaaaa", a_spec()


def a_home(folder: Path) -> Home:
    home = Home(folder / "home")
    home.create()
    return home


def read_store(file: Path) -> None:
    home = a_home(file.parent)
    file.rename(home.store)
    with Store.open(home) as store:
        store.sql("SELECT * FROM run")
        store.sql("SELECT * FROM metric")


def read_import(file: Path) -> None:
    merge.import_store(a_home(file.parent), file)


def read_checkpoint(file: Path) -> None:
    home = a_home(file.parent)
    file.rename(home.checkpoints / "attempt-0.members")
    home.checkpoint(RUN).symlink_to("attempt-0.members")
    checkpoint.load(home, RUN, SPEC)


def read_preset(file: Path) -> None:
    presets.load(str(file.rename(file.with_suffix(".toml"))))


def read_archive(file: Path) -> None:
    list(archive.members(file, lambda _: True))


READERS = {
    "store": read_store,
    "import": read_import,
    "checkpoint": read_checkpoint,
    "preset": read_preset,
    "tar": read_archive,
    "zip": read_archive,
}


@cache
def sound(reader: str) -> bytes:
    """A file that the reader takes."""
    with tempfile.TemporaryDirectory() as folder:
        home, file = a_home(Path(folder)), Path(folder) / "file"
        match reader:
            case "store" | "import":
                Teller(home).run("good", predictions=True)
                with Store.open(home):
                    pass
                shutil.copy(home.store, file)
            case "checkpoint":
                asked = {RUN: checkpoint.asked(SPEC)}
                checkpoint.save(home, "attempt-0", asked, {RUN: {"w": torch.ones(9)}}, epoch=1, threads=1)
                shutil.copy(home.checkpoints / "attempt-0.members.new", file)
            case "preset":
                file.write_text(presets.describe("digits-mlp"))
            case "tar":
                tar_of(file, {"one": bytes(range(256)) * 9})
            case "zip":
                zip_of(file, {"one": bytes(range(256)) * 9})
        return file.read_bytes()


class Bomb:
    """A pickle that would leave a file behind when loaded."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return open, (str(Path(tempfile.gettempdir()) / "lossbench-bomb"), "w")


def signed(content: bytes) -> bytes:
    return content + hashlib.sha256(content).digest()


CONTENTS: dict[str, Callable[[str], bytes]] = {
    "nothing": lambda reader: b"",
    "one byte": lambda reader: b"\x80",
    "zeros": lambda reader: bytes(8192),
    "text": lambda reader: b"epochs = = 3\n" * 500,
    "half a file": lambda reader: sound(reader)[: len(sound(reader)) // 2],
    "its beginning alone": lambda reader: sound(reader)[:16],
    "noise after its beginning": lambda reader: sound(reader)[:16] + bytes(range(255, -1, -1)) * 64,
    "a pickle": lambda reader: signed(pickle.dumps(Bomb())),
    "deep brackets": lambda reader: b"a = " + b"[" * 100_000,
    "another reader's file": lambda reader: sound("tar" if reader in ("store", "import") else "store"),
}


def refused(reader: str, content: bytes) -> str | None:
    """What the reader says of a file of that content; None where it takes it. Nothing else may have changed."""
    with tempfile.TemporaryDirectory() as outside:
        folder = Path(outside) / "inside"
        folder.mkdir()
        file = folder / "file"
        file.write_bytes(content)
        said = None
        try:
            READERS[reader](file)
        except LossbenchError as error:
            said = str(error)
        assert [path.name for path in Path(outside).iterdir()] == ["inside"]
        assert {path.name for path in folder.iterdir()} <= {"home", "file", "file.toml"}
        assert not (Path(tempfile.gettempdir()) / "lossbench-bomb").exists()
        return said


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("reader", READERS)
def test_a_bad_file_is_refused_in_one_line(reader: str, content: str) -> None:
    assert refused(reader, sound(reader)) is None
    said = refused(reader, CONTENTS[content](reader))
    assert said
    # A preset tells all its mistakes at once, one to a line.
    assert "\n" not in said or (reader == "preset" and "mistakes" in said)


@pytest.mark.parametrize("reader", READERS)
@settings(max_examples=15)
@given(data=st.data())
def test_a_file_changed_anywhere_is_taken_or_refused_but_nothing_else(reader: str, data: st.DataObject) -> None:
    raw = bytearray(sound(reader))
    for place in data.draw(st.lists(st.integers(0, len(raw) - 1), min_size=1, max_size=8)):
        raw[place] ^= data.draw(st.integers(1, 255))
    refused(reader, bytes(raw[: data.draw(st.integers(0, len(raw)))]))


@pytest.mark.parametrize("reader", READERS)
@settings(max_examples=15)
@given(content=st.binary(max_size=300))
def test_a_file_of_any_bytes_is_refused(reader: str, content: bytes) -> None:
    assert refused(reader, content)
