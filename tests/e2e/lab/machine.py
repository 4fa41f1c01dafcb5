"""A machine: a network and a mount namespace of their own, held open by one waiting shell.

The namespaces have no names and end with their last process, and that shell ends them all when the tests are
gone: nothing stays behind even when a test run is killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from .accounts import write_accounts

PROJECT = Path(__file__).parents[3]
_PR_SET_PDEATHSIG = 1
_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)

_PRIVATE_FOLDERS = """
set -eu
mount --bind "$1/log" /var/log
mount --bind "$1/home" /home
mount --bind "$1/lib" /var/lib
for file in passwd group shadow; do mount --bind "$1/etc/$file" "/etc/$file"; done
if [ -d /etc/pam.d ]; then mount --bind "$1/etc/common-auth" /etc/pam.d/common-auth; fi
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -m 755 /run/sshd
mkdir "$1/dev"
mount --rbind /dev "$1/dev"
mount -t tmpfs -o mode=755 tmpfs /dev
for node in null zero full random urandom tty ptmx pts shm; do
    if [ -d "$1/dev/$node" ]; then mkdir "/dev/$node"; mount --rbind "$1/dev/$node" "/dev/$node"
    elif [ -e "$1/dev/$node" ]; then : > "/dev/$node"; mount --bind "$1/dev/$node" "/dev/$node"; fi
done
ln -s /proc/self/fd /dev/fd
umount -l "$1/dev"
rmdir "$1/dev"
"""
"""Gives the machine its own /var/log, /var/lib, /home, /run, /dev/log and accounts: $1 is the machine's folder."""

_LAYERED = """
set -eu
mount -t tmpfs -o mode=755 tmpfs "$1/tree"
cd "$1/tree"
mkdir proc sys dev run tmp root mnt
chmod 1777 tmp
cp -a --no-clobber /bin /sbin /lib* .
mkdir opt
mount --rbind /opt opt
for part in etc home srv usr var; do
    mkdir -p "$2/$part" "$1/scratch/$part" "$1/upper/$part" "$part"
    mount -t overlay overlay -o "lowerdir=$2/$part:/$part,upperdir=$1/upper/$part,workdir=$1/scratch/$part" "$part"
done
find "$1/tree/var/log" -type f -delete
rm -rf "$1/tree/var/log/journal"
mount -t tmpfs -o mode=755 tmpfs "$1/tree/run"
(cd "$2" && find run -mindepth 1 -type d -exec cp -a --parents --no-clobber {} "$1/tree/" \\; 2>/dev/null) || true
mount --rbind /proc "$1/tree/proc"
mount --rbind /sys "$1/tree/sys"
mount -t tmpfs -o mode=755 tmpfs "$1/tree/dev"
for node in null zero full random urandom tty ptmx pts shm; do
    if [ -d "/dev/$node" ]; then mkdir "$1/tree/dev/$node"; mount --rbind "/dev/$node" "$1/tree/dev/$node"
    elif [ -e "/dev/$node" ]; then : > "$1/tree/dev/$node"; mount --bind "/dev/$node" "$1/tree/dev/$node"; fi
done
ln -s /proc/self/fd "$1/tree/dev/fd"
for shared in "$3" "$4"; do mkdir -p "$1/tree/$shared"; mount --bind "$shared" "$1/tree/$shared"; done
root=$1
"""
"""The same for a machine with packages of its own: $2 is their layer (see image.py), $3 and $4 are folders to share."""

_HOLD = """
trap '' TERM INT HUP
hostname lab
ip link set lo up
echo ready
read -r _ || true
network=$(readlink /proc/self/ns/net)
for process in /proc/[0-9]*; do
    if [ "$process" != "/proc/$$" ] && [ "$(readlink "$process/ns/net")" = "$network" ]; then
        kill -9 "${process#/proc/}" || true
    fi
done
"""
"""Waits until the tests close its input, by dying if need be, and takes everything that runs inside along."""


