"""The control socket: commands to the guard as lines of JSON over a Unix socket, answered only to whom they may be.

A request is one line `{"command": NAME, "arguments": {...}}`, the answer one line `{"answer": ...}` or
`{"error": KIND, "message": TEXT}`. Arguments are checked against the signature of the command's method. The page and
the API add `"behalf"`: for whom they ask; only whom we trust to have checked that person may say so.
"""

from __future__ import annotations

import asyncio
import contextlib
import grp
import inspect
import os
import pwd
import socket
import stat
import struct
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_type_hints

import msgspec
from msgspec import Meta, Struct, structs

from ringfence import errors
from ringfence.errors import RefusedError, RingfenceError, UnreachableError
from ringfence.own import canonical, ssh_client
from ringfence.render import safe

GROUP = "ringfence"
MAX_REQUEST = 1 << 20
"""Longest request in bytes; a policy file is the largest thing that is sent."""
MAX_CALLERS = 32
IDLE = 60.0
"""Seconds after which a connection that asks nothing is closed."""
PATIENCE = 60.0
"""Seconds a client waits for an answer."""

Answer = TypeVar("Answer")


class Behalf(Struct, frozen=True, forbid_unknown_fields=True):
    """For whom the page or the API asks: the user who is logged in there, and the address it comes from."""

    user: Annotated[str, Meta(min_length=1, max_length=64)]
    address: str
    via: Literal["web", "api"]


class Caller(Struct, frozen=True, kw_only=True):
    """Who gives a command: the peer's user and, if it came in by SSH, the address it works from.

    `address` is where the person works from: the browser's address, else the SSH client's. `via` is "web" or "api"
    where a command came through them, as the user "NAME@web"; empty for the command line.
    """

    user: str
    uid: int = 0
    pid: int = 0
    ssh_client: str | None = None
    address: str | None = None
    via: str = ""

    def __post_init__(self) -> None:
        if self.address is None and self.ssh_client is not None:
            structs.force_setattr(self, "address", self.ssh_client)


