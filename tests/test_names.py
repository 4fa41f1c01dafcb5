"""Host names in logs: believed only if the settings say so, resolved forward, never proven, and not lost meanwhile."""

from __future__ import annotations

import pytest

from ringfence.model import Event
from ringfence.names import ANSWER_LIFE, MOST_WAITING, Names, the_one


def sighting(host: str, time: float = 0.0, session: str = "") -> Event:
    return Event(time, host, "telnet", "bob", True, "wrong password", "", True, "k/p", "log", 1, session or f"s{time}")


def test_an_attempt_from_a_named_host_waits_for_its_address_and_is_not_proven() -> None:
    names = Names()
    ready, waiting = names.sort_out([sighting("203.0.113.7", 1), sighting("name:gw.example.org", 2)], 10)
    assert [event.address for event in ready] == ["203.0.113.7"]
    assert [event.address for event in waiting] == ["name:gw.example.org"]
    assert names.wanted() == ["gw.example.org"]
    (event,), released = names.answered({"gw.example.org": ("198.51.100.4",)}, 11)
    assert (event.address, event.proven, event.time) == ("198.51.100.4", False, 2)
    assert released == waiting
    assert names.wanted() == []


def test_an_answer_is_good_for_five_minutes() -> None:
    names = Names()
    names.answered({"gw.example.org": ("198.51.100.4",)}, 0)
    ready, waiting = names.sort_out([sighting("name:gw.example.org")], ANSWER_LIFE - 1)
    assert [event.address for event in ready] == ["198.51.100.4"] and not waiting
    ready, waiting = names.sort_out([sighting("name:gw.example.org")], ANSWER_LIFE + 1)
    assert not ready and len(waiting) == 1


@pytest.mark.parametrize(
    ("addresses", "one"),
    [
        (("198.51.100.4",), "198.51.100.4"),
        (("2001:db8::4",), "2001:db8::4"),
        (("198.51.100.4", "2001:db8::4"), "198.51.100.4"),
        (("198.51.100.4", "198.51.100.5"), ""),
        (("2001:db8::4", "2001:db8::5"), ""),
        ((), ""),
    ],
)
def test_a_name_of_several_hosts_blames_none_of_them(addresses: tuple[str, ...], one: str) -> None:
    assert the_one(addresses) == one
    names = Names()
    names.sort_out([sighting("name:many.example.org")], 0)
    ready, released = names.answered({"many.example.org": addresses}, 1)
    assert [event.address for event in ready] == ([one] if one else [])
    assert len(released) == 1 and names.unresolved == (0 if one else 1)


def test_what_waited_at_a_restart_goes_on_waiting() -> None:
    names = Names()
    other = sighting("203.0.113.7")
    assert names.restored([sighting("name:gw.example.org"), other]) == [other]
    assert names.wanted() == ["gw.example.org"]


def test_a_flood_of_names_is_bounded() -> None:
    names = Names()
    _, waiting = names.sort_out([sighting(f"name:h{n}.example.org", n) for n in range(MOST_WAITING + 5)], 0)
    assert len(waiting) == MOST_WAITING and names.unresolved == 5
