"""What the API says of itself is so: a generator of requests finds no fault of ours and no answer that is not written.

Schemathesis makes requests from the description, good ones and bad ones, for every operation, and sends them with a
token that may do everything. So that they do not all end at "there is no such thing", half of the addresses, numbers,
names and policies in them are ones that there are. Left out is only what would end the test itself: the stream of
events, which never ends, and taking away the very user and token that ask.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from guard_process import GuardProcess, failures, running
from ringfence.people_answers import NewToken
from ringfence.settings import load_settings
from warning_examples import SETTINGS, tell
from web_site import Site, free_port

CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_headers_conformance,
    response_schema_conformance,
]  # fmt: skip
EXAMPLES = 12
ADDRESSES = ("198.51.100.1", "198.51.100.2", "2001:db8::7", "192.0.2.0/24", "203.0.113.77")
POLICY = '[rules.standard]\nfailures = {}\nwithin = "1h"\nban = "2h"\n'


def real(site: Site) -> dict[str, tuple[Any, ...]]:
    """What there is, by the name of the field that may hold it."""
    client = site.token()
    bans = [client.post("/api/v1/bans", json={"target": one, "trial_seconds": 0}) for one in ADDRESSES[:2]]
    numbers = tuple(answer.json()["ban"]["id"] for answer in bans)
    tell(site, SETTINGS)
    client.post("/api/v1/warnings/test", json={})
    for kind in ("rule", "full"):
        client.post("/api/v1/warnings/mutes", json={"kind": kind, "seconds": 3600})
    site.guard.write(failures(ADDRESSES[0], 3))
    site.guard.wait_for(lambda: client.get(f"/api/v1/attacks/{ADDRESSES[0]}/events").json()["rows"], "no attack seen")
    return {
        "target": ADDRESSES, "address": ADDRESSES, "network": ("198.51.100.0/24", ""), "service": ("", "*", "sip"),
        "number": (1, 2, *numbers), "revision": (1, 2), "ids": ([*numbers], [1]), "cursor": ("",),
        "seconds": (60, None),
        "text": (POLICY.format(5), POLICY.format(2), POLICY), "name": (site.user("viewer"), "sip", "ftp"),
        "user": (site.user("operator"),), "services": (["sip"], []), "trial_seconds": (0, 1, None),
        "account": ("100", ""), "accounts": (["100"],), "since": ("2026-01-01T00:00:00Z",),
        "kind": ("rule", "lockdown"), "recipient": ("somebody@example.org", ""), "channel": ("mail", "hook"),
    }  # fmt: skip


def half(known: dict[str, tuple[Any, ...]], values: Any) -> Any:
    """The same values, half of those whose name is known replaced by one that there is; the same every time."""
    if isinstance(values, list):
        return [half(known, one) for one in values]
    if not isinstance(values, dict):
        return values
    found = dict(values)
    for name, value in values.items():
        mark = zlib.crc32(repr((name, sorted(map(repr, values.items())))).encode("utf-8", "replace"))
        if name in known and mark % 2:
            found[name] = known[name][mark // 2 % len(known[name])]
        elif isinstance(value, list):
            found[name] = half(known, value)
    return found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A page and a guard of their own: what is sent here changes policy, whitelist and users as it comes."""
    text = '[web]\nstart = false\nlisten = "127.0.0.1:8470"\nproxies = ["127.0.0.1"]\n'
    with running(GuardProcess(tmp_path_factory.mktemp("schema"), settings=text)) as guard:
        found = Site(guard, free_port(load_settings(Path(guard.config), {}, is_root=True)))
        try:
            yield found
        finally:
            found.stop()


@pytest.fixture(scope="module")
def api_schema(site: Site) -> Iterator[Any]:
    """The description as the server tells it, with the token in every request."""
    client = site.token()
    me = client.get("/api/v1/me").json()
    reporter = site.guard.ask(NewToken, "add_token", user=me["user"], label="x", scope="report", service="sip")
    headers = {"authorization": client.headers["authorization"], "x-forwarded-for": "203.0.113.77"}
    schema = schemathesis.openapi.from_url(f"{site.base}/api/v1/openapi.json", headers=headers)
    schema.config.headers = headers
    known = real(site)

    @schema.hook
    def map_case(context: Any, case: Any) -> Any:
        path = half(known, case.path_parameters)
        own = path and {str(value).lower() for value in path.values()} & {
            str(me["token"]),
            str(reporter.id),
            me["user"],
        }
        if own and case.operation.path.startswith(("/api/v1/tokens", "/api/v1/users")):
            path = dict.fromkeys(path, "999999")
        case.path_parameters = path
        case.query = half(known, case.query)
        case.body = half(known, case.body)
        if case.operation.label == "POST /api/v1/events":
            case.headers = {**(case.headers or {}), "authorization": f"Bearer {reporter.secret}"}
        return case

    yield schema


def trouble_with(operation: Any, seen: Counter[int]) -> str:
    """What is wrong with the answers of one operation, empty for nothing; `seen` counts the answers by status."""
    # 503 of /healthz is what it is there for; of all others it would be a fault.
    checks = [one for one in CHECKS if one is not not_a_server_error or operation.path != "/healthz"]

    @given(case=operation.as_strategy())
    @settings(
        max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck), report_multiple_bugs=False,
    )  # fmt: skip
    def ask(case: Any) -> None:
        answer = case.call_and_validate(checks=checks, timeout=20)
        seen[answer.status_code] += 1

    try:
        ask()
    except (Exception, BaseExceptionGroup) as error:  # whatever it is, the other operations are to be asked, too
        return f"{operation.label}: {error}"
    return ""


def test_no_operation_has_a_fault_or_an_answer_that_is_not_written(api_schema: Any, site: Site) -> None:
    operations = [found.ok() for found in api_schema.get_all_operations()]
    asked = [one for one in operations if one.path != "/api/v1/events/stream"]
    assert len(asked) == len(operations) - 1 > 50
    seen: dict[str, Counter[int]] = {one.label: Counter() for one in asked}
    troubles = [trouble for one in asked if (trouble := trouble_with(one, seen[one.label]))]
    assert not troubles, "\n\n".join(troubles)
    total = sum(seen.values(), Counter())
    print(*(f"{label}: {dict(counts)}" for label, counts in seen.items()), sep="\n")
    assert not {401, 403, 429} & total.keys(), "the tokens stopped to hold"
    fruitless = [label for label, counts in seen.items() if not {200, 201, 202} & counts.keys()]
    assert len(fruitless) < 15, fruitless
    assert total[400] > 50, "bad requests were made, too"
    assert "failed unexpectedly" not in site.guard.output
