"""The API: the same commands as the page, as JSON; pages of lists; errors that a program can read."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from web_site import Site

V1 = "/api/v1"


@pytest.fixture(scope="module")
def admin(site: Site) -> Iterator[httpx.Client]:
    """A program that may do everything."""
    with site.token() as client:
        yield client


def test_a_ban_is_made_found_changed_noted_and_lifted(admin: httpx.Client) -> None:
    made = admin.post(f"{V1}/bans", json={"target": "198.51.100.10", "service": "sip", "seconds": 3600, "note": "x"})
    assert made.status_code == 201
    number = made.json()["ban"]["id"]
    listed = admin.get(f"{V1}/bans", params={"target": "198.51.100.10", "count": True}).json()
    assert [row["id"] for row in listed["rows"]] == [number] and listed["total"] == 1
    longer = admin.put(f"{V1}/bans/{number}/length", json={"seconds": None})
    assert longer.json()["ban"]["until"] == "forever"
    assert admin.put(f"{V1}/bans/{number}/note", json={"note": "call them"}).json()["note"] == "call them"
    one = admin.get(f"{V1}/bans/{number}").json()
    assert one["ban"]["note"] == "call them" and [change["change"] for change in one["changes"]]
    assert [row["id"] for row in admin.delete(f"{V1}/bans/{number}").json()["rows"]] == [number]
    assert admin.delete(f"{V1}/bans/{number}").status_code == 404
    ended = admin.get(f"{V1}/bans", params={"show": "ended", "target": "198.51.100.10"}).json()["rows"]
    assert ended[0]["state"] == "lifted"


def test_several_bans_are_lifted_by_number_by_target_and_all_of_a_service(admin: httpx.Client) -> None:
    targets = [f"198.51.100.{n}" for n in range(20, 25)]
    numbers = [
        admin.post(f"{V1}/bans", json={"target": one, "service": "ftp"}).json()["ban"]["id"] for one in targets
    ]  # fmt: skip

    def lift(**wanted: Any) -> httpx.Response:
        return admin.post(f"{V1}/bans/lift", json=wanted)

    assert {row["id"] for row in lift(ids=numbers[:2]).json()["rows"]} == set(numbers[:2])
    assert [row["target"] for row in lift(target=targets[2]).json()["rows"]] == [targets[2]]
    assert {row["target"] for row in lift(all=True, service="ftp").json()["rows"]} == set(targets[3:])
    for nonsense in ({}, {"ids": numbers, "all": True}, {"ids": numbers, "service": "ftp"}):
        assert lift(**nonsense).status_code == 400


def test_a_list_goes_on_where_its_page_ended_and_shows_nothing_twice(admin: httpx.Client) -> None:
    for n in range(5):
        admin.post(f"{V1}/bans", json={"target": f"198.51.100.{60 + n}", "service": "imap"})
    seen: list[str] = []
    cursor = ""
    while True:
        query: dict[str, Any] = {"service": "imap", "limit": 2, "cursor": cursor, "sort": "target", "ascending": True}
        page = admin.get(f"{V1}/bans", params=query).json()
        seen += [row["target"] for row in page["rows"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == sorted(seen) and len(seen) == 5
    other = {
        "service": "imap",
        "sort": "since",
        "cursor": admin.get(f"{V1}/bans", params=query | {"cursor": ""}).json()["next"],
    }
    assert admin.get(f"{V1}/bans", params=other).status_code == 400


@pytest.mark.parametrize(
    "path", ["attacks", "bans", "events", "attacks/192.0.2.1/events", "audit", "whitelist", "trials", "requests",
             "policy/revisions", "statistics", "users", "links", "tokens"],
)  # fmt: skip
def test_a_cursor_that_is_none_of_ours_is_refused(admin: httpx.Client, path: str) -> None:
    assert admin.get(f"{V1}/{path}").status_code == 200
    forged = [["events", "x"], ["bans since False", "x", []], ["audit", None], "x", {"a": 1}, [path, 1e300]]
    texts = [base64.urlsafe_b64encode(json.dumps(one).encode()).decode().rstrip("=") for one in forged]
    for text in [*texts, "!", "AAAA", "ÿ", "x" * 799]:
        answer = admin.get(f"{V1}/{path}", params={"cursor": text})
        assert answer.status_code == 400, text
        assert answer.headers["content-type"] == "application/problem+json"


def test_an_error_is_a_problem_with_what_to_do(admin: httpx.Client) -> None:
    answer = admin.post(f"{V1}/bans", json={"target": "not an address"})
    told = answer.json()
    assert answer.status_code == told["status"] == 400 and "not an address" in told["detail"]
    assert answer.headers["content-type"] == "application/problem+json"
    assert admin.get(f"{V1}/bans/999999").json()["title"] == "Not found"
    assert admin.get(f"{V1}/nothing").status_code == 404
    assert admin.patch(f"{V1}/bans").status_code == 405
    large = admin.post(f"{V1}/policy", content=b'{"text": "' + b"#" * 1_000_000 + b'"}')
    assert large.status_code == 413 and large.json()["status"] == 413


def test_the_whitelist_takes_an_entry_lifts_the_ban_and_lets_it_go_on_trial(admin: httpx.Client) -> None:
    admin.post(f"{V1}/bans", json={"target": "198.51.100.80"})
    made = admin.post(f"{V1}/whitelist", json={"target": "198.51.100.80", "note": "office"})
    assert made.status_code == 201 and [row["target"] for row in made.json()["lifted"]] == ["198.51.100.80"]
    assert [row["note"] for row in admin.get(f"{V1}/whitelist", params={"text": "office"}).json()["rows"]] == ["office"]
    gone = admin.delete(f"{V1}/whitelist", params={"target": "198.51.100.80"}).json()
    assert gone["trial"]["left"] > 0
    trials = admin.get(f"{V1}/trials").json()["rows"]
    assert gone["trial"]["id"] in [one["id"] for one in trials]
    assert admin.post(f"{V1}/trials/{gone['trial']['id']}/undo").status_code == 200
    assert admin.get(f"{V1}/whitelist", params={"text": "office"}).json()["total"] == 1
    at_once = admin.delete(f"{V1}/whitelist", params={"target": "198.51.100.80", "trial_seconds": 0}).json()
    assert at_once["trial"] is None


def test_a_ban_of_a_large_network_is_on_trial_until_it_is_kept(admin: httpx.Client) -> None:
    made = admin.post(f"{V1}/bans", json={"target": "100.64.0.0/16", "trial_seconds": 30}).json()
    assert made["trial"] is not None
    assert admin.post(f"{V1}/trials/{made['trial']['id']}/keep").status_code == 200
    assert admin.get(f"{V1}/bans/{made['ban']['id']}").json()["ban"]["ended"] is None
    assert admin.delete(f"{V1}/bans/{made['ban']['id']}").status_code == 200


def test_what_would_shut_out_the_caller_is_refused_unless_forced(site: Site) -> None:
    with site.token() as client:
        client.headers["x-forwarded-for"] = "198.51.100.90"
        refused = client.post(f"{V1}/bans", json={"target": "198.51.100.90"})
        assert refused.status_code == 409 and "where this request comes from" in refused.json()["detail"]
        assert client.post(f"{V1}/bans", json={"target": "198.51.100.90", "force": True}).status_code == 201
        assert client.post(f"{V1}/bans/lift", json={"target": "198.51.100.90"}).status_code == 200


def test_the_lockdown_is_switched_on_and_off(admin: httpx.Client) -> None:
    on = admin.put(f"{V1}/lockdown", json={"services": ["sip"], "seconds": 600, "trial_seconds": 0}).json()
    assert on["on"] and on["services"] == ["sip"] and admin.get(f"{V1}/lockdown").json()["on"]
    assert not admin.delete(f"{V1}/lockdown", params={"trial_seconds": 0}).json()["on"]
    assert admin.delete(f"{V1}/lockdown").status_code == 404


def test_the_policy_is_compared_applied_rolled_back_and_a_service_switched(admin: httpx.Client) -> None:
    before = admin.get(f"{V1}/policy").json()
    text = before["text"].replace("failures = 5", "failures = 7")
    assert any("failures" in line for line in admin.post(f"{V1}/policy/compare", json={"text": text}).json()["changed"])
    applied = admin.post(f"{V1}/policy", json={"text": text, "note": "seven", "trial_seconds": 0})
    assert applied.status_code == 201 and admin.get(f"{V1}/policy").json()["text"] == text
    revision = applied.json()["revision"]
    assert admin.get(f"{V1}/policy/revisions/{revision}").json()["note"] == "seven"
    back = admin.post(f"{V1}/policy/rollback", json={"revision": before["revision"], "trial_seconds": 0})
    assert back.status_code == 201 and admin.get(f"{V1}/policy").json()["text"] == before["text"]
    assert admin.get(f"{V1}/policy/revisions").json()["rows"][0]["revision"] == back.json()["revision"]
    assert admin.put(f"{V1}/policy/services/ftp", json={"on": False, "trial_seconds": 0}).status_code == 200
    assert admin.put(f"{V1}/policy/services/ftp", json={"on": True, "trial_seconds": 0}).status_code == 200
    assert admin.post(f"{V1}/policy", json={"text": "rules = 3"}).status_code == 400


def test_a_what_if_is_begun_asked_about_and_only_its_owner_sees_it(site: Site, admin: httpx.Client) -> None:
    text = admin.get(f"{V1}/policy").json()["text"].replace("failures = 5", "failures = 2")
    begun = admin.post(f"{V1}/what-if", json={"text": text, "days": 1})
    assert begun.status_code == 202
    number = begun.json()["id"]

    def done() -> Any:
        state = admin.get(f"{V1}/what-if/{number}").json()
        return state if state["status"] != "running" else None

    state = site.guard.wait_for(done, "the comparison does not end")
    assert state["status"] == "done" and state["result"]["added_total"] >= 0
    with site.token() as other:
        assert other.get(f"{V1}/what-if/{number}").status_code == 404
    assert admin.post(f"{V1}/what-if", json={"text": "rules = 3"}).status_code == 400


def test_users_and_tokens_are_made_and_taken_away_and_no_secret_is_ever_listed(admin: httpx.Client) -> None:
    password = "some words nobody guesses"
    made = admin.post(f"{V1}/users", json={"name": "bea", "role": "holder", "password": password, "accounts": ["100"]})
    assert made.status_code == 201 and made.json()["has_password"]
    assert admin.patch(f"{V1}/users/bea", json={"may_ask": True, "accounts": ["101"]}).json()["accounts"] == ["101"]
    assert admin.patch(f"{V1}/users/bea", json={"password": "short"}).status_code == 400
    token = admin.post(f"{V1}/tokens", json={"user": "bea", "label": "telephone", "seconds": 3600}).json()
    listed = admin.get(f"{V1}/tokens", params={"limit": 1000}).text + admin.get(f"{V1}/users").text
    assert token["secret"] not in listed and "argon2" not in listed
    assert admin.post(f"{V1}/tokens", json={"user": "bea", "label": "x", "scope": "write"}).status_code == 409
    assert admin.delete(f"{V1}/tokens/{token['id']}").status_code == 200
    link = admin.post(f"{V1}/links", json={"role": "viewer"}).json()
    waiting = admin.get(f"{V1}/links").json()["rows"]
    assert waiting and link["secret"] not in json.dumps(waiting)
    assert all(admin.delete(f"{V1}/links/{one['id']}").status_code == 200 for one in waiting)
    assert admin.delete(f"{V1}/users/bea").status_code == 200
    assert admin.get(f"{V1}/users/bea").status_code == 404


def test_what_is_counted_and_written_down_can_be_read(admin: httpx.Client) -> None:
    assert admin.get(f"{V1}/status").json()["mode"].startswith("monitor")
    assert admin.get(f"{V1}/services").json()["rows"]
    assert admin.get(f"{V1}/diagnostics").json()["guard"]["resident"] > 0
    me = admin.get(f"{V1}/me").json()
    assert me["permissions"] == ["act", "govern", "see"] and me["address"] == "203.0.113.200"
    admin.post(f"{V1}/bans", json={"target": "198.51.100.99"})
    newest = admin.get(f"{V1}/audit", params={"text": "198.51.100.99"}).json()["rows"][0]
    assert newest["author"] == f"user:{me['user']}@api" and newest["origin"] == "api, from 203.0.113.200"
