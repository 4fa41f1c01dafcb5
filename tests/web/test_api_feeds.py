"""What programs fetch and hear: lists of bans, numbers, health, the stream of events; and what applications report."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from guard_process import failures
from ringfence.ledger.feeds import Barred
from ringfence.people_answers import NewToken
from ringfence.web.feeding import Feeds, matches
from web_site import Site, lines_of

V1 = "/api/v1"


@pytest.fixture(scope="module")
def admin(site: Site) -> Iterator[httpx.Client]:
    """A program that may do everything."""
    with site.token() as client:
        yield client


@pytest.fixture(scope="module")
def reader(site: Site) -> Iterator[httpx.Client]:
    """A program that reads."""
    with site.token("viewer", "read") as client:
        yield client


def report(client: httpx.Client, key: str = "", **event: Any) -> httpx.Response:
    headers = {"idempotency-key": key} if key else {}
    told = {"outcome": "failed", "address": "198.51.100.150", "account": "100", **event}
    return client.post(f"{V1}/events", json={"events": [told]}, headers=headers)


# ---- lists of bans


def test_the_list_of_bans_is_sent_again_only_when_it_changed(admin: httpx.Client, reader: httpx.Client) -> None:
    number = admin.post(f"{V1}/bans", json={"target": "198.51.100.160", "service": "sip"}).json()["ban"]["id"]
    first = reader.get("/feed/bans.txt")
    tag = first.headers["etag"]
    assert "198.51.100.160" in first.text.splitlines() and first.headers["content-type"].startswith("text/plain")
    again = reader.get("/feed/bans.txt", headers={"if-none-match": tag})
    assert again.status_code == 304 and again.content == b"" and again.headers["etag"] == tag
    admin.delete(f"{V1}/bans/{number}")
    changed = reader.get("/feed/bans.txt", headers={"if-none-match": tag})
    assert changed.status_code == 200 and "198.51.100.160" not in changed.text.splitlines()


def test_the_list_of_one_service_holds_its_bans_and_those_of_all(admin: httpx.Client, reader: httpx.Client) -> None:
    for target, service in (("198.51.100.161", "smtp"), ("198.51.100.162", "*"), ("198.51.100.163", "sip")):
        admin.post(f"{V1}/bans", json={"target": target, "service": service, "seconds": 600})
    listed = reader.get("/feed/bans.json", params={"service": "smtp"}).json()
    found = {row["target"]: row["service"] for row in listed["bans"]}
    assert found["198.51.100.161"] == "smtp" and found["198.51.100.162"] == "*" and "198.51.100.163" not in found
    plain = reader.get("/feed/bans.json", params={"service": "smtp"}, headers={"accept-encoding": "identity"})
    assert plain.json() == listed and "content-encoding" not in plain.headers
    missing = reader.get("/feed/bans.txt", params={"service": "smtpp"})
    assert missing.status_code == 404, "an empty list would open another firewall"


def test_an_entity_tag_is_compared_as_http_says() -> None:
    assert matches('"a"', '"a"') and matches('W/"a"', '"a"') and matches('"b", "a"', '"a"') and matches("*", '"a"')
    assert not matches('"b"', '"a"') and not matches("", '"a"') and not matches("a", '"a"')


def test_a_hundred_thousand_bans_are_written_once_for_everybody() -> None:
    class Ledger:
        asked = 0

        def versions(self) -> Any:
            return type("Versions", (), {"bans": 1})

        def barred(self, now: float, service: str) -> Iterator[Barred]:
            Ledger.asked += 1
            return (Barred(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", "sip", 9e9) for n in range(100_000))

    readers: Any = type("Readers", (), {"ledger": lambda self: Ledger()})()
    feeds = Feeds(readers, lambda: 1000.0)
    first = feeds.get("txt")
    begun = time.perf_counter()
    assert all(feeds.get("txt") is first for _ in range(100)) and Ledger.asked == 1
    assert time.perf_counter() - begun < 0.1
    assert b"".join(first.pieces()).count(b"\n") == 100_000 and len(first.packed) < 500_000


# ---- health and numbers


def test_health_is_told_to_anybody_and_its_details_only_to_who_may_see_them(site: Site, reader: httpx.Client) -> None:
    with site.client() as nobody:
        told = nobody.get("/healthz")
        assert told.status_code == 503 and told.json()["status"] == "not guarded" and told.json()["problems"] >= 1
        assert "details" not in told.json()
    assert any("monitor" in line for line in reader.get("/healthz").json()["details"])


def test_prometheus_gets_what_the_ledger_the_guard_and_the_page_count(site: Site, reader: httpx.Client) -> None:
    site.guard.write(failures("198.51.100.170", 6))
    site.guard.wait_for(
        lambda: reader.get(f"{V1}/bans", params={"target": "198.51.100.170"}).json()["rows"], "no ban was made"
    )
    answer = reader.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    from prometheus_client.parser import text_string_to_metric_families

    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    values = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in families.values()
        for sample in family.samples
    }  # fmt: skip
    assert values["ringfence_attempts_total", ("service", "sip")] >= 6
    assert values["ringfence_bans_total", ("rule", "standard"), ("service", "sip")] >= 1
    assert values["ringfence_guard_up",] == 1 and values["ringfence_guarded",] == 0
    assert families["ringfence_enforcement_seconds"].type == "histogram"
    assert any(name[0] == "ringfence_source_lag_bytes" for name in values)
    assert values["ringfence_queue_length", ("queue", "bans")] >= 0
    assert values["ringfence_web_seconds_count", ("kind", "api")] >= 1
    assert values["ringfence_web_resident_bytes",] > 1_000_000


# ---- what applications report


def test_a_report_counts_once_for_the_service_of_its_token(site: Site, reader: httpx.Client) -> None:
    with (
        site.token("operator", "report", service="smtp") as program,
        site.token(scope="report", service="sip") as other,
    ):
        first = report(program, "key-1").json()
        assert first == {"accepted": 1, "repeated": False, "refused": []}
        assert report(program, "key-1").json() == {"accepted": 1, "repeated": True, "refused": []}
        assert report(other, "key-1").json()["repeated"] is False, "keys of other tokens are others"
        rows = reader.get(f"{V1}/attacks/198.51.100.150/events").json()["rows"]
        assert sorted(row["service"] for row in rows) == ["sip", "smtp"]
        assert report(program, service="ssh").status_code == 400, "another service can't be named"
        assert program.get(f"{V1}/events").status_code == 403


def test_of_a_batch_what_can_not_be_used_is_told_and_the_rest_is_taken(site: Site) -> None:
    with site.token("operator", "report", service="imap") as program:
        good = {"outcome": "failed", "address": "198.51.100.151"}
        batch = [good, good | {"address": "localhost"}, good | {"time": 1.0}, good | {"account": "\x1b[31m<b>" * 200}]
        answer = program.post(f"{V1}/events", json={"events": batch}).json()
        assert answer["accepted"] == 2 and [line.partition(":")[0] for line in answer["refused"]] == [
            "event 1",
            "event 2",
        ]
        assert program.post(f"{V1}/events", json={"events": [good] * 1001}).status_code == 400
        assert program.post(f"{V1}/events", json={"events": [good] * 1000}).json()["accepted"] == 1000
        assert program.post(f"{V1}/events", json={"events": []}).status_code == 400


# ---- the stream of events


def blocks(answer: httpx.Response, count: int) -> list[dict[str, str]]:
    """The next `count` events of a stream, comments left out."""
    found: list[dict[str, str]] = []
    fields: dict[str, str] = {}
    for line in lines_of(answer):
        if line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value
        elif not line and "data" in fields:
            found.append(fields)
            fields = {}
            if len(found) == count:
                return found
        elif not line:
            fields = {}
    return found


def test_a_stream_goes_on_after_the_event_that_was_seen_last(site: Site, reader: httpx.Client) -> None:
    with site.token("operator", "report", service="pop3") as program:
        report(program, address="198.51.100.179")
        newest = reader.get(f"{V1}/events", params={"limit": 1}).json()["rows"][0]["id"]
        for n in range(4):
            report(program, address=f"198.51.100.{180 + n}")
        query, known = {"service": "pop3"}, {"last-event-id": str(newest)}
        with reader.stream("GET", f"{V1}/events/stream", params=query, headers=known) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            first = blocks(answer, 2)
        assert [json.loads(one["data"])["address"] for one in first] == ["198.51.100.180", "198.51.100.181"]
        with reader.stream(
            "GET", f"{V1}/events/stream", params=query, headers={"last-event-id": first[-1]["id"]}
        ) as answer:
            rest = blocks(answer, 2)
            assert [json.loads(one["data"])["address"] for one in rest] == ["198.51.100.182", "198.51.100.183"]


def test_what_happens_while_a_stream_is_open_comes_by_itself(site: Site, reader: httpx.Client) -> None:
    with site.token("operator", "report", service="ssh") as program:
        with reader.stream("GET", f"{V1}/events/stream", params={"service": "ssh"}) as answer:
            lines = lines_of(answer)
            assert next(lines).startswith("retry")
            site.guard.wait_for(lambda: site.web.live.streams, "the stream is not open")
            report(program, address="198.51.100.190", account="<script>\x1b")
            told = next(line for line in lines if line.startswith("data"))
        assert json.loads(told.partition(": ")[2])["account"] == "<script>\x1b"


def test_a_stream_ends_when_its_token_is_revoked(site: Site) -> None:
    with site.token("viewer", "read") as client:
        number = client.get(f"{V1}/me").json()["token"]
        with client.stream("GET", f"{V1}/events/stream") as answer:
            lines = lines_of(answer)
            next(lines)
            site.guard.ask(dict, "revoke_token", id=number)
            assert any(line == "event: ended" for line in lines)


# ---- account holders


def test_account_holders_get_what_concerns_their_accounts_and_nothing_else(site: Site, admin: httpx.Client) -> None:
    name = site.user("holder", accounts=["4711"])
    made = site.guard.ask(NewToken, "add_token", user=name, label="x", scope="read")
    with site.token("operator", "report", service="sip") as program, site.client() as holder:
        holder.headers["authorization"] = f"Bearer {made.secret}"
        newest = admin.get(f"{V1}/events", params={"limit": 1}).json()["rows"][0]["id"]
        report(program, address="198.51.100.200", account="sip:4711@pbx.example")
        report(program, address="198.51.100.201", account="4712")
        admin.post(f"{V1}/bans", json={"target": "198.51.100.200", "seconds": 600, "note": "secret"})
        admin.post(f"{V1}/bans", json={"target": "198.51.100.201", "seconds": 600})
        assert [row["address"] for row in holder.get(f"{V1}/events").json()["rows"]] == ["198.51.100.200"]
        bans = holder.get(f"{V1}/bans").json()["rows"]
        assert [(row["target"], row["note"], row["author"]) for row in bans] == [("198.51.100.200", "", "")]
        for path in ("attacks", "attacks/198.51.100.200", f"bans/{bans[0]['id']}", "audit", "whitelist", "policy"):
            assert holder.get(f"{V1}/{path}").status_code == 403
        assert holder.get(f"{V1}/events", params={"address": "198.51.100.201"}).status_code == 400
        with holder.stream("GET", f"{V1}/events/stream", headers={"last-event-id": str(newest)}) as answer:
            report(program, address="198.51.100.202", account="4711")
            found = [json.loads(one["data"])["address"] for one in blocks(answer, 2)]
        assert found == ["198.51.100.200", "198.51.100.202"]
