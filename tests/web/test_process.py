"""The page as `ringfence run` starts it as root: under TLS, without any right, gone with the guard, back by itself."""

from __future__ import annotations

import os
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from guard_process import GuardProcess, failures, running
from ringfence.people_answers import UserRow
from ringfence.settings import Settings
from ringfence.unprivileged import UNUSED
from web_site import CSRF, HASH, PASSWORD, free_port

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, which is what the page gives up"),
]
NOBODY = "ringfence-page-of-the-tests"
"""A user that there is not: the page takes the unused number."""


@pytest.fixture(scope="module")
def guard() -> Iterator[GuardProcess]:
    """A guard with its page, both as they run on a machine: in a folder that is not closed to other users."""
    with tempfile.TemporaryDirectory(prefix="ringfence-page-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield from _guard(folder)


def _guard(folder: Path) -> Iterator[GuardProcess]:
    port = free_port(Settings()).web.listen[1]
    settings = (
        f'[web]\nlisten = "127.0.0.1:{port}"\nuser = "{NOBODY}"\n'
        f'certificate = "{folder}/certificate.pem"\nkey = "{folder}/key.pem"\n'
    )
    found = GuardProcess(folder, settings=settings)
    found.config.write_text(found.config.read_text().replace("[control]", f'[control]\ngroup = "{NOBODY}"'))
    made = found.cli("web", "--make-certificate")
    assert made.returncode == 0 and "valid for" in made.stdout, made.stderr
    with running(found):
        found.wait_for(lambda: f"page https://127.0.0.1:{port}" in found.output, "no page")
        found.ask(UserRow, "add_user", name="ann", role="administrator", password_hash=HASH)
        yield found


def page_of(guard: GuardProcess) -> psutil.Process | None:
    """The page's process, once it has given up its rights."""
    for child in psutil.Process(guard.pid).children():
        if child.uids().real == UNUSED:
            return child
    return None


def present_page(guard: GuardProcess) -> psutil.Process:
    """The page's process, waited for."""
    found = guard.wait_for(lambda: page_of(guard), "no page without rights")
    assert found is not None
    return found


def status_of(process: psutil.Process) -> dict[str, str]:
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def client_of(guard: GuardProcess) -> httpx.Client:
    """A browser that trusts the certificate that was made, and nothing else."""
    address = next(line for line in guard.output.splitlines() if line.startswith("page ")).split()[1]
    trust = ssl.create_default_context(cafile=str(guard.folder / "certificate.pem"))
    return httpx.Client(base_url=address, verify=trust, timeout=20)


def as_the_page(command: str) -> subprocess.CompletedProcess[str]:
    """A shell command with the page's rights."""
    become = ["setpriv", "--reuid", str(UNUSED), "--regid", str(UNUSED), "--clear-groups", "--"]
    return subprocess.run([*become, "sh", "-c", command], capture_output=True, text=True, timeout=20)


def test_the_page_has_no_right_at_all(guard: GuardProcess) -> None:
    page = present_page(guard)
    status = status_of(page)
    assert status["Uid"].split() == status["Gid"].split() == [str(UNUSED)] * 4
    assert status["Groups"] == "" and status["NoNewPrivs"] == "1"
    for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(status[kind], 16) == 0, kind


def test_what_the_page_is_can_read_the_ledger_and_not_write_it(guard: GuardProcess) -> None:
    ledger = guard.ledger
    assert as_the_page(f"head -c 15 {ledger}").stdout == "SQLite format 3"
    before = ledger.stat().st_mtime_ns
    for command in (f"echo x >> {ledger}", f"rm {ledger}", f"echo x >> {ledger}-wal", f"echo x > {ledger.parent}/new",
                    f"chmod 666 {ledger}", f"cat {guard.folder}/key.pem", f"echo x >> {guard.config}"):  # fmt: skip
        done = as_the_page(command)
        assert done.returncode and "denied" in done.stderr.lower() + "denied" * ("permitted" in done.stderr), command
    assert ledger.stat().st_mtime_ns == before and not (ledger.parent / "new").exists()


def test_under_tls_cookies_are_bound_to_this_host_and_browsers_stay_with_tls(guard: GuardProcess) -> None:
    client = client_of(guard)
    form = client.get("/login")
    assert form.headers["strict-transport-security"] == "max-age=31536000"
    secret = CSRF.search(form.text)
    assert secret is not None
    assert "Secure" in form.headers["set-cookie"]
    answer = client.post("/login", data={"csrf": secret[1], "name": "ann", "password": PASSWORD})
    (cookie,) = [one for one in answer.headers.get_list("set-cookie") if "ringfence=" in one]
    assert answer.status_code == 303 and cookie.startswith("__Host-ringfence=")
    assert {"Secure", "HttpOnly", "Path=/"} <= {part.strip() for part in cookie.split(";")} and "Domain" not in cookie
    assert client.get("/users").status_code == 200
    assert client.get("/no-such-page").headers["strict-transport-security"]
    # What it was made for: a command through the guard's socket, by a process that is neither root nor in a group.
    token = CSRF.search(client.get("/diagnostics").text)
    guard.write(failures("203.0.113.70", 2))
    guard.wait_for(lambda: "203.0.113.70" in str(guard.ask(dict, "attacks")), "not counted")
    assert token is not None
    answer = client.post("/diagnostics/reset", data={"csrf": token[1], "sure": "yes"}, follow_redirects=True)
    assert "begin anew" in answer.text


def test_neither_plain_text_nor_old_tls_is_spoken(guard: GuardProcess) -> None:
    client = client_of(guard)
    with pytest.raises(httpx.HTTPError):
        httpx.get(str(client.base_url).replace("https", "http"), timeout=10)
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    with pytest.warns(DeprecationWarning):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(httpx.ConnectError):
        httpx.get(str(client.base_url), verify=old, timeout=10)


def test_a_certificate_that_is_there_is_never_overwritten(guard: GuardProcess) -> None:
    before = (guard.folder / "key.pem").read_bytes()
    done = guard.cli("web", "--make-certificate")
    assert done.returncode and "is there already" in done.stderr
    assert (guard.folder / "key.pem").read_bytes() == before
    assert (guard.folder / "key.pem").stat().st_mode & 0o077 == 0


def test_a_page_that_was_killed_comes_back_and_the_guard_works_on(guard: GuardProcess) -> None:
    page = present_page(guard)
    page.kill()

    def answers() -> bool:
        try:
            return client_of(guard).get("/login").status_code == 200
        except httpx.HTTPError:
            return False

    guard.wait_for(answers, "it does not answer again")
    assert present_page(guard).pid != page.pid and "the page is away" in guard.output


def test_the_page_goes_with_a_guard_that_is_killed(guard: GuardProcess) -> None:
    """Last: the guard of this module is gone afterwards."""
    page = present_page(guard)
    guard.kill()
    end = time.monotonic() + 10
    while page.is_running() and page.status() != psutil.STATUS_ZOMBIE and time.monotonic() < end:
        time.sleep(0.05)
    assert not page.is_running() or page.status() == psutil.STATUS_ZOMBIE
    with pytest.raises(httpx.HTTPError):
        client_of(guard).get("/login")
