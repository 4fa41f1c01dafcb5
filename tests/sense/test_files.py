"""What a user's logs may do, on real files: all that is written comes once, and what can't be read is said once."""

from __future__ import annotations

import contextlib
import gzip
import math
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ringfence.model import Position
from ringfence.sense.chunk import Chunk
from ringfence.sense.files import FileSensor

NOW = 2_000_000_000.0
Start = Callable[..., FileSensor]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start sensors that are closed in the end."""
    sensors: list[FileSensor] = []

    def begin(*patterns: Path | str, positions: dict[str, Position] | None = None, **options: object) -> FileSensor:
        sensor = FileSensor([str(pattern) for pattern in patterns], positions or {}, **options)  # type: ignore[arg-type]
        sensors.append(sensor)
        return sensor

    yield begin
    for sensor in sensors:
        sensor.close()


def chunks(sensor: FileSensor, now: float = NOW) -> list[Chunk]:
    """All that a sensor has to give now."""
    sensor.notice()
    found: list[Chunk] = []
    while chunk := sensor.read(now):
        found.append(chunk)
    return found


def data(sensor: FileSensor, now: float = NOW) -> bytes:
    """The same as one piece."""
    return b"".join(chunk.data for chunk in chunks(sensor, now))


def append(path: Path, what: bytes) -> None:
    with path.open("ab") as file:
        file.write(what)


def positions(found: list[Chunk]) -> dict[str, Position]:
    return {chunk.source: chunk.position for chunk in found}


def open_files() -> list[str]:
    """What this process has open."""
    found = []
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            found.append(os.readlink(f"/proc/self/fd/{fd}"))
    return found


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "auth.log"
    path.write_bytes(b"one\ntwo\n")
    return path


def test_what_was_there_is_old_and_what_comes_is_live(log: Path, start: Start) -> None:
    """Lines are numbered from 1, and only those written after the start are live."""
    sensor = start(log)
    old = chunks(sensor)
    append(log, b"three\n")
    new = chunks(sensor)
    assert [(c.data, c.first_line, c.live, c.arrival) for c in old] == [(b"one\ntwo\n", 1, False, NOW)]
    assert [(c.data, c.first_line, c.live, c.source) for c in new] == [(b"three\n", 3, True, str(log))]


def test_the_descriptor_becomes_readable_when_a_log_is_written(log: Path, start: Start) -> None:
    """An event loop that waits for it wakes up, and sleeps again after notice and read."""
    import select

    sensor = start(log)
    chunks(sensor)
    assert not select.select([sensor.fileno()], [], [], 0)[0]
    append(log, b"three\n")
    assert select.select([sensor.fileno()], [], [], 1)[0]
    assert data(sensor) == b"three\n"
    assert not select.select([sensor.fileno()], [], [], 0)[0]


def test_a_partial_line_waits_for_its_end(log: Path, start: Start) -> None:
    """Half a line is never delivered, and a restart in between loses nothing."""
    sensor = start(log)
    committed = positions(chunks(sensor))
    append(log, b"thr")
    assert data(sensor) == b""
    again = start(log, positions=committed)
    append(log, b"ee\n")
    assert data(sensor) == b"three\n"
    assert data(again) == b"three\n"


def test_a_line_half_there_at_the_start_is_live(tmp_path: Path, start: Start) -> None:
    """What is completed after the start counts as new."""
    log = tmp_path / "log"
    log.write_bytes(b"old\nhal")
    sensor = start(log)
    assert data(sensor) == b"old\n"
    append(log, b"f\n")
    assert [(c.data, c.live) for c in chunks(sensor)] == [(b"half\n", True)]


def test_any_bytes_pass_untouched(log: Path, start: Start) -> None:
    """NUL, bytes that are not UTF-8, carriage returns and lone escapes are none of the sensor's business."""
    sensor = start(log)
    chunks(sensor)
    strange = b"nul \0 latin \xe9 bad \xff\xfe crlf\r\n\x1b[31m\r \x0b\x0c \xe2\x80\xa8\n\n"
    append(log, strange)
    assert data(sensor) == strange


