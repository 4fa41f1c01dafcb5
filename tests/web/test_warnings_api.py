"""Warnings for programs: listed, acknowledged, kept back; settings without secrets; messages; figures."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from ringfence.ledger import AlertingRevision
from warning_examples import SECRETS, SETTINGS, attempt, lock_and_unlock, tell
from web_site import Site

V1 = "/api/v1/warnings"


@pytest.fixture(scope="module")
def admin(site: Site) -> Iterator[httpx.Client]:
    """A program that may do everything."""
    with site.token() as client:
        yield client


@pytest.fixture(scope="module")
def operator(site: Site) -> Iterator[httpx.Client]:
    with site.token("operator") as client:
        yield client


@pytest.fixture(scope="module")
def reader(site: Site) -> Iterator[httpx.Client]:
    with site.token("viewer", "read") as client:
        yield client


def rows(client: httpx.Client, path: str = V1, **wanted: Any) -> list[dict[str, Any]]:
    answer = client.get(path, params=wanted)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["rows"])


def test_a_warning_has_its_facts_and_what_it_says(site: Site, reader: httpx.Client) -> None:
    attempt(site, "10.67.0.1", "<b>x</b>")
    found = rows(reader, kind="rule", limit=1)[0]
    assert found["subject"] == "10.67.0.1" and found["service"] == "http" and found["facts"]["count"] == 2
    assert found["title"].startswith("10.67.0.1 noticed on http") and found["time"].endswith("Z")
    assert not found["grave"] and not found["muted"] and found["acknowledged"] is None


def test_the_list_is_narrowed_and_goes_on(site: Site, reader: httpx.Client) -> None:
    attempt(site, "10.67.0.2")
    for _ in range(3):
        lock_and_unlock(site)
    assert {one["kind"] for one in rows(reader, kind="lockdown", limit=1000)} == {"lockdown"}
    assert {one["service"] for one in rows(reader, service="http", limit=1000)} == {"http"}
    assert rows(reader, since="2999-01-01T00:00:00Z") == []
    every = [one["id"] for one in rows(reader, limit=1000)]
    seen, cursor = list[int](), ""
    while cursor is not None:
        page = reader.get(V1, params={"limit": 4, "cursor": cursor}).json()
        seen += [one["id"] for one in page["rows"]]
        cursor = page["next"]
    assert seen == every == sorted(every, reverse=True)
    assert reader.get(V1, params={"kind": "nonsense"}).status_code == 400
    assert reader.get(V1, params={"cursor": "nonsense"}).status_code == 400


def test_warnings_are_acknowledged_by_number_and_all(site: Site, operator: httpx.Client) -> None:
    lock_and_unlock(site)
    lock_and_unlock(site)
    new = [one["id"] for one in rows(operator, unacknowledged=True, limit=1000)]
    assert operator.post(f"{V1}/acknowledge", json={"ids": [new[0], 10**9]}).json() == {"acknowledged": 1}
    row = rows(operator, limit=1)[0]
    assert (
        row["id"] == new[0]
        and row["acknowledged"].endswith("Z")
        and re.fullmatch(r"operator\d+@api", row["acknowledger"])
    )
    assert operator.post(f"{V1}/acknowledge", json={"upto": new[1]}).json() == {"acknowledged": len(new) - 1}
    assert rows(operator, unacknowledged=True) == []
    nonsense: dict[str, Any]
    for nonsense in ({}, {"ids": []}, {"ids": [0]}, {"all": True}):
        assert operator.post(f"{V1}/acknowledge", json=nonsense).status_code == 400


def test_a_kind_is_kept_back_for_a_while(site: Site, operator: httpx.Client, reader: httpx.Client) -> None:
    wanted = {"kind": "rule", "subject": "10.67.0.3", "seconds": 3600}
    made = operator.post(f"{V1}/mutes", json=wanted)
    assert made.status_code == 201 and made.json()["until"] > made.json()["created"]
    assert made.json() in rows(reader, f"{V1}/mutes")
    attempt(site, "10.67.0.3")
    assert rows(reader, kind="rule", limit=1)[0]["muted"]
    assert operator.delete(f"{V1}/mutes/{made.json()['id']}").json() == made.json()
    assert operator.delete(f"{V1}/mutes/{made.json()['id']}").status_code == 404
    for wrong, status in (({"kind": "nonsense"}, 400), ({"seconds": 5}, 400), ({"seconds": 1e12}, 400)):
        assert operator.post(f"{V1}/mutes", json={**wanted, **wrong}).status_code == status


def test_settings_are_read_without_secrets_and_put_back_with_them(site: Site, admin: httpx.Client) -> None:
    tell(site, SETTINGS)
    found = admin.get(f"{V1}/settings")
    assert not any(secret in found.text for secret in SECRETS)
    text, revision = found.json()["text"], found.json()["revision"]
    answer = admin.put(f"{V1}/settings", json={"text": text + "# more\n", "revision": revision, "note": "why"})
    assert answer.json()["revision"] == revision + 1 and answer.json()["note"] == "why"
    assert not any(secret in answer.text for secret in SECRETS)
    assert site.guard.ask(AlertingRevision, "alerting").text == SETTINGS + "# more\n"
    late = admin.put(f"{V1}/settings", json={"text": text, "revision": revision})
    assert late.status_code == 400 and "changed meanwhile" in late.json()["detail"]
    wrong = admin.put(f"{V1}/settings", json={"text": "[mail]\nprot = 5\n"})
    assert wrong.status_code == 400 and "port" in wrong.json()["detail"]
    assert admin.put(f"{V1}/settings", json={"text": "", "revision": 10**6}).status_code == 404
    tell(site, "")


def test_a_test_message_can_be_followed(site: Site, admin: httpx.Client, reader: httpx.Client) -> None:
    nobody = admin.post(f"{V1}/test", json={})
    assert nobody.status_code == 400 and "no recipient" in nobody.json()["detail"]
    tell(site, SETTINGS)
    made = admin.post(f"{V1}/test", json={"recipient": "else@example.org"})
    assert made.status_code == 202
    (one,) = made.json()
    assert one["recipient"] == "else@example.org" and one["kind"] == "test" and one["ended"] is None
    assert reader.get(f"{V1}/outbox/{one['id']}").json()["id"] == one["id"]
    assert one["id"] in [row["id"] for row in rows(reader, f"{V1}/outbox")]
    assert reader.get(f"{V1}/outbox/999999").status_code == 404
    assert admin.post(f"{V1}/test", json={"channel": "nowhere"}).status_code == 404
    tell(site, "")


def test_who_may_not_is_refused(site: Site, reader: httpx.Client, operator: httpx.Client) -> None:
    for method, path in (("GET", "settings"), ("PUT", "settings"), ("POST", "test")):
        assert operator.request(method, f"{V1}/{path}", json={"text": ""}).status_code == 403
    for method, path in (("POST", "acknowledge"), ("POST", "mutes"), ("DELETE", "mutes/1"), ("GET", "settings")):
        assert reader.request(method, f"{V1}/{path}", json={}).status_code == 403
    with site.token("holder", "read") as holder:
        for path in ("", "/mutes", "/outbox"):
            assert holder.get(V1 + path).status_code == 403


def test_figures_tell_how_many_wait_and_how_many_were_told(site: Site, operator: httpx.Client) -> None:
    operator.post(f"{V1}/acknowledge", json={"upto": rows(operator, limit=1)[0]["id"]})
    lock_and_unlock(site)
    made = operator.post(f"{V1}/mutes", json={"kind": "rule", "service": "http", "seconds": 3600}).json()
    before = {row["service"]: row for row in operator.get("/api/v1/statistics").json()["rows"]}
    attempt(site, "10.67.0.9")
    operator.delete(f"{V1}/mutes/{made['id']}")
    text = operator.get("/metrics").text
    assert 'ringfence_warnings{kind="lockdown"} 2.0' in text and 'ringfence_warnings{kind="canary"} 0.0' in text
    untold = before.get("http", {"untold": 0})["untold"] + 1
    assert f'ringfence_messages_total{{outcome="suppressed",service="http"}} {float(untold)}' in text
    assert 'ringfence_messages_total{outcome="sent",service="http"} 0.0' in text
    page = site.browser("viewer").get("/diagnostics").text
    assert "Given up" in page and "Not told" in page
