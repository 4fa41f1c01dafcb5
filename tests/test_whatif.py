"""What if: the answer is what two guards would have done, it comes quickly, and nobody is left running behind it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence.detect.allow import AllowList
from ringfence.detect.detector import Detector
from ringfence.errors import RingfenceError, SettingsError
from ringfence.ledger import Ledger
from ringfence.model import EVERY, FOREVER, AllowEntry, Event
from ringfence.policy import default_policy_text, load_policy
from ringfence.policy_draft import add_rule, set_rule, set_whitelist
from ringfence.whatif import Entry, Job, Result, Row, what_if
from ringfence.whatif_judging import Plan, compare, merged
from ringfence.whatif_replaying import judge

NOW = 1_800_000_000.0
DEFAULT = default_policy_text({})
SMALL = """
[rules.few]
failures = 3
within = "10m"
ban = "10m"
causes = ["!probe"]
[rules.again]
bans = 2
within = "1d"
ban = "1d"
"""


def event(
    time: float,
    address: str,
    *,
    service: str = "ssh",
    account: str = "root",
    failed: bool = True,
    cause: str = "password",
) -> Event:
    cause = cause if failed else ""
    return Event(NOW - 86_400 + time, address, service, account, failed, cause, "", True, "a/b", "log", 1, "s")


def job(folder: Path, events: Sequence[Event], before: str, after: str, **more: object) -> Job:
    """A ledger that holds `events`, and the question."""
    path = folder / "ledger.db"
    ledger = Ledger.open(path, now=NOW)
    for begin in range(0, len(events), 50):
        ledger.record(events[begin : begin + 50], [], [], NOW)
    ledger.close()
    return Job(ledger=str(path), before=before, after=after, days=2, now=NOW, **more)  # type: ignore[arg-type]


def asked(job: Job) -> Result:
    """Without processes."""
    plan = Plan(job)
    tasks = plan.tasks()
    return compare(plan, merged(tasks, [judge(plan, task) for task in tasks]))


def naive(job: Job, events: Sequence[Event], text: str) -> dict[tuple[str, str], tuple[object, ...]]:
    """Everything judged, nothing left out: the first ban of each, by which rule, since when, until when, by whom."""
    policy = load_policy(text)
    fixed = [AllowEntry(target=target) for target in policy.whitelist]
    detector = Detector(policy, AllowList([*fixed, *(entry.allowed() for entry in job.whitelist)]))
    bans: dict[tuple[str, str], tuple[object, ...]] = {}
    for each in detector.feed([each for each in events if each.time >= job.now - job.days * 86_400]):
        if "block" in each.actions:
            pair = (each.target, EVERY if each.scope == "all" else each.service)
            bans.setdefault(pair, (each.rule, each.time, each.until, each.address))
    return bans


WIDE = "[limits]\nipv4_network = 16\nipv6_network = 48\n"
ALONE = "[limits]\nipv4_network = 32\nipv6_prefix = 128\n"
ADDRESSES = ["192.0.2.1", "192.0.2.2", "198.51.100.7", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"]
CHANGES: list[tuple[str, str, dict[str, str | None]]] = [
    ("few", EVERY, {"failures": "2"}),
    ("few", "ssh", {"failures": "4"}),
    ("few", "sip", {"ban": "1d"}),
    ("few", "ssh", {"scope": "all"}),
    ("few", "sip", {"scope": "all", "failures": "5"}),
    ("few", "imap", {"per": "network"}),
    ("few", EVERY, {"per": "network", "failures": "5"}),
    ("few", "imap", {"per": "account"}),
    ("few", "sip", {"causes": ""}),
    ("few", "ssh", {"count": "accounts"}),
    ("few", "ssh", {"actions": "mail"}),
    ("again", EVERY, {"bans": "1"}),
    ("again", "ssh", {"scope": "all"}),
    ("again", "imap", {"enabled": "no"}),
]
events_of_an_attack = st.lists(
    st.builds(
        event,
        st.integers(-90_000, 80_000).map(float) | st.integers(0, 2_000).map(float) | st.integers(0, 400).map(float),
        st.sampled_from([*ADDRESSES, *ADDRESSES[:1] * 4]),
        service=st.sampled_from(["ssh", "sip", "imap"]),
        account=st.sampled_from(["root", "anna", ""]),
        failed=st.sampled_from([True, True, True, True, False]),
        cause=st.sampled_from(["password", "probe"]),
    ),
    min_size=20,
    max_size=120,
)
whitelists = st.lists(
    st.builds(
        Entry,
        target=st.sampled_from(["192.0.2.1", "192.0.2.0/24", "2001:db8::1", "2001:db8::/32"]),
        service=st.sampled_from([EVERY, "ssh"]),
        expires=st.sampled_from([None, NOW - 85_000]),
    ),
    max_size=1,
).map(tuple)


@settings(max_examples=200, deadline=None)
@given(
    events_of_an_attack,
    st.lists(st.sampled_from(CHANGES), max_size=2),
    st.lists(st.sampled_from(CHANGES), min_size=1, max_size=2),
    whitelists,
    st.sampled_from([[], ["198.51.100.7"]]),
    st.sampled_from([("", ""), ("", ""), (WIDE, WIDE), ("", WIDE), ("", ALONE), (ALONE, ALONE)]),
)
def test_the_answer_is_what_two_detectors_say_about_all_events(
    events: list[Event],
    earlier: list[tuple[str, str, dict[str, str | None]]],
    change: list[tuple[str, str, dict[str, str | None]]],
    whitelist: tuple[Entry, ...],
    listed: list[str],
    limits: tuple[str, str],
) -> None:
    before = SMALL
    try:
        for rule, service, values in earlier:
            before = set_rule(before, rule, service, values)
        after = before
        for rule, service, values in change:
            after = set_rule(after, rule, service, values)
        before, after = before + limits[0], set_whitelist(after, listed) + limits[1]
    except SettingsError:
        return  # combinations that no policy may have
    with tempfile.TemporaryDirectory() as folder:
        question = job(Path(folder), events, before, after, whitelist=whitelist)
        answer = asked(question)
    old, new = naive(question, events, before), naive(question, events, after)
    assert told(answer.added) == {pair: new[pair] for pair in new.keys() - old.keys()}
    assert told(answer.removed) == {pair: old[pair] for pair in old.keys() - new.keys()}
    assert answer.added_total == len(answer.added)
    assert answer.removed_total == len(answer.removed)


def told(rows: Sequence[Row]) -> dict[tuple[str, str], tuple[object, ...]]:
    """Rows as `naive` has them."""
    return {(row.target, row.service): (row.rule, row.since, row.until, row.address) for row in rows}


BY_NETWORK = set_rule(SMALL, "few", "imap", {"per": "network"})


@pytest.mark.parametrize(
    ("addresses", "before", "after", "more", "fewer"),
    [
        pytest.param(
            ["2001:db8::1", "2001:db8:0:0:1::1", "2001:db8::8000:0:0:1"], SMALL, BY_NETWORK, set(), set(),
            id="an-address-is-its-whole-network-however-it-is-written",
        ),
        pytest.param(
            ["2001:db8::1", "2001:db8:0:1::1", "2001:db8:0:2::1"], BY_NETWORK, BY_NETWORK + WIDE,
            {"2001:db8::/48"}, set(), id="networks-grow",
        ),
        pytest.param(
            ["2001:db8::1", "2001:db8:0:1::1", "2001:db8:0:2::1"], BY_NETWORK + WIDE, BY_NETWORK,
            set(), {"2001:db8::/48"}, id="networks-shrink",
        ),
        pytest.param(
            ["2001:db8::1", "2001:db8::2", "2001:db8::3"], SMALL + ALONE, BY_NETWORK, {"2001:db8::/64"}, set(),
            id="addresses-become-networks",
        ),
        pytest.param(
            ["192.0.2.1", "192.0.2.2", "192.0.2.3"], BY_NETWORK + ALONE, BY_NETWORK + WIDE, {"192.0.0.0/16"}, set(),
            id="a-network-of-one-address-becomes-a-large-one",
        ),
    ],
)  # fmt: skip
def test_what_counts_together_is_each_policys_own(
    tmp_path: Path, addresses: list[str], before: str, after: str, more: set[str], fewer: set[str]
) -> None:
    tries = [event(float(time), address, service="imap") for time, address in enumerate(addresses)]
    question = job(tmp_path, tries, before, after)
    answer = asked(question)
    assert ({row.target for row in answer.added}, {row.target for row in answer.removed}) == (more, fewer)
    old, new = naive(question, tries, before), naive(question, tries, after)
    assert told(answer.added) == {pair: new[pair] for pair in new.keys() - old.keys()}
    assert told(answer.removed) == {pair: old[pair] for pair in old.keys() - new.keys()}


@pytest.mark.parametrize(("closing", "later"), [("ssh", "sip"), ("sip", "ssh")])
def test_a_ban_of_everything_stands_in_the_way_of_later_ones(tmp_path: Path, closing: str, later: str) -> None:
    """What one service's rule closed for a day needs no ban of another service, in whatever order these are judged."""
    before = set_rule(SMALL, "few", closing, {"scope": "all", "ban": "1d"})
    after = set_rule(before, "few", later, {"failures": "2"})
    tries = [event(time, "192.0.2.1", service=closing) for time in range(5)]
    tries += [event(100 + time, "192.0.2.1", service=later) for time in range(2)]
    tries += [event(200 + time, "192.0.2.2", service=later) for time in range(2)]
    question = job(tmp_path, tries, before, after)
    answer = asked(question)
    assert set(naive(question, tries, after)) == {("192.0.2.1", EVERY), ("192.0.2.2", later)}
    assert [(row.target, row.service) for row in answer.added] == [("192.0.2.2", later)]
    assert answer.removed == ()