class Request(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One command with its arguments still in JSON."""

    command: str
    arguments: msgspec.Raw = msgspec.Raw(b"{}")
    behalf: Behalf | None = None


class Reply(Struct, frozen=True):
    """The answer, or the kind of error and its sentence."""

    answer: msgspec.Raw = msgspec.Raw(b"null")
    error: str = ""
    message: str = ""


Method = TypeVar("Method", bound=Callable[..., Any])


def command(method: Method) -> Method:
    """Mark a method `(self, caller, *, arguments…)` as one that the control socket offers.

    It answers at once, or (`async`) later, while the guard works on and others are answered.
    """
    method._command = True  # type: ignore[attr-defined]
    return method


class Table:
    """The commands of some objects: finds the methods marked with `command`, checks arguments, calls them."""

    def __init__(self, *targets: object) -> None:
        self._methods: dict[str, tuple[Callable[..., Any], msgspec.json.Decoder[Any]]] = {}
        for name, method in [one for target in targets for one in inspect.getmembers(target, callable)]:
            if getattr(method, "_command", False):
                if name in self._methods:
                    raise ValueError(f"the command {name} is there twice")
                self._methods[name] = (method, msgspec.json.Decoder(_arguments(name, method)))

    def names(self) -> list[str]:
        """The commands that exist."""
        return sorted(self._methods)

    def do(self, request: Request, caller: Caller) -> Any:
        """Carry out `request`; what an `async` command returns is to be awaited.

        Raises RingfenceError for an unknown command and for arguments that don't fit.
        """
        found = self._methods.get(request.command)
        if found is None:
            raise RingfenceError(f"the guard knows no command {request.command!r}: is it an older version?")
        method, decoder = found
        try:
            arguments = decoder.decode(request.arguments)
        except msgspec.MsgspecError as error:
            raise RingfenceError(f"{request.command}: {error}") from error
        return method(caller, **{name: getattr(arguments, name) for name in arguments.__struct_fields__})


def _arguments(name: str, method: Callable[..., Any]) -> type[Struct]:
    """A struct with the keyword arguments of `method`, for checking what a caller sends."""
    hints = get_type_hints(method)
    fields: list[Any] = []
    for parameter in list(inspect.signature(method).parameters.values())[1:]:
        hint = hints[parameter.name]
        required = parameter.default is inspect.Parameter.empty
        fields.append((parameter.name, hint) if required else (parameter.name, hint, parameter.default))
    return msgspec.defstruct(name, fields, kw_only=True, forbid_unknown_fields=True)


class ControlServer:
    """Serves the commands of a `Table` on `path` until closed.

    `web_uid`: the user that the page runs as. `web_gid`: its group, let in to the socket where there is no `group`;
    whoever else has that group is refused all the same. Each command is done in a block of
    `kept`, and answered after it.
    """

    def __init__(
        self, path: Path, table: Table, *, group: str = GROUP, web_uid: int | None = None, web_gid: int | None = None,
        kept: Callable[[], contextlib.AbstractAsyncContextManager[None]] = contextlib.nullcontext,
    ) -> None:  # fmt: skip
        self.path = path
        self._table = table
        self._kept = kept
        self._group = group_id(group)
        self._web_uid = web_uid
        self._door = web_gid if self._group is None else self._group
        self._server: asyncio.Server | None = None
        self._callers: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Bind the socket, owned root:ringfence 0660. Raises RingfenceError when another guard answers on it."""
        listener = _bind(self.path, self._door)
        self._server = await asyncio.start_unix_server(self._serve, sock=listener, limit=MAX_REQUEST)

    async def close(self) -> None:
        """Stop serving and remove the socket."""
        if self._server is not None:
            self._server.close()
            callers = list(self._callers)
            for task in callers:
                task.cancel()
            await asyncio.gather(*callers, return_exceptions=True)
            with contextlib.suppress(OSError):
                self.path.unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._callers) >= MAX_CALLERS:
            writer.close()
            return
        self._callers.add(task)
        try:
            while line := await _soon(reader.readline()):
                # Refused only after the request was read: a socket closed with unread data would swallow the answer.
                writer.write(await self._answer(line, self._peer(writer)) + b"\n")
                await _soon(writer.drain())
        except RingfenceError as error:
            writer.write(_failure(error) + b"\n")
        except ValueError:
            writer.write(_failure(RingfenceError(f"the request is longer than {MAX_REQUEST} bytes")) + b"\n")
        except (TimeoutError, OSError, asyncio.CancelledError):
            pass
        finally:
            self._callers.discard(task)
            writer.close()

    def _peer(self, writer: asyncio.StreamWriter) -> tuple[int, int]:
        """The pid and uid of who asks. Raises UnreachableError for whom we don't know."""
        pid, uid, gid = peer_credentials(writer.get_extra_info("socket"))
        if uid != self._web_uid and not permitted(uid, gid, self._group):
            raise UnreachableError(
                f"user {user_name(uid)} may not command the guard: be root or a member of the group {GROUP!r}"
            )
        return pid, uid

    def _caller(self, pid: int, uid: int, behalf: Behalf | None) -> Caller:
        """Who gives the command. Raises RefusedError when the peer may not speak for others."""
        if behalf is None:
            return Caller(user=user_name(uid), uid=uid, pid=pid, ssh_client=ssh_client(pid))
        if uid not in (0, os.geteuid(), self._web_uid):
            raise RefusedError(f"user {user_name(uid)} may not give commands in the name of others")
        address = canonical(behalf.address)
        if address is None and behalf.address:
            raise RingfenceError(f"the address of the user {behalf.user!r} is none: {behalf.address!r}")
        return Caller(user=f"{behalf.user}@{behalf.via}", uid=uid, pid=pid, address=address, via=behalf.via)

    async def _answer(self, line: bytes, peer: tuple[int, int]) -> bytes:
        try:
            async with self._kept():
                answer = await self._do(line, peer)
        except RingfenceError as error:
            return _failure(error)
        return answer

    async def _do(self, line: bytes, peer: tuple[int, int]) -> bytes:
        try:
            request = msgspec.json.decode(line, type=Request)
            answer = self._table.do(request, self._caller(*peer, request.behalf))
            if inspect.isawaitable(answer):
                answer = await answer
            return msgspec.json.encode(Reply(answer=msgspec.Raw(msgspec.json.encode(answer))))
        except msgspec.MsgspecError as error:
            return _failure(RingfenceError(f"the request can't be understood: {error}"))
        except RingfenceError as error:
            return _failure(error)
        except Exception as error:  # a fault in one command is told to its caller and must not stop the guard
            print(f"command failed unexpectedly: {safe(repr(error))}", file=sys.stderr, flush=True)
            return _failure(RingfenceError(f"the guard failed at this command: {error!r}"))


async def _soon(work: Awaitable[Answer]) -> Answer:
    async with asyncio.timeout(IDLE):
        return await work


def _failure(error: RingfenceError) -> bytes:
    return msgspec.json.encode(Reply(error=type(error).__name__, message=str(error)))


