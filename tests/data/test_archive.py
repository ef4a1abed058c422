"""Archives: verified, read without unpacking, refused when they try to escape, never half-written."""

import io
import resource
import socket
import tarfile
import zipfile
from pathlib import Path

import pytest

from lossbench.data import archive
from lossbench.errors import DataError


def tar_of(path: Path, contents: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as bundle:
        for name, content in contents.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            bundle.addfile(entry, io.BytesIO(content))
    return path


def zip_of(path: Path, contents: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as bundle:
        for name, content in contents.items():
            bundle.writestr(name, content)
    return path


def remote(source: Path, md5: str | None = None) -> archive.Remote:
    return archive.Remote(url=source.as_uri(), file="fetched.bin", md5=md5 or archive.md5_of(source))


def fetch(source: archive.Remote, folder: Path) -> Path:
    return archive.fetch(source, folder, wanted_by="cifar100", layout=("cifar100/train.npz", source.file))


@pytest.mark.parametrize("make", [tar_of, zip_of])
def test_members_gives_the_wanted_files_and_their_contents(make, tmp_path):
    path = make(tmp_path / "a.bin", {"set/one": b"1", "set/two": b"2", "set/three": b"3"})
    assert dict(archive.members(path, lambda name: name != "set/two")) == {"set/one": b"1", "set/three": b"3"}


@pytest.mark.parametrize("make", [tar_of, zip_of])
@pytest.mark.parametrize("name", ["../evil", "set/../../evil", "/etc/evil", "set\\..\\..\\evil"])
def test_an_archive_with_a_member_outside_its_folder_is_refused(make, name, tmp_path):
    path = make(tmp_path / "a.bin", {"set/one": b"1", name: b"2"})
    with pytest.raises(DataError, match="leads outside"):
        list(archive.members(path, lambda _: True))


@pytest.mark.parametrize("make", [tar_of, zip_of])
def test_a_cut_off_archive_is_one_line(make, tmp_path):
    path = make(tmp_path / "a.bin", {"set/one": bytes(range(256)) * 400})
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(DataError, match=r"cut off or damaged") as caught:
        list(archive.members(path, lambda _: True))
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_fetched_verified_and_not_fetched_again(tmp_path):
    source = tmp_path / "source"
    source.write_bytes(b"published")
    wanted = remote(source)
    assert fetch(wanted, tmp_path / "data").read_bytes() == b"published"
    source.unlink()
    assert fetch(wanted, tmp_path / "data").read_bytes() == b"published"


def test_a_download_with_a_wrong_checksum_names_both_sums_and_is_not_kept(tmp_path):
    source = tmp_path / "source"
    source.write_bytes(b"something else")
    with pytest.raises(DataError, match=f"MD5 {archive.md5_of(source)}, expected {'0' * 32}"):
        fetch(remote(source, md5="0" * 32), tmp_path / "data")
    assert list((tmp_path / "data").iterdir()) == []


def test_a_file_with_a_wrong_checksum_is_named(tmp_path):
    (tmp_path / "fetched.bin").write_bytes(b"cut o")
    with pytest.raises(DataError, match=r"wrong checksum.*fetched\.bin; remove it"):
        fetch(archive.Remote(url="file:///gone", file="fetched.bin", md5="0" * 32), tmp_path)


def test_without_network_the_message_says_what_where_and_how(tmp_path):
    offline = archive.Remote(url=(tmp_path / "gone").as_uri(), file="cifar.tar.gz", md5="0" * 32)
    with pytest.raises(DataError) as caught:
        fetch(offline, tmp_path / "data")
    for part in (
        str(tmp_path / "data"),
        "cifar100/train.npz",
        "cifar.tar.gz",
        offline.url,
        "--data-dir",
        "LOSSBENCH_DATA",
    ):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "data").glob("*"))


def test_a_write_that_fails_leaves_neither_file_nor_remains(tmp_path):
    target = tmp_path / "data" / "train.npz"

    def fail_halfway() -> None:
        with archive.replacing(target) as file:
            file.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_halfway()
    assert list(target.parent.iterdir()) == []


def test_an_unwritable_folder_is_one_line(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match=r"cannot write to .*--data-dir"), archive.replacing(tmp_path / "file" / "x"):
        pass


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with (
            pytest.raises(DataError, match=r"cannot write .*x \(.*--data-dir"),
            archive.replacing(tmp_path / "x") as file,
        ):
            file.write(bytes(2000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_a_host_that_did_not_answer_is_not_asked_again(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = free.getsockname()
    silent = archive.Remote(url=f"http://127.0.0.1:{address[1]}/set", file="set", md5="0" * 32)
    with pytest.raises(DataError) as first:
        fetch(silent, tmp_path)
    with socket.create_server(address) as now_there:
        now_there.settimeout(0)
        with pytest.raises(DataError) as second:
            fetch(silent, tmp_path)
        assert str(second.value) == str(first.value)
        with pytest.raises(BlockingIOError):
            now_there.accept()
