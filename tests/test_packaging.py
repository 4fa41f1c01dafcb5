"""What is handed out works: the wheel is complete, the systemd unit is accepted and its guard needs no root."""

from __future__ import annotations

import configparser
import hashlib
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
WEB_UNIT = ROOT / "packaging" / "ringfence-web.service"
VENDOR = PACKAGE / "web" / "static" / "vendor"
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
    assert {f"ringfence/web/{name}" for name in ("templates/base.html", "static/page.css", "static/vendor/VENDORED.md",
                                                 "locale/ringfence.pot")} <= wanted  # fmt: skip
    assert wanted <= held


def test_an_installed_wheel_finds_its_catalogue_and_its_policy(installed: Path, tmp_path: Path) -> None:
    guard = GuardProcess(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "ringfence", "--config", str(guard.config), "check", "--json"],
        env={**os.environ, "PYTHONPATH": str(installed)}, cwd=tmp_path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    findings = {one["what"]: one for one in json.loads(done.stdout)["findings"]}
    assert findings["catalogue"]["good"] and findings["policy"]["good"], done.stdout


def test_every_vendored_file_is_the_one_that_is_written_down() -> None:
    """Package, version, licence and sum of each; nothing else lies beside them, and the licences do."""
    rows = [line.strip("| ").split(" | ") for line in (VENDOR / "VENDORED.md").read_text().splitlines()]
    told = {row[0]: row for row in rows if len(row) == 6 and len(row[5]) == 64}
    assert set(told) == {path.name for path in VENDOR.iterdir()} - {"VENDORED.md"}
    for name, (_, _, version, licence, _, told_sum) in told.items():
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == told_sum, name
        assert version[0].isdigit() and licence in ("0BSD", "MIT", "BSD-3-Clause", "ISC")
    assert {row[1] for row in told.values()} == {row[1] for name, row in told.items() if "LICENSE" in name}


def test_vendoring_takes_no_file_whose_sum_is_another(tmp_path: Path) -> None:
    """A package that was changed at the registry changes nothing here."""
    copy = tmp_path / "src/ringfence/web/static/vendor"
    shutil.copytree(VENDOR, copy)
    script = tmp_path / "packaging" / "vendor-web"
    script.parent.mkdir()
    shutil.copy(ROOT / "packaging" / "vendor-web", script)
    packages = tmp_path / "node_modules"
    rows = [line.strip("| ").split(" | ") for line in (VENDOR / "VENDORED.md").read_text().splitlines()]
    for name, package, _, _, path, told_sum in (row for row in rows if len(row) == 6 and len(row[5]) == 64):
        (packages / package / path).parent.mkdir(parents=True, exist_ok=True)
        (packages / package / path).write_bytes((VENDOR / name).read_bytes())
        assert told_sum
    (copy / "uPlot.min.css").unlink()
    done = subprocess.run([str(script), str(packages)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and (copy / "uPlot.min.css").exists(), done.stderr
    (packages / "idiomorph/dist/idiomorph.min.js").write_text("alert(1)")
    done = subprocess.run([str(script), str(packages)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "idiomorph.min.js" in done.stderr
    assert (copy / "idiomorph.min.js").read_bytes() == (VENDOR / "idiomorph.min.js").read_bytes()


def _unit() -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
    parser.optionxform = str  # type: ignore[method-assign,assignment]
    parser.read(UNIT)
    return parser


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze (Debian package systemd)")
@pytest.mark.parametrize("name", [UNIT.name, WEB_UNIT.name])
def test_systemd_takes_the_units_without_a_word(tmp_path: Path, name: str) -> None:
    """Only the program's place is another one here."""
    for unit in (UNIT, WEB_UNIT):
        text = unit.read_text().replace("/opt/ringfence/bin/ringfence", sys.executable)
        (tmp_path / unit.name).write_text(text)
    command = ["systemd-analyze", "verify", "--man=no", str(tmp_path / name)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="needs systemd-sysusers")
def test_the_page_has_a_user_of_its_own_in_the_guards_group(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/group").write_text("adm:x:4:\nsystemd-journal:x:101:\n")
    (tmp_path / "etc/passwd").write_text("")
    made = ROOT / "packaging" / "ringfence.sysusers.conf"
    done = subprocess.run(["systemd-sysusers", f"--root={tmp_path}", str(made)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"systemd-sysusers can't work here: {done.stderr}")
    groups = {line.split(":")[0]: line.split(":")[3] for line in (tmp_path / "etc/group").read_text().splitlines()}
    users = {line.split(":")[0] for line in (tmp_path / "etc/passwd").read_text().splitlines()}
    assert {"ringfence", "ringfence-web"} <= users
    assert "ringfence-web" in groups["ringfence"].split(",") and groups["adm"] == "ringfence"


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
