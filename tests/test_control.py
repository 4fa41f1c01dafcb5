"""The control socket: who may command, and what happens to requests that make no sense."""

from __future__ import annotations

import asyncio
import grp
import json
import os
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ringfence.answers import Done
from ringfence.control import MAX_REQUEST, Behalf, Caller, Client, ControlServer, Table, command, permitted
from ringfence.errors import RefusedError, RingfenceError, UnreachableError
from ringfence.unprivileged import Identity


class Desk:
    """A few commands to serve."""

    @command
    def greet(self, caller: Caller, *, name: str, times: int = 1) -> Done:
        return Done(message=f"{caller.user} greets {name} {times}")

    @command
    def refuse(self, caller: Caller) -> Done:
        raise RefusedError("not today")

    @command
    def break_down(self, caller: Caller) -> Done:
        raise KeyError("spring")

    @command
    def tell(self, caller: Caller) -> dict[str, str | None]:
        return {"user": caller.user, "address": caller.address, "via": caller.via}

    def hidden(self, caller: Caller) -> Done:
        return Done(message="never to be reached")


class Other:
    """More commands, of another part."""

    @command
    def more(self, caller: Caller) -> Done:
        return Done(message="there is more")


@contextmanager
def serving(path: Path, group: str = "no-such-group", page: Identity | None = None) -> Iterator[Path]:
    """A control server in a thread of its own."""
    loop = asyncio.new_event_loop()
    server = ControlServer(path, Table(Desk(), Other()), group=group, page=page)
    loop.run_until_complete(server.start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield path
    finally:
        asyncio.run_coroutine_threadsafe(server.close(), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    with serving(tmp_path / "control.sock") as path:
        yield path


def test_a_command_is_answered_with_the_name_of_who_gave_it(path: Path) -> None:
    with Client(path) as client:
        assert client.ask(Done, "greet", name="you", times=3).message.endswith("greets you 3")
        assert client.ask(Done, "greet", name="again").message.endswith("greets again 1")


def test_several_objects_share_one_table(path: Path) -> None:
    with Client(path) as client:
        assert client.ask(Done, "more").message == "there is more"
        assert client.ask(Done, "greet", name="you").message


class TestBehalf:
    def test_the_page_names_the_person_and_where_they_are(self, path: Path) -> None:
        behalf = Behalf(user="anna", address="::ffff:198.51.100.5", via="web")
        with Client(path, behalf=behalf) as client:
            told = client.ask(dict[str, str | None], "tell")
        assert told == {"user": "anna@web", "address": "198.51.100.5", "via": "web"}

    def test_one_connection_serves_several_persons(self, path: Path) -> None:
        with Client(path) as client:
            for name in ("anna", "bob"):
                client.behalf = Behalf(user=name, address="", via="api")
                told = client.ask(dict[str, str | None], "tell")
                assert told == {"user": f"{name}@api", "address": None, "via": "api"}

    @pytest.mark.parametrize(
        "behalf",
        [
            {"user": "anna", "address": "nowhere", "via": "web"},
            {"user": "", "address": "", "via": "web"},
            {"user": "a" * 65, "address": "", "via": "web"},
            {"user": "anna", "address": "", "via": "root"},
            {"user": "anna", "address": "", "via": "web", "uid": 0},
            "anna",
        ],
    )
    def test_what_names_no_person_is_refused(self, path: Path, behalf: object) -> None:
        with socket.socket(socket.AF_UNIX) as raw:
            raw.connect(str(path))
            raw.sendall(json.dumps({"command": "tell", "behalf": behalf}).encode() + b"\n")
            assert b'"error":"RingfenceError"' in raw.makefile("rb").readline()


@pytest.mark.parametrize("arguments", [{}, {"name": 7}, {"name": "x", "extra": 1}, {"name": "x", "times": "many"}])
def test_arguments_that_do_not_fit_are_refused_by_name(path: Path, arguments: dict[str, object]) -> None:
    with Client(path) as client, pytest.raises(RingfenceError, match="greet"):
        client.ask(Done, "greet", **arguments)


def test_only_marked_methods_can_be_reached(path: Path) -> None:
    with Client(path) as client, pytest.raises(RingfenceError, match="knows no command"):
        client.ask(Done, "hidden")


def test_errors_keep_their_kind_so_that_exit_codes_tell_them_apart(path: Path) -> None:
    with Client(path) as client, pytest.raises(RefusedError, match="not today"):
        client.ask(Done, "refuse")


def test_a_fault_in_one_command_is_told_and_the_next_is_answered(path: Path) -> None:
    with Client(path) as client:
        with pytest.raises(RingfenceError, match="spring"):
            client.ask(Done, "break_down")
        assert client.ask(Done, "greet", name="you").message


@pytest.mark.parametrize(
    "junk", [b"\n", b"{}\n", b"[1,2]\n", b"\x00\xff\xfe\n", b'{"command":"greet","arguments":7}\n']
)
def test_junk_gets_an_error_and_the_server_lives_on(path: Path, junk: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(str(path))
        raw.sendall(junk)
        assert b'"error":"RingfenceError"' in raw.makefile("rb").readline()
    with Client(path) as client:
        assert client.ask(Done, "greet", name="you").message


def test_a_request_beyond_the_limit_is_refused_without_being_kept(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(10)
        raw.connect(str(path))
        try:
            raw.sendall(b"x" * (MAX_REQUEST + 70000))
            answer = raw.makefile("rb").readline()
        except OSError:
            answer = b""
        assert answer == b"" or b"longer than" in answer
    with Client(path) as client:
        assert client.ask(Done, "greet", name="you").message


def test_no_guard_is_said_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="ringfence run"):
        Client(tmp_path / "nobody.sock")


def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(tmp_path / "control.sock"))
    stale.close()
    with serving(tmp_path / "control.sock") as path, Client(path) as client:
        assert client.ask(Done, "greet", name="you").message


def test_a_second_guard_leaves_the_first_ones_socket_alone(path: Path) -> None:
    with pytest.raises(RingfenceError, match="another guard"), serving(path):
        pass
    with Client(path) as client:
        assert client.ask(Done, "greet", name="you").message


def test_a_file_in_the_way_is_named_and_not_deleted(tmp_path: Path) -> None:
    (tmp_path / "control.sock").write_text("precious")
    with pytest.raises(RingfenceError, match="is not a socket"), serving(tmp_path / "control.sock"):
        pass
    assert (tmp_path / "control.sock").read_text() == "precious"


def test_the_socket_is_closed_to_everyone_else_and_goes_with_the_server(tmp_path: Path) -> None:
    with serving(tmp_path / "control.sock") as path:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()


def attempt(path: Path, uid: int, gid: int, behalf: Behalf | None = None) -> str:
    """What another user is answered."""
    reader, writer = os.pipe()
    if not (child := os.fork()):
        try:
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)
            with Client(path, behalf=behalf) as client:
                said = client.ask(Done, "greet", name="x").message
        except RingfenceError as error:
            said = str(error)
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader) as answers:
        return answers.read()


