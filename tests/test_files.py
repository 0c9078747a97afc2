"""Files that are wholly old or wholly new, records and rows as they are read back, and fingerprints."""

import errno
import os
import re
import shutil
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO
from unittest.mock import Mock

import pytest
from pydantic import RootModel

from sentiment.errors import RunDirError
from sentiment.files import (
    delete_leftovers,
    files_in,
    make_folder_once,
    sync_folder,
    write_atomically,
    write_json,
    write_once,
)
from sentiment.runs.records import Failure, StartCount, StepRow
from sentiment.runs.run_dir import RunDir, read_record, read_records, sealed
from tests.small_runs import limited_file_size, run_in, small_config


def _break_off(file: BinaryIO) -> None:
    file.write(b"half of")
    raise KeyboardInterrupt


def test_old_file_stands_when_writing_breaks_off_or_finds_no_room(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, _break_off)
    with limited_file_size(4096), pytest.raises(OSError, match=r"File too large: '.*/file'"):
        write_atomically(path, lambda file: file.write(bytes(100_000)))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
    path = tmp_path / "nowhere" / "file"
    with pytest.raises(FileNotFoundError, match=str(path)):
        write_atomically(path, lambda file: file.write(b""))
    with pytest.raises(OSError, match=f"directory: '{tmp_path}'$"):  # which no file can replace
        write_atomically(tmp_path, lambda file: file.write(b""))


def test_of_two_hosts_that_make_a_folder_at_once_the_first_one_wins_and_leftovers_go(tmp_path: Path) -> None:
    """As on file systems on which hosts do not see each other's locks."""
    path, killed = tmp_path / "0123", tmp_path / ".0123.killed.tmp"
    killed.mkdir()
    os.utime(killed, (0, 0))
    (tmp_path / ".4567.made.tmp").symlink_to("nowhere")  # as a folder that is renamed just now

    def make_slowly(folder: Path) -> None:
        make_folder_once(path, lambda other: (other / "tweets").write_text("first"))
        (folder / "tweets").write_text("second")

    make_folder_once(path, make_slowly)
    assert (path / "tweets").read_text() == "first"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".4567.made.tmp", path.name]
    make_folder_once(path, Mock(side_effect=AssertionError))


def test_two_processes_of_one_number_on_two_hosts_write_a_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "file"

    def write_slowly(file: BinaryIO) -> None:
        file.write(b"first")
        write_atomically(path, lambda other: other.write(b"second"))

    write_atomically(path, write_slowly)
    assert path.read_bytes() == b"first"


def test_leftovers_of_killed_writers_are_deleted_after_a_day(tmp_path: Path) -> None:
    for name, seconds in ((".old.tmp", 0), (".new.tmp", time.time()), ("old", 0)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (seconds, seconds))
    delete_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".new.tmp", "old"]


def test_first_writer_wins_and_one_that_dies_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ranking"
    with monkeypatch.context() as patch:
        patch.setattr(os, "link", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            write_once(path, lambda file: file.write(b"half"))
    assert list(tmp_path.iterdir()) == []
    for content in (b"first", b"second"):
        write_once(path, lambda file, content=content: file.write(content))
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_file_system_without_hard_links_and_synced_folders_gets_the_same_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As FAT and some folders that a virtual machine shares with its host."""
    sync = os.fsync

    def sync_only_files(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", sync_only_files)
    monkeypatch.setattr(os, "link", Mock(side_effect=PermissionError(errno.EPERM, os.strerror(errno.EPERM))))
    path = tmp_path / "ranking"
    for content in (b"first", b"second"):
        write_once(path, lambda file, content=content: file.write(content))
    assert path.read_bytes() == b"first"
    write_atomically(path, lambda file: file.write(b"third"))
    assert path.read_bytes() == b"third"
    make_folder_once(tmp_path / "folder", lambda folder: (folder / "tweets").write_text("first"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "ranking"]


def test_folder_that_a_broken_disk_cannot_sync_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", Mock(side_effect=OSError(errno.EIO, os.strerror(errno.EIO))))
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        sync_folder(tmp_path)


def test_link_that_a_broken_disk_refuses_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Renaming instead could replace what another host wrote first."""
    monkeypatch.setattr(os, "link", Mock(side_effect=OSError(errno.EIO, os.strerror(errno.EIO))))
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        write_once(tmp_path / "ranking", lambda file: file.write(b"first"))
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_json_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "value.json", {"a": float("nan")})