def die_with_parent() -> None:
    """In a child between fork and exec: be killed when the process that started us ends, however it ends."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Machine:
    """A network namespace with its own log folder; `root` is its folder on this side.

    What the machine sees as /var/log/auth.log is `root/log/auth.log` here; /var/lib and /home are its own likewise
    (`root/lib`, `root/home`), and /run, which can't be seen from here. `accounts` (name to password) get a shell.
    With `private_folders=False` only the network is its own, which is enough for clients. With `image` (a layer that
    `image()` made) the machine has a whole root of its own: everything it changes stays in `root/upper`.
    """

    def __init__(
        self,
        root: Path,
        accounts: dict[str, str] | None = None,
        *,
        private_folders: bool = True,
        image: Path | None = None,
    ) -> None:
        self.root = root
        self.log = root / "log" if image is None else root / "upper" / "var" / "log"
        self._own_root = image is not None
        script, arguments = _HOLD, [str(root)]
        if image is not None:
            _prepare_layer(root, image, accounts or {})
            arguments += [str(image), tempfile.gettempdir(), str(PROJECT)]
            script = _LAYERED + 'exec chroot "$root/tree" sh -c \'' + _HOLD.replace("'", "'\\''") + "' sh"
        else:
            for folder in (self.log, root / "lib"):
                folder.mkdir(parents=True)
            if private_folders:
                write_accounts(root, accounts or {})
                script = _PRIVATE_FOLDERS + _HOLD
        self._holder = subprocess.Popen(
            ["unshare", "--net", "--mount", "--uts", "--propagation", "private", "sh", "-c", script, "sh", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != b"ready\n":
            self.close()
            raise RuntimeError("the machine did not come up; its error stands above")
        self._namespace = os.stat(f"/proc/{self.pid}/ns/net").st_ino

    @property
    def pid(self) -> int:
        """The process that holds the namespaces; usable with `nsenter --target` and `ip link … netns`."""
        return self._holder.pid

    def argv(self, command: Sequence[str]) -> list[str]:
        """The command line that runs `command` inside. It replaces itself: the pid is the command's own."""
        root = ["--root", "--wdns=/"] if self._own_root else []
        return ["nsenter", "--target", str(self.pid), "--net", "--mount", "--uts", *root, "--", *command]

    def path(self, inside: str) -> Path:
        """The file that the machine knows as `inside` (absolute), as a path on this side, while the machine lives."""
        return Path(f"/proc/{self.pid}/root{inside}")

    def popen(self, command: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """Start `command` inside, killed at the latest when the machine closes. Options as for `subprocess.Popen`.

        In a session of its own: some servers end by a signal to their whole process group, and that must not be ours.
        """
        return subprocess.Popen(self.argv(command), preexec_fn=die_with_parent, start_new_session=True, **options)

    def run(self, command: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
        """Run `command` inside to its end (30 seconds at most unless told) and return its text output."""
        settings: dict[str, Any] = {"capture_output": True, "text": True, "timeout": 30, "check": True}
        settings.update(options)
        return subprocess.run(self.argv(command), preexec_fn=die_with_parent, **settings)

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """The calling thread uses this machine's network inside the block; sockets made there belong to it for good."""
        with open("/proc/thread-self/ns/net") as outside, open(f"/proc/{self.pid}/ns/net") as inside:
            _set_network(inside.fileno())
            try:
                yield
            finally:
                _set_network(outside.fileno())

    def processes(self) -> list[int]:
        """The pids of everything that runs inside, the holder included."""
        found = []
        for entry in os.scandir("/proc"):
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if os.stat(f"/proc/{entry.name}/ns/net").st_ino == self._namespace:
                        found.append(int(entry.name))
        return found

    def close(self) -> None:
        """End every process inside; with the last one the namespaces, mounts and links are gone."""
        for _ in range(50):
            inside = self.processes() if hasattr(self, "_namespace") else [self.pid]
            inside = [pid for pid in inside if pid != os.getpid()]
            for pid in inside:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._holder.poll()
            if not inside:
                break
            time.sleep(0.01)
        self._holder.wait()
        for pipe in (self._holder.stdin, self._holder.stdout):
            if pipe is not None:
                pipe.close()


def _prepare_layer(root: Path, image: Path, accounts: dict[str, str]) -> None:
    """The writable layer of a machine with an `image`: its accounts, and nobody to ask for names but itself."""
    for folder in ("upper/etc", "upper/var/log", "scratch", "tree"):
        (root / folder).mkdir(parents=True)
    write_accounts(root, accounts, system=image)
    for name in ("passwd", "shadow", "group"):
        shutil.move(root / "etc" / name, root / "upper" / "etc" / name)
    (root / "upper" / "etc" / "pam.d").mkdir()
    shutil.move(root / "etc" / "common-auth", root / "upper" / "etc" / "pam.d" / "common-auth")
    shutil.move(root / "home", root / "upper" / "home")
    (root / "upper" / "etc" / "resolv.conf").write_text("")
    (root / "upper" / "etc" / "hosts").write_text("127.0.0.1 localhost\n::1 localhost\n10.77.0.1 lab.test lab\n")
    (root / "upper" / "etc" / "hostname").write_text("lab\n")


def _set_network(namespace: int) -> None:
    if _LIBC.setns(namespace, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def until(condition: Callable[[], Any], seconds: float = 10.0, what: str = "") -> Any:
    """Wait until `condition()` is true and return its value; AssertionError naming `what` after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds:g} s in vain for {what or condition}")
        time.sleep(0.01)


def stop(process: subprocess.Popen[Any], seconds: float = 3.0) -> None:
    """End a server politely, then firmly."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
