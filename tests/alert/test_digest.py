"""A summary tells what the ledger holds, against the period before where that is known, in text, picture and JSON."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec
import pytest

from alert_examples import HOSTILE, LINK, NOW, digest, fired, week
from ringfence.alert.chart import bars
from ringfence.alert.digest import DigestNumbers, ServiceNumbers, change, numbers, spark
from ringfence.alert.harmless import columns
from ringfence.ledger import Ledger
from ringfence.model import Event, Verdict

DAY, HOUR = 86400.0, 3600.0
END = NOW // HOUR * HOUR


def failed(time: float, address: str, service: str = "ssh", account: str = "root") -> Event:
    return Event(time, address, service, account, True, "wrong password", "", True, "openssh/password", "/log", 0, "1")


def banned(time: float, address: str, service: str = "ssh") -> Verdict:
    return Verdict(
        time, "standard", service, address, address, time + 10 * DAY, ("block",), "service", 10, time
    )  # fmt: skip


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """Two days: 4 attempts of 2 addresses on the first; 6 of 3, and 2 bans, on the second."""
    found = Ledger.open(tmp_path / "ledger.db", now=END)
    before = [failed(END - 47 * HOUR + n, f"192.0.2.{n % 2}") for n in range(4)]
    ssh = [failed(END - 20 * HOUR + n, f"192.0.2.{n % 2 + 1}") for n in range(4)]
    sip = [failed(END - HOUR + n, "192.0.2.9", "sip", "100") for n in range(2)]
    late = [failed(END + 5, "192.0.2.77")]
    bans = [banned(END - 20 * HOUR, "192.0.2.1"), banned(END - HOUR, "192.0.2.9", "sip")]
    found.record([failed(END - 49 * HOUR, "192.0.2.5"), *before, *ssh, *sip, *late], bans, [], END)
    found.tally()
    return found


def test_numbers_are_those_of_the_period_and_of_the_one_before(ledger: Ledger) -> None:
    found = numbers(ledger, END - DAY + 1000, END + 1000, warnings={"rule": 2}, newest=(fired(),))
    assert (found.since, found.until, found.step) == (END - DAY, END, HOUR)
    assert (found.attempts, found.attempts_before) == (6, 4)
    assert (found.attackers, found.attackers_before) == (3, 2)
    assert (found.bans, found.bans_before) == (2, 0)
    assert found.services == (
        ServiceNumbers(service="ssh", attempts=4, attempts_before=4, bans=1, bans_before=0),
        ServiceNumbers(service="sip", attempts=2, attempts_before=0, bans=1, bans_before=0),
    )
    assert len(found.series) == 24 and sum(found.series) == 6 and found.series[4] == 4 and found.series[23] == 2
    assert dict(found.accounts)["100"] == 2
    assert found.warnings == {"rule": 2} and found.newest == (fired(),)


def test_a_reader_beside_the_guard_gets_the_same(ledger: Ledger, tmp_path: Path) -> None:
    reader = Ledger.open_reader(tmp_path / "ledger.db")
    assert numbers(reader, END - DAY, END) == numbers(ledger, END - DAY, END)


def test_what_nobody_knows_of_the_time_before_is_not_told_as_none(ledger: Ledger) -> None:
    """The ledger is two days old: of the week before nothing is known."""
    found = numbers(ledger, END - 7 * DAY, END)
    assert found.attempts == 11 and found.attempts_before is None and found.attackers_before is None
    assert len(found.series) == 28 and found.step == 6 * HOUR and sum(found.series) == 11
    text = digest(found).text
    assert "Attempts    11       -" in text


def test_an_empty_ledger_makes_a_quiet_summary(tmp_path: Path) -> None:
    found = numbers(Ledger.open(tmp_path / "ledger.db", now=END), END - DAY, END)
    assert (found.attempts, found.attackers, found.bans, found.services) == (0, 0, 0, ())
    message = digest(found)
    assert "Attempts over time: none" in message.text and "0 attempts, 0 attackers, 0 bans" in message.subject


def test_attackers_of_events_that_were_pruned_are_not_guessed(ledger: Ledger, tmp_path: Path) -> None:
    """A ledger that was full keeps its charts and drops its oldest events, here all of the first day."""
    assert ledger.attackers_in(END - 2 * DAY, END - DAY) == 2
    ledger.close()
    with sqlite3.connect(tmp_path / "ledger.db") as file:
        file.execute("DELETE FROM event WHERE id <= 5")
        file.execute("UPDATE block SET first = 6, oldest = ?", (END - 20 * HOUR,))
    file.close()
    again = Ledger.open_reader(tmp_path / "ledger.db")
    assert again.attackers_in(END - 2 * DAY, END - DAY) is None
    assert again.attackers_in(END - 20 * HOUR, END) == 3
    assert again.attackers_in(END - 9 * DAY, END - 8 * DAY) == 0
    assert numbers(again, END - DAY, END).attackers_before is None


def test_the_text_of_a_week() -> None:
    message = digest()
    assert message.subject == (
        "[ringfence pbx1] Summary of the week: 48,210 attempts, 1,204 attackers, 312 bans, 312 warnings"
    )
    assert message.text == (
        "Summary of the week\n"
        "2026-01-27 05:00 CET to 2026-02-03 05:00 CET\n"
        "\n"
        "                now  before  change\n"
        "  Attempts   48,210  39,117    +23%\n"
        "  Attackers   1,204   1,310     -8%\n"
        "  Bans          312      20     ×16\n"  # noqa: RUF001
        "\n"
        "  ▁▂▂▂▂▂▁▁▁▁▁▁▁▁▂▂▂█▁▁▁▁▁▁▁▁▁▂\n"
        "  ▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔\n"
        "  Attempts over time: at most 6,458 in six hours, from 2026-01-31 11:00\n"
        "  CET on\n"
        "\n"
        "  Service  attempts  before  change  bans\n"
        "  sip        40,100  31,000    +29%   280\n"
        "  ssh         8,002   8,117     -1%    30\n"
        "  iax           108       0             2\n"
        "\n"
        "Accounts tried most\n"
        "  100    9,120\n"
        "  root   4,011\n"
        "  admin    902\n"
        "  1001      88\n"
        "\n"
        "Warnings\n"
        "  rule fired  310\n"
        "  attack        2\n"
        "\n"
        "  2026-02-03 05:04:06 CET\n"
        "    Attack on sip is over after 40m: 9,600 attempts\n"
        "  2026-02-03 05:04:03 CET\n"
        "    203.0.113.3 banned from sip for 365d: rule flood, 100 attempts in 2m\n"
        "    10s\n"
        "\n"
        "Ringfence on pbx1\n"
        "https://pbx1.example.org:8443/\n"
    )


def test_the_picture_is_in_the_mail_and_said_in_words() -> None:
    message = digest()
    (picture,) = message.pictures
    assert picture.name == "chart" and picture.data == bars(week().series)
    assert 'src="cid:chart"' in message.html and f'alt="{picture.text}"' in message.html
    assert picture.text == "Attempts over time: at most 6,458 in six hours, from 2026-01-31 11:00 CET on"


def test_a_short_summary_fits_one_sms() -> None:
    message = digest(body="short")
    assert message.text == (
        "ringfence pbx1: Summary of the week: 48,210 attempts, 1,204 attackers, 312 bans, 312 warnings"
    )
    assert message.html == "" and message.pictures == ()


def test_hostile_accounts_and_many_services_keep_the_width() -> None:
    told = week(
        accounts=tuple((name, 10**9) for name in HOSTILE),
        services=tuple(ServiceNumbers(service=f"service-{n}" * 9, attempts=10**9, bans=10**9) for n in range(30)),
        newest=tuple(fired(detail=name, rule=name) for name in HOSTILE),
    )
    text = digest(told).text
    assert [line for line in text.splitlines() if columns(line) > 72 and line != LINK] == []
    assert "and 15 more" in text


@pytest.mark.parametrize(
    ("now", "before", "words"),
    [(125, 100, "+25%"), (97, 100, "-3%"), (100, 100, "="), (1200, 100, "×12"), (5, 0, ""),  # noqa: RUF001
     (0, 0, "="), (5, None, ""), (None, 5, ""), (0, 5, "-100%")],
)  # fmt: skip
def test_a_change_is_told_so_that_it_is_understood(now: int | None, before: int | None, words: str) -> None:
    assert change(now, before) == words


def test_the_line_of_blocks_is_as_high_as_the_numbers() -> None:
    assert spark([0, 1, 4, 8]) == " ▁▄█"
    assert len(spark(range(168))) <= 60
    assert spark([]) == ""


def test_programs_get_the_numbers() -> None:
    facts = digest().facts
    assert msgspec.json.decode(msgspec.json.encode(facts)) == facts
    assert facts["version"] == 1 and facts["kind"] == "digest" and facts["attempts_before"] == 39_117
    assert facts["since"] == "2026-01-27T04:00:00Z" and facts["services"][0]["service"] == "sip"


def test_a_day_and_any_other_time_have_their_own_names() -> None:
    day = DigestNumbers(since=END - DAY, until=END, series=(1,) * 24)
    assert "Summary of the day" in digest(day).subject
    assert "Summary:" in digest(DigestNumbers(since=END - 3 * DAY, until=END)).subject
