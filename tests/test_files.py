"""What is written appears whole or not at all, and never goes through a link; what is read is a file."""

import errno
import os
from pathlib import Path

import pytest

from carousel.files import read, remove_unfinished, write_atomically, written

posix = pytest.mark.skipif(os.name != "posix", reason="links, pipes and devices as POSIX has them")


@pytest.fixture
def treasure(tmp_path: Path) -> Path:
    (tmp_path / "treasure").write_bytes(b"mine")
    (tmp_path / "folder").mkdir()
    return tmp_path / "treasure"


@posix
def test_a_link_is_replaced_and_what_it_points_to_stays(treasure: Path) -> None:
    link = treasure.parent / "folder" / "model"
    link.symlink_to(treasure)
    write_atomically(link, b"new")
    assert treasure.read_bytes() == b"mine"
    assert not link.is_symlink()
    assert link.read_bytes() == b"new"


@posix
def test_links_under_every_name_that_was_ever_used_for_unfinished_files_are_not_followed(treasure: Path) -> None:
    folder = treasure.parent / "folder"
    for name in ("model.tmp", ".model.tmp", "model~", ".unfinished"):
        (folder / name).symlink_to(treasure)
    for _ in range(20):
        write_atomically(folder / "model", b"new")
    assert treasure.read_bytes() == b"mine"


@posix
def test_a_name_that_is_guessed_all_the_same_is_refused(treasure: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("carousel.files.secrets.token_hex", lambda _: "guessed")
    (treasure.parent / ".guessed.unfinished").symlink_to(treasure)
    with pytest.raises(FileExistsError):
        write_atomically(treasure.parent / "model", b"new")
    assert treasure.read_bytes() == b"mine"


def test_a_folder_in_its_place_is_refused_in_words(treasure: Path) -> None:
    with pytest.raises(IsADirectoryError, match="a folder stands in its place"):
        write_atomically(treasure.parent / "folder", b"new")
    with pytest.raises(IsADirectoryError, match="Is a directory"):
        read(treasure.parent / "folder")


@posix
def test_a_pipe_in_its_place_is_refused_in_words_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="a device or a pipe stands in its place"):
        write_atomically(tmp_path / "pipe", b"new")
    with pytest.raises(OSError, match="a device or a pipe stands in its place"):
        read(tmp_path / "pipe")
    with pytest.raises(OSError, match="a device or a pipe stands in its place"):
        read(Path("/dev/zero"))


def test_no_more_is_read_than_may_be(treasure: Path) -> None:
    assert read(treasure, most=4) == b"mine"
    with pytest.raises(OSError, match="it has 4 bytes, and should have 3 at most"):
        read(treasure, most=3)


@pytest.mark.parametrize("moment", ["write", "fsync", "replace"])
def test_after_an_error_all_is_as_before(treasure: Path, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def write() -> None:
        with written(treasure) as file:
            file.write(b"ne")
            if moment == "write":
                full()

    if moment != "write":
        monkeypatch.setattr(os, moment, full)
    with pytest.raises(OSError, match="No space left"):
        write()
    assert treasure.read_bytes() == b"mine"
    assert sorted(path.name for path in treasure.parent.iterdir()) == ["folder", "treasure"]


def test_what_a_crash_left_is_removed(treasure: Path) -> None:
    (treasure.parent / ".0123.unfinished").write_bytes(b"ha")
    (treasure.parent / "notes.unfinished").write_bytes(b"a user's own")
    remove_unfinished(treasure.parent)
    assert sorted(path.name for path in treasure.parent.iterdir()) == ["folder", "notes.unfinished", "treasure"]


def test_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"")
    write_atomically(tmp_path / "new", b"")
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "plain").stat().st_mode