def test_what_vanishes_while_a_folder_is_read_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    for name, size in (("x", 3), ("a/y", 5), ("a/b/z", 7)):
        (tmp_path / name).write_bytes(bytes(size))
    found = []
    for path, size in files_in(tmp_path):
        found.append((path.name, size))
        shutil.rmtree(tmp_path / "a", ignore_errors=True)  # as another process does with what it has written
    assert found == [("x", 3)]
    assert [*files_in(tmp_path / "nowhere")] == []


def test_file_that_is_no_such_record_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "failure.json"
    write_atomically(path, sealed(RootModel({"more": 1})))
    with pytest.raises(RunDirError, match=f"{re.escape(str(path))}: is not a valid record"):
        read_record(path, Failure)
    with pytest.raises(RunDirError, match=f"{re.escape(str(tmp_path))}: cannot be read"):
        read_record(tmp_path, Failure)


def test_line_that_is_damaged_or_incomplete_is_named(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    assert read_records(path, StepRow) == []
    row = b'{"step": 1, "epoch": 1, "loss": 0.5}\n'
    path.write_bytes(2 * row)
    assert read_records(path, StepRow) == 2 * [StepRow(step=1, epoch=1, loss=0.5)]
    for content in (row + b"\0\0\n", row + b"\xff\n", row + row[:-1]):
        path.write_bytes(content)
        with pytest.raises(RunDirError, match=re.escape(f"{path}") + "(:|,) line 2"):
            read_records(path, StepRow)


def test_record_that_was_changed_is_refused(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path)
    run_dir.write_record(StartCount(step=7, number=1, job=None))
    assert run_dir.read(StartCount) == StartCount(step=7, number=1, job=None)
    run_dir.start_file.write_bytes(run_dir.start_file.read_bytes().replace(b'"step": 7', b'"step": 8'))
    with pytest.raises(RunDirError, match=re.escape(str(run_dir.start_file))):
        run_dir.read(StartCount)


@pytest.mark.parametrize("content", ["", "{", "[]", "7", '{"step": 7, "number": 1, "job": null}\n'])
def test_record_without_a_seal_is_refused(tmp_path: Path, content: str) -> None:
    run_dir = RunDir(tmp_path)
    run_dir.start_file.write_text(content, encoding="utf-8")
    with pytest.raises(RunDirError, match=re.escape(str(run_dir.start_file)) + ".*is missing"):
        run_dir.read(StartCount)


def test_content_is_synced_before_it_has_its_name_and_the_folder_after_it(
    tweets_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In all that a run writes: else a power cut leaves a name without its content, or loses what was reported."""
    synced: set[Path] = set()
    named: set[Path] = set()
    unsynced: list[Path] = []

    def sync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        synced.add(path)
        named.difference_update([one for one in named if one.parent == path])

    def watched(give: Callable[..., None]) -> Callable[..., None]:
        def give_name(source: Path, target: Path) -> None:
            files = [path for path, _ in files_in(source)] if Path(source).is_dir() else [Path(source)]
            unsynced.extend({*files, Path(source)} - synced)
            named.add(Path(target))
            give(source, target)
            synced.update(Path(target, path.relative_to(source)) for path in files)

        return give_name

    monkeypatch.setattr(os, "fsync", sync)
    for name in ("rename", "replace", "link"):
        monkeypatch.setattr(os, name, watched(getattr(os, name)))
    run = run_in(tmp_path, small_config(tweets_file, training__epochs=1))
    run.complete()
    write_once(tmp_path / "ranking", lambda file: file.write(b"first"))
    assert len(synced) > 20
    assert (unsynced, named) == ([], set())