def test_a_long_line_is_cut_and_counted(log: Path, start: Start) -> None:
    """Of a line over 64 KiB the first 64 KiB are delivered; the lines around it keep their text and their numbers."""
    sensor = start(log)
    chunks(sensor)
    append(log, b"a" * 65536 + b"\n" + b"b" * 65537 + b"\nshort\n" + b"c" * 1_000_000)
    first = data(sensor)
    append(log, b"c" * 1_000_000 + b"\nend\n")
    found = chunks(sensor)
    assert first == b"a" * 65536 + b"\n" + b"b" * 65536 + b"\nshort\n"
    assert b"".join(c.data for c in found) == b"c" * 65536 + b"\nend\n"
    assert found[-1].first_line + found[-1].data.count(b"\n") == 8
    assert sensor.status()[0].cut == 2


def test_a_log_may_appear_later_with_its_directory(tmp_path: Path, start: Start) -> None:
    """A log that does not exist is said once, found when it appears, and then said again."""
    log = tmp_path / "new" / "deep" / "asterisk.log"
    sensor = start(log)
    assert chunks(sensor) == []
    sensor.rescan(NOW)
    assert [line.split(": ", 1)[1] for line in sensor.troubles()] == ["does not exist; will be read when it appears"]
    log.parent.mkdir(parents=True)
    sensor.rescan(NOW)
    log.write_bytes(b"hello\n")
    assert [(c.data, c.live) for c in chunks(sensor)] == [(b"hello\n", True)]
    assert sensor.troubles() == [f"{log}: is being read now"]
    append(log, b"more\n")
    assert [(c.data, c.live) for c in chunks(sensor)] == [(b"more\n", True)]


def test_a_glob_finds_files_that_are_created_without_a_rescan(tmp_path: Path, start: Start) -> None:
    """inotify tells of a new file of the pattern at once; all of it is live."""
    sensor = start(tmp_path / "*.log")
    assert chunks(sensor) == []
    (tmp_path / "b.log").write_bytes(b"bee\n")
    (tmp_path / "c.txt").write_bytes(b"no\n")
    assert [(c.source, c.data, c.live) for c in chunks(sensor)] == [(str(tmp_path / "b.log"), b"bee\n", True)]
    assert [status.path for status in sensor.status()] == [str(tmp_path / "b.log")]


def test_a_glob_leaves_out_rotated_and_packed_files(tmp_path: Path, start: Start) -> None:
    """`messages*` is the log `messages` and `messages_sip`, not their earlier states, so nothing is read twice."""
    for name in ("messages", "messages.1", "messages-20260101", "messages.2.gz", "messages_sip"):
        (tmp_path / name).write_bytes(name.encode() + b"\n")
    assert data(start(tmp_path / "messages*")) == b"messages\nmessages_sip\n"


def test_a_log_with_two_names_is_read_once(log: Path, start: Start) -> None:
    """A symbolic link and what it leads to are one log."""
    link = log.with_name("link.log")
    link.symlink_to(log)
    sensor = start(log, link, log.parent / "*.log")
    assert data(sensor) == b"one\ntwo\n"
    sensor.rescan(NOW)
    append(log, b"three\n")
    assert data(sensor) == b"three\n"


def test_rotation_by_rename_finishes_the_old_file_first(log: Path, start: Start) -> None:
    """Lines that still reach the old file come before those of the new one, and the new one's lines start at 1."""
    sensor = start(log)
    chunks(sensor)
    with log.open("ab", buffering=0) as writer:
        writer.write(b"three\n")
        log.rename(log.with_name("auth.log.1"))
        log.write_bytes(b"new\n")
        writer.write(b"four\nfive")
        assert data(sensor) == b"three\nfour\n"
        assert NOW < sensor.wake_at < NOW + 2
    found = chunks(sensor)
    assert [(c.data, c.first_line, c.live) for c in found] == [(b"five\n", 5, True), (b"new\n", 1, True)]
    assert found[0].position.inode == (log.with_name("auth.log.1")).stat().st_ino
    assert found[1].position.inode == log.stat().st_ino


def test_a_rotated_file_is_left_after_a_grace_period(log: Path, start: Start) -> None:
    """A writer that never closes the old file holds up the new one for a second; what it writes later comes too."""
    sensor = start(log)
    chunks(sensor)
    with log.open("ab", buffering=0) as writer:
        log.rename(log.with_name("auth.log.1"))
        log.write_bytes(b"new\n")
        assert data(sensor) == b""
        assert data(sensor, NOW + 1.1) == b"new\n"
        assert sensor.wake_at == math.inf
        writer.write(b"late\n")
        late = chunks(sensor, NOW + 2)
    assert [(c.data, c.first_line) for c in late] == [(b"late\n", 3)]
    assert late[0].position.inode == log.stat().st_ino


