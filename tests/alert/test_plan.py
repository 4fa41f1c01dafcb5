"""Who is told of what, when: once, in time, and never in heaps. Over a real ledger; time is an argument."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from ringfence.alert.alerting import Alerting, load_alerting
from ringfence.alert.plan import in_hours, next_try, steps
from ringfence.ledger import Delivery, Ledger
from ringfence.model import Alert

NOW = 1_800_000_000.0
NOON = 12 * 60


class Office:
    """A ledger, the settings, and what a sender does: each message that is due is taken over or not."""

    def __init__(self, path: Path, text: str) -> None:
        self.ledger = Ledger.open(path / "ledger.db", now=NOW)
        self.use(text)
        self.sent: list[tuple[float, Delivery, list[int]]] = []

    def use(self, text: str) -> None:
        self.alerting: Alerting = load_alerting(text, "test")
        self.ledger.apply_alerting(text, author="test", now=NOW)

    def warn(self, *alerts: Alert) -> None:
        self.ledger.note_warnings(alerts, alerts[0].time)

    def plan(self, now: float, minute: int = NOON) -> None:
        ledger, last = self.ledger, self.ledger.alerting()
        assert last is not None
        open_, recipients = ledger.open_deliveries(), self.alerting.recipients
        for step in steps(
            self.alerting, ledger.told(), open_, ledger.pending, recipients, last.newest, now, minute
        ):  # fmt: skip
            if step.extends:
                assert ledger.extend_delivery(step.extends, step.services, last=step.last, total=step.total)
            else:
                ledger.add_delivery(
                    step.channel, step.recipient, step.kind, step.services, first=step.first, last=step.last,
                    total=step.total, now=now,
                )  # fmt: skip

    def work(self, now: float, *, up: bool = True, minute: int = NOON) -> None:
        """One look of the sender at `now`; without `up` the server takes nothing."""
        self.plan(now, minute)
        for one in self.ledger.open_deliveries():
            if one.state != "waiting" or one.due > now:
                continue
            if up:
                assert self.ledger.mark_delivery(one.id, now)
                told = [alert.id for alert in self.ledger.warnings_in(one, limit=100_000)]
                assert len(told) == one.total == sum(self.ledger.counts_in(one).values())
                self.ledger.end_delivery(one.id, "sent", "250 ok", now)
                self.sent.append((now, one, told))
            else:
                due = next_try(one, now, 0.0)
                if due is None:
                    self.ledger.end_delivery(one.id, "failed", "421", now)
                else:
                    self.ledger.retry_delivery(one.id, due, "421")

    def to(self, recipient: str) -> list[tuple[float, str, int]]:
        return [(now - NOW, one.kind, one.total) for now, one, _ in self.sent if one.recipient == recipient]


def alert(now: float = NOW, kind: str = "rule", service: str = "sip", *, grave: bool = False) -> Alert:
    return Alert(time=now, kind=kind, subject="192.0.2.1", service=service, grave=grave, facts={"rule": "flood"})


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path, '[mail]\nrecipients = ["a@b"]\ninterval = "10m"\n')
    yield made
    made.ledger.close()


def test_the_first_is_told_at_once_and_the_rest_gathered(office: Office) -> None:
    office.warn(alert())
    office.work(NOW)
    for second in range(1, 61):
        office.warn(*[alert(NOW + second)] * 100)
        office.work(NOW + second)
    office.work(NOW + 599)
    assert office.to("a@b") == [(0, "rule", 1)]
    office.work(NOW + 600)
    assert office.to("a@b") == [(0, "rule", 1), (600, "rule", 6000)]
    office.work(NOW + 5000)
    assert len(office.sent) == 2


def test_kinds_do_not_wait_for_each_other(office: Office) -> None:
    office.warn(alert(), alert(kind="lockdown", service="", grave=True))
    office.work(NOW)
    assert sorted(office.to("a@b")) == [(0, "lockdown", 1), (0, "rule", 1)]


def test_quiet_hours_hold_back_all_but_the_grave(office: Office) -> None:
    office.use('[mail]\nrecipients = ["a@b"]\ninterval = "none"\nquiet = "22:00-07:00"\n')
    office.warn(alert(), alert(kind="attack", grave=True))
    office.work(NOW, minute=23 * 60)
    assert office.to("a@b") == [(0, "attack", 1)]
    office.work(NOW + 60, minute=7 * 60)
    assert office.to("a@b") == [(0, "attack", 1), (60, "rule", 1)]


@pytest.mark.parametrize(("minute", "inside"), [(0, True), (419, True), (420, False), (1319, False), (1320, True)])
def test_hours_may_go_over_midnight(minute: int, inside: bool) -> None:
    assert in_hours((22 * 60, 7 * 60), minute) is inside
    assert in_hours((7 * 60, 22 * 60), minute) is not inside
    assert not in_hours(None, minute)


def test_after_an_outage_nobody_gets_a_heap(office: Office) -> None:
    """What happens while the server is down goes into the message that waits."""
    for minute in range(180):
        office.warn(alert(NOW + 60 * minute))
        office.work(NOW + 60 * minute, up=False)
    assert len(office.ledger.open_deliveries()) == 1
    for minute in range(180, 260):
        office.work(NOW + 60 * minute)
    assert [total for _, _, total in office.to("a@b")] == [180]


def test_a_message_is_given_up_after_two_days_and_that_is_a_warning_for_nobody(office: Office) -> None:
    office.warn(alert())
    for hour in range(72):
        office.work(NOW + 3600 * hour, up=False)
    (given_up,) = office.ledger.deliveries()
    assert given_up.state == "failed" and given_up.tries > 40
    assert [one.kind for one in office.ledger.warnings()] == ["delivery", "rule"]
    assert office.sent == []
    (row,) = office.ledger.statistics()
    assert (row.service, row.mails, row.unsent) == ("sip", 0, 1)


def test_who_is_new_hears_of_what_comes_and_not_of_what_was(office: Office) -> None:
    office.warn(alert())
    office.use('[mail]\nrecipients = ["a@b", "new@b"]\ninterval = "none"\n')
    office.warn(alert(NOW + 1), alert(NOW + 1))
    office.work(NOW + 1)
    assert office.to("new@b") == [(1, "rule", 2)]


def test_services_have_recipients_of_their_own(office: Office) -> None:
    office.use('[mail]\nrecipients = ["a@b"]\n[[mail_for]]\nservice = "sip"\nrecipients = ["voice@b"]\n')
    office.warn(alert(), alert(service="ssh"), alert(service="ssh"), alert(kind="policy", service=""))
    office.work(NOW)
    assert office.to("voice@b") == [(0, "rule", 1)]
    assert sorted(office.to("a@b")) == [(0, "policy", 1), (0, "rule", 2)]


def test_what_nobody_wants_to_hear_of_is_listed_counted_and_not_sent(office: Office) -> None:
    office.ledger.mute("rule", "192.0.2.1", "", NOW + 3600, author="user:ann", now=NOW)
    office.warn(alert(NOW + 1))
    office.work(NOW + 1)
    assert office.sent == [] and office.ledger.warnings()[0].muted
    assert office.ledger.statistics()[0].untold == 1
    office.warn(alert(NOW + 3601))
    office.work(NOW + 3601)
    assert office.to("a@b") == [(3601, "rule", 1)]


def test_what_was_being_handed_over_at_a_crash_is_not_sent_again(office: Office) -> None:
    office.warn(alert())
    office.plan(NOW)
    (one,) = office.ledger.open_deliveries()
    assert office.ledger.mark_delivery(one.id, NOW)
    assert not office.ledger.mark_delivery(one.id, NOW)
    assert [each.id for each in office.ledger.interrupted(NOW + 1)] == [one.id]
    office.work(NOW + 10_000)
    assert office.sent == []
    (unclear,) = office.ledger.deliveries()
    assert unclear.state == "unclear" and "may have arrived" in unclear.answer


@pytest.mark.parametrize("seed", range(12))
def test_everybody_hears_of_everything_exactly_once(tmp_path: Path, seed: int) -> None:
    """Whatever happens in whatever order: outages, intervals, quiet hours, several recipients and services."""
    chance = random.Random(seed)
    office = Office(
        tmp_path,
        f"""
        [mail]
        recipients = ["all@b"]
        interval = "{chance.choice(["none", "5m", "1h"])}"
        quiet = "{chance.choice(["", "12:00-13:00"])}"
        [[mail_for]]
        kind = "attack"
        recipients = ["all@b", "duty@b"]
        interval = "1m"
        [[mail_for]]
        to = "duty@b"
        interval = "7m"
        [[channel]]
        name = "hook"
        type = "webhook"
        url = "https://hooks.example.org"
        service = ["sip"]
        """,
    )
    wanted: Counter[tuple[str, int]] = Counter()
    now, up = NOW, True
    for _ in range(150):
        now += chance.choice([1, 20, 100, 400])
        if chance.random() < 0.1:
            up = not up
        if chance.random() < 0.5:
            kind, service = chance.choice(["rule", "attack", "full"]), chance.choice(["sip", "ssh"])
            office.warn(alert(now, kind, service, grave=kind != "rule"))
            number = office.ledger.newest_warning()
            wanted["all@b", number] = 1
            if kind == "attack":
                wanted["duty@b", number] = 1
            if service == "sip":
                wanted["hook", number] = 1
        office.work(now, up=up, minute=chance.choice([NOON + 1, NOON - 1]))
    for hour in range(1, 60):
        office.work(now + 3600 * hour, minute=NOON - 1)
    told = Counter((one.recipient or one.channel, number) for _, one, told in office.sent for number in told)
    assert told == wanted
    interval = {"all@b": office.alerting.mail.interval}
    for key in {(one.recipient, one.kind) for _, one, _ in office.sent if one.recipient}:
        times = [now for now, one, _ in office.sent if (one.recipient, one.kind) == key]
        least = 420.0 if key[0] == "duty@b" else 60.0 if key[1] == "attack" else interval[key[0]]
        assert all(later - earlier >= least for earlier, later in pairwise(times))
    office.ledger.close()