def _bind(path: Path, group: int | None) -> socket.socket:
    """A listening socket at `path`; a stale one is replaced, never one that answers."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        clear_stale(path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)
        try:
            listener.bind(os.fspath(path))
        finally:
            os.umask(before)
        # The group may come in only after the owner is right, so that nobody else ever can.
        if group is not None and os.geteuid() == 0:
            os.chown(path, 0, group)
            path.chmod(0o660)
        elif group is not None and group in os.getgroups():
            os.chown(path, -1, group)
            path.chmod(0o660)
        listener.listen(MAX_CALLERS)
        listener.setblocking(False)
    except OSError as error:
        raise RingfenceError(f"{path}: the control socket can't be made: {error.strerror or error}") from error
    return listener


def clear_stale(path: Path) -> None:
    """Remove the socket of a guard that is gone. Raises RingfenceError when one answers on it."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise RingfenceError(f"{path}: the control socket can't be looked at: {error.strerror}") from error
    if not stat.S_ISSOCK(mode):
        raise RingfenceError(f"{path}: is not a socket; remove it or set another path for the control socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(2)
        try:
            probe.connect(os.fspath(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
        except OSError as error:
            raise RingfenceError(f"{path}: {error.strerror or error}") from error
    raise RingfenceError(f"{path}: another guard is running; stop it first, or use another socket")


def peer_credentials(connection: socket.socket) -> tuple[int, int, int]:
    """The pid, uid and gid of who is on the other end of a Unix socket (unix(7), SO_PEERCRED)."""
    packed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, gid = struct.unpack("3i", packed)
    return pid, uid, gid


def permitted(uid: int, gid: int, group: int | None) -> bool:
    """Whether a peer may command: root, the guard's own user, or a member of the group."""
    if uid in (0, os.geteuid()):
        return True
    if group is None:
        return False
    if gid == group:
        return True
    try:
        return group in os.getgrouplist(pwd.getpwuid(uid).pw_name, gid)
    except (KeyError, OSError):
        return False


def group_id(name: str) -> int | None:
    """The id of the group `name`, or None when there is none."""
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return None


def user_name(uid: int) -> str:
    """The name of user `uid`, or "uid N" when it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


class Client:
    """Asks a running guard. One connection, used for any number of commands, each on behalf of `behalf` if given."""

    def __init__(self, path: Path, *, patience: float = PATIENCE, behalf: Behalf | None = None) -> None:
        """Connect to `path`. Raises UnreachableError with what to do about it."""
        self.path = path
        self.behalf = behalf
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(patience)
        try:
            self._socket.connect(os.fspath(path))
        except PermissionError as error:
            self._socket.close()
            raise UnreachableError(f"{path}: not permitted: be root or a member of the group {GROUP!r}") from error
        except (FileNotFoundError, ConnectionRefusedError) as error:
            self._socket.close()
            raise UnreachableError(f"the guard is not running ({path}): start it with 'ringfence run'") from error
        except OSError as error:
            self._socket.close()
            raise UnreachableError(f"{path}: the guard can't be reached: {error.strerror or error}") from error
        self._file = self._socket.makefile("rwb")

    def ask(self, answer: type[Answer], command: str, /, **arguments: Any) -> Answer:
        """Give `command` and return its answer. Raises what the guard raised, or UnreachableError."""
        request = Request(command, msgspec.Raw(msgspec.json.encode(arguments)), self.behalf)
        try:
            self._file.write(msgspec.json.encode(request) + b"\n")
            self._file.flush()
            line = self._file.readline()
        except TimeoutError as error:
            raise UnreachableError(f"{self.path}: the guard does not answer") from error
        except OSError as error:
            raise UnreachableError(f"{self.path}: the guard went away: {error.strerror or error}") from error
        if not line.endswith(b"\n"):
            raise UnreachableError(f"{self.path}: the guard went away before it answered")
        try:
            reply = msgspec.json.decode(line, type=Reply)
            if not reply.error:
                return msgspec.json.decode(reply.answer, type=answer)
        except msgspec.MsgspecError as error:
            raise UnreachableError(f"{self.path}: the answer is not understood ({error}): versions differ?") from error
        raise _error(reply)

    def close(self) -> None:
        """Hang up."""
        with contextlib.suppress(OSError):
            self._file.close()
        self._socket.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _error(reply: Reply) -> RingfenceError:
    kind = getattr(errors, reply.error, RingfenceError)
    if isinstance(kind, type) and issubclass(kind, RingfenceError):
        return kind(reply.message)
    return RingfenceError(reply.message)