def test_copytruncate_loses_and_repeats_nothing(log: Path, start: Start) -> None:
    """What was not read when the log was truncated is read from the copy; then the log from its beginning."""
    sensor = start(log)
    chunks(sensor)
    append(log, b"unread\n")
    shutil.copy(log, log.with_name("auth.log.1"))
    os.truncate(log, 0)
    append(log, b"x\n")
    assert [(c.data, c.first_line) for c in chunks(sensor)] == [(b"unread\n", 3), (b"x\n", 1)]


def test_copytruncate_is_noticed_when_the_log_is_longer_again(log: Path, start: Start) -> None:
    """The fingerprint of the beginning tells, where the size does not."""
    sensor = start(log)
    chunks(sensor)
    shutil.copy(log, log.with_name("auth.log.1"))
    os.truncate(log, 0)
    append(log, b"alpha\nbeta\ngamma\n")
    assert data(sensor) == b"alpha\nbeta\ngamma\n"


@pytest.mark.parametrize("nothing_between", [True, False])
def test_a_generation_written_in_the_moment_of_the_truncation_is_not_taken_for_the_one_before(
    log: Path, start: Start, nothing_between: bool
) -> None:
    """Clocks of files are coarse: the copies of both may bear the time at which the log was truncated."""
    sensor = start(log)
    chunks(sensor)
    shutil.copy2(log, log.with_name("auth.log-20260101"))
    os.truncate(log, 0)
    assert data(sensor) == b""
    moment = log.stat().st_mtime_ns
    os.utime(log.with_name("auth.log-20260101"), ns=(moment, moment))
    if not nothing_between:
        append(log, b"three\n")
        os.utime(log, ns=(moment, moment))
        shutil.copy2(log, log.with_name("auth.log-20260102"))
        os.truncate(log, 0)
    append(log, b"four\n")
    assert data(sensor) == (b"" if nothing_between else b"three\n") + b"four\n"


def test_a_truncated_log_is_read_from_its_beginning(log: Path, start: Start) -> None:
    """`> log` starts anew, running or not."""
    sensor = start(log)
    committed = positions(chunks(sensor))
    log.write_bytes(b"n\n")
    assert [(c.data, c.first_line) for c in chunks(sensor)] == [(b"n\n", 1)]
    assert data(start(log, positions=committed)) == b"n\n"


def test_a_restart_goes_on_where_the_last_commit_was(log: Path, start: Start) -> None:
    """Neither again nor left out; the line numbers go on too, and what came meanwhile is old."""
    committed = positions(chunks(start(log)))
    append(log, b"three\n")
    assert [(c.data, c.first_line, c.live) for c in chunks(start(log, positions=committed))] == [(b"three\n", 3, False)]


@pytest.mark.parametrize("name", ["auth.log.1", "auth.log-20260101", "auth-20260101.log", "old-name"])
def test_a_log_rotated_while_we_were_down_is_finished_first(log: Path, start: Start, name: str) -> None:
    """However it is called now, its inode and its beginning tell that it is the one."""
    committed = positions(chunks(start(log)))
    append(log, b"three\npart")
    log.rename(log.with_name(name))
    log.write_bytes(b"new\n")
    found = chunks(start(log, positions=committed), time.time() + 10)
    assert [(c.data, c.first_line) for c in found] == [(b"three\n", 3), (b"part\n", 4), (b"new\n", 1)]
    assert {c.source for c in found} == {str(log)}


def test_several_rotations_while_we_were_down(log: Path, start: Start) -> None:
    """The one that was being read, packed meanwhile, then those after it in their order, then the log."""
    committed = positions(chunks(start(log)))
    append(log, b"three\n")
    with gzip.open(log.with_name("auth.log.3.gz"), "wb") as packed:
        packed.write(log.read_bytes())
    os.utime(log.with_name("auth.log.3.gz"), (1_600_000_000, 1_600_000_000))
    log.unlink()
    for age, name, text in ((2, "auth.log.4.gz", b""), (1, "auth.log.2", b"second\n"), (0, "auth.log.1", b"third\n")):
        log.with_name(name).write_bytes(text or gzip.compress(b"long ago\n"))
        os.utime(log.with_name(name), (1_600_000_100 - age * 75,) * 2)
    log.write_bytes(b"now\n")
    sensor = start(log, positions=committed)
    found = chunks(sensor)
    assert [c.data for c in found] == [b"three\n", b"second\n", b"third\n", b"now\n"]
    for chunk in found[:-1]:
        rest = data(start(log, positions={chunk.source: chunk.position}))
        assert rest == b"".join(c.data for c in found[found.index(chunk) + 1 :])