def test_each_row_tells_who_it_was_and_whether_they_also_logged_in(tmp_path: Path) -> None:
    tries = [event(time, "192.0.2.1", account=f"user{time // 4}") for time in range(8)]
    tries += [event(20.0, "192.0.2.1", failed=False, service="imap"), event(10.0, "192.0.2.1", failed=False)]
    tries += [event(30.0 + time, "198.51.100.7", account="") for time in range(6)]
    tries += [event(40.0, "198.51.100.9")]
    answer = asked(job(tmp_path, tries, DEFAULT, set_rule(DEFAULT, "standard", "ssh", {"failures": "5"})))
    assert (answer.services, answer.before, answer.after, answer.removed) == (("ssh",), 0, 2, ())
    first, second = answer.added
    assert (first.target, first.service, first.rule, first.attempts) == ("192.0.2.1", "ssh", "standard", 8)
    assert (first.succeeded, first.success, first.accounts) == (True, NOW - 86_400 + 20, ("user0", "user1"))
    assert (first.since, first.until) == (NOW - 86_400 + 4, NOW - 86_400 + 604)
    assert (second.target, second.succeeded, second.success, second.accounts) == ("198.51.100.7", False, None, ())
    assert (answer.added_total, answer.added_succeeded) == (2, 1)


def test_a_network_is_told_with_all_that_came_from_within(tmp_path: Path) -> None:
    values = {"failures": "4", "within": "1m", "ban": "forever", "per": "network", "scope": "all"}
    tries = [event(time, f"192.0.2.{time}", account="a") for time in range(1, 6)]
    tries += [event(9.0, "192.0.2.99", failed=False), event(9.0, "2001:db8::1", failed=False)]
    tries += [event(10.0 + time, f"2001:db8::{time}", service="sip") for time in range(1, 5)]
    answer = asked(job(tmp_path, tries, DEFAULT, add_rule(DEFAULT, "street", values)))
    told = [(row.target, row.service, row.attempts, row.success, row.until) for row in answer.added]
    success = NOW - 86_400 + 9
    assert sorted(told) == [("192.0.2.0/24", EVERY, 5, success, None), ("2001:db8::/64", EVERY, 4, success, None)]


