"""What is said about a log that falls silent or changes its form."""

from __future__ import annotations

from ringfence.heard import SILENCE, Heard
from ringfence.model import Event, Position
from ringfence.sense.chunk import Chunk

HOUR = 3600.0


def chunk(at: float, text: str = "x\n", *, live: bool = True) -> Chunk:
    return Chunk("auth.log", text.encode(), 1, Position(source="auth.log"), live, at)


def heard(*times: float, live: bool = True) -> Heard:
    one = Heard("auth.log")
    for count, at in enumerate(times, 1):
        one.take(chunk(at, live=live), (), count)
    return one


def test_a_log_that_spoke_every_ten_minutes_is_missed_after_an_hour() -> None:
    one = heard(*(at * 600.0 for at in range(1, 20)))
    last = 19 * 600.0
    assert one.notices(last + SILENCE - 1) == []
    (notice,) = one.notices(last + SILENCE)
    assert notice.startswith("auth.log: silent for 1h, never before for longer than 10m")


def test_a_log_that_is_silent_at_night_is_not_missed_at_night() -> None:
    one = heard(8 * HOUR, 12 * HOUR, 18 * HOUR, 32 * HOUR, 40 * HOUR)
    assert one.notices(40 * HOUR + 3 * 14 * HOUR) == []
    assert one.notices(40 * HOUR + 3 * 14 * HOUR + 1)


def test_a_log_that_has_hardly_spoken_is_not_missed() -> None:
    assert heard(10.0).notices(1e6) == []
    assert heard(10.0, 20.0).notices(1e6) == []


def test_what_was_there_before_we_came_does_not_make_a_log_talkative() -> None:
    assert heard(*(at * 600.0 for at in range(1, 20)), live=False).notices(1e6) == []


def test_three_lines_of_an_unknown_form_are_told_with_their_shape() -> None:
    one = Heard("auth.log")
    line = "Nov 21 20:34:50 pbx food[12]: login failed for bob from 203.0.113.{}\n"
    one.take(chunk(1.0, "".join(line.format(n) for n in (1, 2))), (), 2)
    assert one.notices(1.0) == []
    one.take(chunk(2.0, line.format(3)), (), 3)
    assert one.notices(2.0) == [
        "auth.log: 3 lines like a failed login, but of no known form: food[#]: login failed for … from <address>"
    ]


def test_lines_that_were_understood_are_not_told() -> None:
    one = Heard("auth.log")
    text = "Nov 21 20:34:50 pbx sshd[12]: Failed password for bob from 203.0.113.1 port 5 ssh2\n"
    event = Event(1.0, "203.0.113.1", "ssh", "bob", True, "", "", True, "ssh-openssh/x", "auth.log", 1, "s")
    for at in range(9):
        one.take(chunk(float(at), text), (event,), at)
    assert one.notices(9.0) == []


def test_lines_with_host_names_are_told_with_what_to_do() -> None:
    one = Heard("auth.log")
    one.named = 7
    assert "7 lines named a host instead of an address" in one.notices(1.0)[0]


def test_the_rate_is_that_of_the_time_between_samples() -> None:
    one = heard(1.0)
    one.sample(10.0)
    one.lines = 31
    one.sample(20.0)
    assert one.rate == 3.0
