"""What others' pages, odd requests and planted cookies get: nothing, politely."""

from __future__ import annotations

import socket
from typing import Any

import httpx
import pytest

from ringfence.web.app import HEADERS, LARGEST
from web_site import CSRF, PASSWORD, Site

CHANGE = "/diagnostics/reset"
"""A change, which is refused for want of a tick even when everything else is right."""
ENCODED = {"content-type": "application/x-www-form-urlencoded"}


def raw(site: Site, request: bytes) -> bytes:
    """What the server answers to these bytes, until it hangs up or has answered."""
    host, port = site.base.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(request)
        found = b""
        while part := connection.recv(1 << 16):
            found += part
            if b"\r\n\r\n" in found and b"transfer-encoding" not in found.lower():
                break
        return found


class TestForms:
    def test_a_form_without_its_secret_changes_nothing(self, site: Site) -> None:
        browser = site.browser("operator")
        for fields in ({}, {"csrf": ""}, {"csrf": "wrong"}, {"csrf": "\udcff"}, {"csrf": "ü"}):
            sent = "&".join(f"{name}={value}" for name, value in fields.items()).encode("utf-8", "replace")
            answer = browser.client.post(CHANGE, content=sent, headers=ENCODED)
            assert answer.status_code == 403 and "out of date or came from elsewhere" in answer.text

    def test_the_secret_of_somebody_elses_session_is_not_taken(self, site: Site) -> None:
        one, other = site.browser("operator"), site.browser("operator")
        assert one.client.post(CHANGE, data={"csrf": other.csrf}).status_code == 403
        assert one.client.post(CHANGE, data={"csrf": one.csrf}).status_code == 303

    @pytest.mark.parametrize(
        "headers",
        [
            {"sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "same-site"},
            {"sec-fetch-site": "cross-site", "origin": "http://127.0.0.1"},
            {"origin": "https://evil.example"},
            {"origin": "null"},
            {"origin": "http://127.0.0.1:1"},
        ],
    )
    def test_a_change_that_another_site_asks_for_is_refused_even_with_the_secret(
        self, site: Site, headers: dict[str, str]
    ) -> None:
        browser = site.browser("operator")
        answer = browser.client.post(CHANGE, data={"csrf": browser.csrf}, headers=headers)
        assert answer.status_code == 403 and "another site" in answer.text

    def test_our_own_page_may_ask(self, site: Site) -> None:
        browser = site.browser("operator")
        for headers in ({"sec-fetch-site": "same-origin"}, {"origin": site.base}):
            assert browser.client.post(CHANGE, data={"csrf": browser.csrf}, headers=headers).status_code == 303

    def test_the_login_form_needs_its_secret_too(self, site: Site) -> None:
        """Else another site could log somebody in as its own user and look at what they do."""
        fields = {"name": site.user("viewer"), "password": PASSWORD}
        assert site.client("203.0.113.50").post("/login", data=fields).status_code == 403

    def test_a_form_in_another_encoding_or_with_a_file_is_no_fault(self, site: Site) -> None:
        browser = site.browser("operator")
        files = {"csrf": ("name", b"x" * 1000), "service": ("\u202e", b"y")}
        assert browser.client.post(CHANGE, files=files).status_code == 403
        assert browser.client.post(CHANGE, json={"csrf": browser.csrf}).status_code in (400, 403)
        broken = {"content-type": "multipart/form-data; boundary=x"}
        assert browser.client.post(CHANGE, content=b"--y\r\n", headers=broken).status_code in (400, 403)


class TestSessions:
    def test_a_session_from_before_the_login_ends_with_it(self, site: Site) -> None:
        """Fixation: neither a planted cookie nor the session of whoever was logged in before lives on."""
        browser = site.browser("viewer")
        before = dict(browser.client.cookies)
        fields = {"csrf": browser.csrf, "name": site.user("viewer"), "password": PASSWORD}
        answer = browser.client.post("/login", data=fields)
        assert answer.status_code == 303
        thief = site.client()
        thief.cookies.update(before)
        assert thief.get("/me").status_code == 303
        assert before[site.web.cookie] not in "".join(answer.headers.get_list("set-cookie"))

    def test_the_form_secret_of_before_the_login_is_not_that_of_after(self, site: Site) -> None:
        client = site.client("203.0.113.51")
        secret = CSRF.search(client.get("/login").text)
        assert secret is not None
        client.post("/login", data={"csrf": secret[1], "name": site.user("operator"), "password": PASSWORD})
        assert client.get("/me").status_code == 200
        assert client.post(CHANGE, data={"csrf": secret[1]}).status_code == 403

    def test_the_cookie_of_one_address_range_is_no_token_and_a_token_no_cookie(self, site: Site) -> None:
        token = site.token("administrator", "write")
        assert token.get("/users").status_code == 303
        thief = site.client()
        thief.cookies.set(site.web.cookie, token.headers["authorization"].removeprefix("Bearer "))
        assert thief.get("/users").status_code == 303


class TestPaths:
    @pytest.mark.parametrize(
        "path",
        [
            "/static/{v}/../templating.py", "/static/{v}/..%2ftemplating.py", "/static/{v}/%2e%2e/%2e%2e/web.py",
            "/static/{v}//etc/passwd", "/static/{v}/..\\..\\web.py", "/static/{v}/vendor/%2e%2e%2f%2e%2e%2fweb.py",
            "/static/../../../../etc/passwd", "/static/{v}/page.css%00.js", "/static/{v}/vendor/VENDORED.md",
            "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/welcome/..%2f..%2fetc%2fpasswd",
            "/static/{v}/%ff%fe", "/static/{v}/" + "a" * 5000,
        ],
    )  # fmt: skip
    def test_nothing_but_our_own_files_is_served(self, site: Site, path: str) -> None:
        from ringfence.web.frame import version

        request = f"GET {path.format(v=version())} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        answer = raw(site, request.encode("latin-1"))
        head = answer.split(b"\r\n")[0]
        assert head.split()[1] in (b"404", b"400", b"303"), head
        assert b"root:" not in answer and b"import" not in answer

    def test_our_files_are_served_with_their_kind(self, site: Site) -> None:
        from ringfence.web.frame import version

        answer = site.client().get(f"/static/{version()}/page.css")
        assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/css")
        assert "immutable" in answer.headers["cache-control"]
        assert site.client().get("/static/old/page.css").status_code == 404

    @pytest.mark.parametrize("path", ["/audit?cursor=x", "/audit?cursor=99999999999999999999", "/audit?q=%ff%00",
                                      "/audit?cursor=-1", "/users?cursor=%00", "/users/one?name=%ff",
                                      "/users/one", "/audit.csv?q=%00", "/users?q=" + "a" * 4000,
                                      "/diagnostics?x=%ff", "/warnings?" + "a=1&" * 900])  # fmt: skip
    def test_odd_queries_are_no_fault(self, site: Site, path: str) -> None:
        assert site.browser().get(path).status_code in (200, 404)


class TestSizes:
    def test_a_body_that_is_too_large_is_refused(self, site: Site) -> None:
        browser = site.browser("operator")
        big = b"csrf=" + b"x" * (LARGEST + 1)
        assert browser.client.post(CHANGE, content=big, headers=ENCODED).status_code == 413

        def drip() -> Any:
            for _ in range(LARGEST // 65_536 + 2):
                yield b"y" * 65_536

        assert browser.client.post(CHANGE, content=drip(), headers=ENCODED).status_code == 413

    def test_many_fields_and_long_ones_are_no_fault(self, site: Site) -> None:
        browser = site.browser("operator")
        many = "&".join(f"f{number}=1" for number in range(20_000))
        answer = browser.client.post(CHANGE, content=f"csrf={browser.csrf}&{many}", headers=ENCODED)
        assert answer.status_code in (303, 400)
        assert browser.post("/me/password", old="x" * 100_000, password="y", again="y", back="/me").status_code == 200

    @pytest.mark.parametrize("size", [70_000, 300_000])
    def test_headers_that_are_too_large_are_refused(self, site: Site, size: int) -> None:
        answer = raw(site, b"GET /login HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * size + b"\r\n\r\n")
        assert answer.split()[1:2] == [b"400"] and b"\r\nconnection: close" in answer.lower()

    def test_many_cookies_are_no_fault(self, site: Site) -> None:
        cookies = "; ".join(f"c{number}=x" for number in range(1000))
        assert site.client().get("/login", headers={"cookie": cookies}).status_code in (200, 400, 431)


class TestHeaders:
    def answers(self, site: Site) -> dict[str, httpx.Response]:
        browser, nobody = site.browser("viewer"), site.client()
        return {
            "page": browser.client.get("/me"), "redirect": nobody.get("/me"), "form": nobody.get("/login"),
            "missing": browser.client.get("/no-such-page"), "missing for nobody": nobody.get("/no-such-page"),
            "forbidden": browser.client.get("/users"), "wrong method": nobody.delete("/login"),
            "form refused": browser.client.post("/logout"), "too large": browser.client.post(
                "/logout", content=b"x" * (LARGEST + 1), headers=ENCODED),
            "static": nobody.get("/favicon.ico"), "missing static": nobody.get("/static/x/y.js"),
            "program": nobody.get("/api/v1/no-such-thing"), "file": browser.client.get("/audit.csv"),
            "odd": nobody.get("/welcome/%ff"), "options": nobody.options("/login"),
        }  # fmt: skip

    def test_every_kind_of_answer_has_the_headers_that_protect_it(self, site: Site) -> None:
        for kind, answer in self.answers(site).items():
            for name, value in HEADERS.items():
                assert answer.headers.get(name) == value, f"{kind} ({answer.status_code}): {name}"
            assert answer.headers.get("cache-control"), kind
            assert "server" not in answer.headers and answer.status_code < 500, kind

    def test_the_policy_permits_no_script_but_our_files(self, site: Site) -> None:
        policy = dict(part.strip().split(" ", 1) for part in HEADERS["content-security-policy"].split(";"))
        assert policy["script-src"] == policy["style-src"] == policy["form-action"] == "'self'"
        assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        for path in ("/login", "/no-such-page"):
            text = site.client().get(path).text
            assert "<style" not in text and " style=" not in text and "<script>" not in text and " onclick" not in text

    def test_a_fault_of_ours_tells_nothing_of_itself(self, site: Site, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(site.web.guard, "pulse", lambda: 1 / 0)
            answer = site.browser("viewer").client.get("/me")
            patch.setattr(site.web.guard, "known", lambda: 1 / 0)
            worse = site.browser("viewer").client.get("/me")
        assert answer.status_code == 500 and "ZeroDivision" not in answer.text
        assert "fault of the page" in answer.text and "fault of the page" in worse.text
        for name, value in HEADERS.items():
            assert answer.headers.get(name) == worse.headers.get(name) == value
        assert "ZeroDivisionError" in capsys.readouterr().err