def test_a_harmless_guess_is_told_beside_the_whitelist(tmp_path: Path) -> None:
    """An entry by command protects in both; one that the policy in force has protects only as long as it has it."""
    tries = [event(time, address) for time in range(12) for address in ("192.0.2.1", "192.0.2.2")]
    entries = msgspec.json.decode(
        msgspec.json.encode([AllowEntry(target="192.0.2.1", author="policy"), AllowEntry(target="192.0.2.2")]),
        type=tuple[Entry, ...],
    )
    assert entries[0].allowed().expires == FOREVER
    answer = asked(job(tmp_path, tries, set_whitelist(DEFAULT, ["192.0.2.1"]), DEFAULT, whitelist=entries))
    assert [row.target for row in answer.added] == ["192.0.2.1"]


def test_an_event_that_is_older_than_the_period_does_not_count(tmp_path: Path) -> None:
    tries = [event(-200_000 + time, "192.0.2.1") for time in range(40)]
    assert asked(job(tmp_path, tries, DEFAULT, set_rule(DEFAULT, "standard", "ssh", {"failures": "5"}))).events == 0


def test_thousands_of_rows_are_counted_and_the_first_are_told(tmp_path: Path) -> None:
    tries = [event(time, f"10.0.{number // 250}.{number % 250 + 1}") for number in range(1_200) for time in range(3)]
    tries.append(event(5.0, "10.0.0.1", failed=False))
    answer = asked(job(tmp_path, tries, DEFAULT, set_rule(DEFAULT, "standard", "ssh", {"failures": "3"})))
    assert (answer.added_total, len(answer.added), answer.added[0].target) == (1_200, 1_000, "10.0.0.1")


