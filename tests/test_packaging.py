"""What is handed out works: the wheel is complete, the systemd unit is accepted and its guard needs no root."""

from __future__ import annotations

import configparser
import json
import os
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from guard_process import GuardProcess, elements, failures, namespace

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "ringfence"
UNIT = ROOT / "packaging" / "ringfence.service"
USER = 61234
"""A user that nobody is, in place of the unit's."""
ADM = 4
"""Debian's group for who may read logs."""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for a network namespace and another user")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as `make build` makes it, from a copy of the sources."""
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "copy"
    copy.mkdir()
    shutil.copytree(ROOT / "src", copy / "src", ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, copy)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(copy)], check=True, capture_output=True, timeout=120)
    (built,) = folder.glob("ringfence-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    """A folder with the installed wheel that everybody may read."""
    target = wheel.parent / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    _open_to_all(target)
    return target


def _open_to_all(folder: Path) -> None:
    """Let other users in: folders of tests are closed to them."""
    for parent in (folder, *folder.parents):
        if parent.stat().st_uid == os.geteuid():
            parent.chmod(parent.stat().st_mode | 0o011)


def test_the_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    """Catalogue, SQL and the built-in policy included: an installation without them would guard nothing."""
    wanted = {
        str(path.relative_to(PACKAGE.parent))
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    held = set(zipfile.ZipFile(wheel).namelist())
    assert {"ringfence/default-policy.toml", "ringfence/ledger/schema.sql", "ringfence/py.typed"} <= wanted
    assert any(name.startswith("ringfence/catalogue/") and name.endswith(".toml") for name in wanted)
    assert wanted <= held


def test_an_installed_wheel_finds_its_catalogue_and_its_policy(installed: Path, tmp_path: Path) -> None:
    guard = GuardProcess(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "ringfence", "--config", str(guard.config), "check", "--json"],
        env={**os.environ, "PYTHONPATH": str(installed)}, cwd=tmp_path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    findings = {one["what"]: one for one in json.loads(done.stdout)["findings"]}
    assert findings["catalogue"]["good"] and findings["policy"]["good"], done.stdout


def _unit() -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
    parser.optionxform = str  # type: ignore[method-assign,assignment]
    parser.read(UNIT)
    return parser


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze (Debian package systemd)")
def test_systemd_takes_the_unit_without_a_word(tmp_path: Path) -> None:
    """Only the program's place is another one here."""
    text = UNIT.read_text().replace("/opt/ringfence/bin/ringfence", sys.executable)
    (tmp_path / UNIT.name).write_text(text)
    command = ["systemd-analyze", "verify", "--man=no", str(tmp_path / UNIT.name)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.root
@needs_root
def test_as_the_unit_starts_it_a_guard_without_root_bans(installed: Path, tmp_path: Path) -> None:
    """One capability, group adm for the logs, no other right, no memory both written and executed; its group commands.

    Where other users can't reach this interpreter the test lends the guard the right to read, and no more.
    """
    _open_to_all(tmp_path)
    capability = _unit()["Service"]["AmbientCapabilities"].removeprefix("CAP_").lower()
    assert _unit()["Service"]["CapabilityBoundingSet"].removeprefix("CAP_").lower() == capability == "net_admin"
    lent = "" if _reachable(Path(sys.executable).resolve()) else ",+dac_read_search"
    rights = f"-all,+{capability}{lent}"
    become = ["setpriv", "--reuid", str(USER), "--regid", str(USER), "--groups", f"{USER},{ADM}", "--no-new-privs"]
    become += ["--inh-caps", rights, "--ambient-caps", rights, "--bounding-set", rights, "--"]
    folder = tmp_path / "guard"
    folder.mkdir()
    with namespace(f"rfpack{os.getpid()}") as name:
        guard = GuardProcess(folder, mode="nftables", namespace=name, settings='[protect]\naddresses = "192.0.2.99"\n')
        guard.config.write_text(guard.config.read_text().replace("[control]", '[control]\ngroup = "adm"'))
        guard._prefix += ["env", f"PYTHONPATH={installed}", *become]
        guard.log.touch(mode=0o640)
        os.chown(guard.log, 0, ADM)
        os.chown(folder, USER, USER)
        try:
            guard.start()
            guard.write(failures("203.0.113.9", 5))
            guard.wait_for(lambda: elements(name) == {"203.0.113.9"}, "not banned")
            status = Path(f"/proc/{guard.pid}/status").read_text()
            assert f"Uid:\t{USER}\t{USER}\t{USER}\t{USER}\n" in status and "NoNewPrivs:\t1\n" in status
            assert guard.ledger.stat().st_uid == USER
            made = guard.socket.stat()
            assert (made.st_gid, stat.S_IMODE(made.st_mode)) == (ADM, 0o660)
            assert guard.stop() == 0
        finally:
            guard.ensure_gone()


def _reachable(path: Path) -> bool:
    return all(parent.stat().st_mode & 0o001 for parent in path.parents)


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ("exit 1", "needs Python 3.11 or newer"),
        ('case "$2" in *ensurepip*) exit 1;; *version_info\\[*) echo 3.12;; esac', "apt-get install python3-venv"),
    ],
)
def test_what_python_lacks_is_named_with_its_debian_package(tmp_path: Path, answers: str, said: str) -> None:
    """`make run` on a machine with an old Python, or with one that can't make virtual environments."""
    python = tmp_path / "python3"
    python.write_text(f"#!/bin/sh\n{answers}\n")
    python.chmod(0o755)
    done = subprocess.run(
        [str(ROOT / "packaging" / "make-venv"), str(tmp_path / "venv")],
        env={**os.environ, "PYTHON": str(python)}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1 and said in done.stderr and "python3-venv" in done.stderr
    assert not (tmp_path / "venv").exists()