def test_two_rotations_between_two_looks(log: Path, start: Start) -> None:
    """A file that was the log for a moment only is found among its siblings."""
    sensor = start(log)
    chunks(sensor)
    append(log, b"three\n")
    log.rename(log.with_name("auth.log.2"))
    log.write_bytes(b"between\n")
    log.rename(log.with_name("auth.log.1"))
    log.write_bytes(b"new\n")
    assert b"".join(data(sensor, NOW + later) for later in (0, 5, 10)) == b"three\nbetween\nnew\n"


def test_a_restart_while_the_old_file_is_being_finished(log: Path, start: Start) -> None:
    """The position of a chunk of the old file leads back to the old file."""
    sensor = start(log, chunk_bytes=10, line_bytes=9)
    committed = positions(chunks(sensor))
    append(log, b"333333\n444444\n555555\n")
    log.rename(log.with_name("auth.log.1"))
    log.write_bytes(b"666666\n")
    sensor.notice()
    chunk = sensor.read(NOW)
    assert chunk is not None
    assert chunk.data == b"333333\n"
    committed[chunk.source] = chunk.position
    assert data(start(log, positions=committed), time.time() + 5) == b"444444\n555555\n666666\n"


def test_a_log_moved_to_another_disk_is_not_read_again(log: Path, start: Start) -> None:
    """A faithful copy under the same path goes on where the original was left."""
    committed = positions(chunks(start(log)))
    copy = log.with_name("copy")
    shutil.copy(log, copy)
    log.unlink()
    copy.rename(log)
    append(log, b"three\n")
    assert data(start(log, positions=committed)) == b"three\n"


def test_a_link_that_moves(tmp_path: Path, start: Start) -> None:
    """The file it led to is finished, then the one that it leads to now; a rename of the target is noticed too."""
    for day in "abc":
        (tmp_path / day).write_bytes(day.encode() + b"\n")
    link = tmp_path / "current.log"
    link.symlink_to("a")
    sensor = start(link)
    assert data(sensor) == b"a\n"
    append(tmp_path / "a", b"a2\n")
    (tmp_path / "next").symlink_to("b")
    (tmp_path / "next").rename(link)
    assert data(sensor) == b"a2\n"
    assert data(sensor, NOW + 2) == b"b\n"
    (tmp_path / "b").rename(tmp_path / "b.1")
    (tmp_path / "b").write_bytes(b"b new\n")
    assert data(sensor, NOW + 4) + data(sensor, NOW + 6) == b"b new\n"


def test_a_log_moved_away_and_back_is_not_read_again(log: Path, start: Start) -> None:
    """Nothing is lost or repeated when someone changes his mind."""
    sensor = start(log)
    chunks(sensor)
    log.rename(log.with_name("elsewhere"))
    log.write_bytes(b"meanwhile\n")
    assert data(sensor) + data(sensor, NOW + 2) == b"meanwhile\n"
    log.with_name("elsewhere").rename(log)
    append(log, b"three\n")
    assert data(sensor, NOW + 4) + data(sensor, NOW + 6) == b"three\n"