def open_up(folder: Path) -> None:
    """Let other users reach what is in `folder`."""
    folder.chmod(0o755)
    for parent in folder.parents:
        if parent != Path("/tmp") and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o011)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
def test_only_the_page_itself_may_speak_for_others(tmp_path: Path) -> None:
    """A member of the group commands in their own name; to take another one is refused."""
    open_up(tmp_path)
    anna = Behalf(user="anna", address="198.51.100.5", via="web")
    group = grp.getgrnam("daemon").gr_gid
    with serving(tmp_path / "control.sock", group="daemon", page=Identity(65533, 65533)) as path:
        assert "in the name of others" in attempt(path, 65534, group, anna)
        assert "greets x" in attempt(path, 65534, group)
        assert "anna@web greets x" in attempt(path, 65533, group, anna)
        path.chmod(0o666)
        assert "anna@web greets x" in attempt(path, 65533, 65533, anna)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
def test_members_of_the_group_may_connect_and_others_may_not(tmp_path: Path) -> None:
    """Mode 0660 with the group, and the peer is checked once more, whatever the file's mode says."""
    open_up(tmp_path)
    with serving(tmp_path / "control.sock", group="daemon") as path:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert "greets x" in attempt(path, 65534, grp.getgrnam("daemon").gr_gid)
        assert "not permitted" in attempt(path, 65534, 65534)
        path.chmod(0o666)
        assert "may not command" in attempt(path, 65534, 65534)


def test_root_and_the_guards_own_user_are_permitted_and_a_stranger_is_not() -> None:
    assert permitted(0, 0, None)
    assert permitted(os.geteuid(), os.getegid(), None)
    assert not permitted(54321, 54321, None)
    assert permitted(54321, 77, 77)
    assert not permitted(54321, 54321, 77)