# The process


def started(question: Job | str, *, line: bool = True) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-m", "ringfence.whatif"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    text = question.encode() if isinstance(question, str) else msgspec.json.encode(question)
    process.stdin.write(text + (b"\n" if line else b""))
    process.stdin.flush()
    if not line:
        process.stdin.close()
        process.stdin = None
    return process


def test_the_process_tells_how_far_it_is_and_then_the_answer(tmp_path: Path) -> None:
    tries = [event(time, "192.0.2.1") for time in range(8)]
    question = job(tmp_path, tries, DEFAULT, set_rule(DEFAULT, "standard", "ssh", {"failures": "5"}))
    for line in (True, False):
        with started(question, line=line) as process:
            assert process.stdout is not None and process.stderr is not None
            lines = [json.loads(each) for each in process.stdout]
            assert process.stderr.read() == b""
        assert process.returncode == 0
        assert lines[0] == {"progress": 0.0}
        assert lines[-2] == {"progress": 1.0}
        told = msgspec.convert(lines[-1]["result"], Result)
        assert [row.target for row in told.added] == ["192.0.2.1"]
        assert told == what_if(question)


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"days": 31}, "days = 31: must be from 1 to 30"),
        ({"after": "[rules.a]\nfailures = 3"}, "the policy after: \\[rules.a\\] within: is missing"),
        ({"ledger": "/nowhere/ledger.db"}, "there is no ledger"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(tmp_path: Path, change: dict[str, object], wrong: str) -> None:
    question = msgspec.structs.replace(job(tmp_path, [], DEFAULT, DEFAULT), **change)
    with started(question) as process:
        assert process.stdout is not None
        last = json.loads(process.stdout.readlines()[-1])
    assert process.returncode == 1
    with pytest.raises(RingfenceError, match=wrong):
        raise RingfenceError(last["error"])


def test_what_is_no_job_is_said(tmp_path: Path) -> None:
    with started('{"days": 3}') as process:
        assert process.stdout is not None
        assert "this is no job" in json.loads(process.stdout.read())["error"]


@pytest.mark.parametrize("way", ["input", "output", "signal"])
def test_nothing_is_left_running_when_nobody_waits_any_more(tmp_path: Path, way: str) -> None:
    tries = [event(time / 100, f"10.0.{time % 200}.1") for time in range(20_000)]
    question = job(tmp_path, tries, DEFAULT, set_rule(DEFAULT, "standard", EVERY, {"failures": "2"}))
    process = started(question)
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    group = children(process.pid)
    if way == "input":
        process.stdin.close()
        process.stdin = None
    elif way == "output":
        process.stdout.close()
    else:
        process.send_signal(signal.SIGTERM)
    assert process.wait(30) in (0, 2) if way != "signal" else process.wait(30) == 2
    assert process.stderr.read() == b""
    assert [pid for pid in group if Path(f"/proc/{pid}").exists()] == []
    process.stdout.close()
    process.stderr.close()
    if process.stdin is not None:
        process.stdin.close()


def children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def test_it_runs_at_low_priority_and_never_writes(tmp_path: Path) -> None:
    question = job(tmp_path, [event(1.0, "192.0.2.1")], DEFAULT, DEFAULT)
    before = (tmp_path / "ledger.db").read_bytes()
    program = "import os, ringfence.whatif as w; w.main(); print(os.nice(0))"
    done = subprocess.run(
        [sys.executable, "-c", program], input=msgspec.json.encode(question), stdout=subprocess.PIPE, check=True
    )
    assert done.stdout.splitlines()[-1] == str(min(19, os.nice(0) + 10)).encode()
    assert (tmp_path / "ledger.db").read_bytes() == before