def test_what_is_no_file_is_said_once_and_tried_again(tmp_path: Path, start: Start) -> None:
    """A directory or a FIFO in place of a log disturbs nobody, and a file that takes its place is read."""
    log, fifo, good = tmp_path / "log", tmp_path / "fifo", tmp_path / "good"
    log.mkdir()
    os.mkfifo(fifo)
    good.write_bytes(b"good\n")
    sensor = start(log, fifo, good)
    assert data(sensor) == b"good\n"
    said = sensor.troubles()
    assert sorted(said) == [
        f"{path}: can't be read: is not a regular file; tried again every few seconds" for path in (fifo, log)
    ]
    sensor.rescan(NOW)
    assert sensor.troubles() == []
    assert {status.path: bool(status.trouble) for status in sensor.status()} == {
        str(log): True, str(fifo): True, str(good): False
    }  # fmt: skip
    log.rmdir()
    log.write_bytes(b"at last\n")
    sensor.rescan(NOW)
    assert data(sensor) == b"at last\n"
    assert sensor.troubles() == [f"{log}: is being read now"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give up root")
def test_a_log_without_permission_is_said_once_and_read_when_permitted(tmp_path: Path) -> None:
    """Also after a rotation made it unreadable: the position is kept, nothing is read twice."""
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:-2]:
        if parent.stat().st_uid == 0 and parent != Path(tempfile.gettempdir()):
            parent.chmod(parent.stat().st_mode | 0o055)
    log = tmp_path / "secret.log"
    log.write_bytes(b"one\n")
    log.chmod(0o600)
    sensor = FileSensor([str(log)], {})
    os.seteuid(65534)
    try:
        assert chunks(sensor) == []
        sensor.rescan(NOW)
        said = sensor.troubles()
    finally:
        os.seteuid(0)
    log.chmod(0o644)
    os.seteuid(65534)
    try:
        sensor.rescan(NOW)
        assert data(sensor) == b"one\n"
    finally:
        os.seteuid(0)
        sensor.close()
    assert said == [f"{log}: can't be read: Permission denied; tried again every few seconds"]
    assert sensor.troubles() == [f"{log}: is being read now"]


def test_a_new_log_can_be_begun_at_its_end(tmp_path: Path, start: Start) -> None:
    """The position at the end is there to be committed at once, so a crash before the first line skips nothing."""
    log = tmp_path / "log"
    log.write_bytes(b"one\ntwo\nthr")
    found = chunks(start(log, start_at_end_if_new=True))
    assert [(c.data, c.first_line, c.position.offset, c.position.line) for c in found] == [(b"", 3, 8, 2)]
    append(log, b"ee\n")
    again = start(log, positions=positions(found), start_at_end_if_new=True)
    assert [(c.data, c.first_line) for c in chunks(again)] == [(b"three\n", 3)]


def test_a_log_that_catches_up_does_not_hold_up_a_live_one(tmp_path: Path, start: Start) -> None:
    """A line written while another log has megabytes to be read comes next, not last."""
    big, live = tmp_path / "big", tmp_path / "live"
    big.write_bytes((b"x" * 99 + b"\n") * 50_000)
    live.touch()
    sensor = start(big, live)
    assert sensor.read(NOW) is not None
    append(live, b"now\n")
    sensor.notice()
    chunk = sensor.read(NOW)
    assert chunk is not None
    assert (chunk.source, chunk.data, chunk.live) == (str(live), b"now\n", True)
    assert len(data(sensor)) > 4_000_000


def test_a_deleted_log_gives_its_space_back(log: Path, start: Start) -> None:
    """A file without a name is closed once it was read, and the log is read anew when it comes back."""
    sensor = start(log)
    chunks(sensor)
    append(log, b"three\n")
    log.unlink()
    assert data(sensor) == b"three\n"
    sensor.rescan(NOW)
    assert not [path for path in open_files() if str(log) in path]
    log.write_bytes(b"back\n")
    assert data(sensor) == b"back\n"


def test_without_inotify_a_rescan_finds_what_is_new(log: Path, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system has no inotify instance left, that is said and lines come a little later."""
    import errno

    import ringfence.sense.files as files

    def refuse() -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(files, "Watches", refuse)
    sensor = start(log)
    assert data(sensor) == b"one\ntwo\n"
    append(log, b"three\n")
    assert data(sensor) == b""
    sensor.rescan(NOW)
    assert data(sensor) == b"three\n"
    assert len(sensor.troubles()) == 1


def test_status_tells_how_far_each_log_is(log: Path, start: Start) -> None:
    """Size, offset, lag, lines and the time of the last one."""
    sensor = start(log, chunk_bytes=5, line_bytes=4)
    sensor.read(NOW)
    (status,) = sensor.status()
    assert (status.path, status.size, status.offset, status.lag) == (str(log), 8, 4, 4)
    assert (status.lines, status.last_read, status.trouble, status.cut) == (1, NOW, "", 0)
