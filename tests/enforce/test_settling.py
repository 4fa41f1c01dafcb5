"""The kernel is made to agree in small steps, between which bans come and end: none is taken for missing or foreign."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable

import enforce_lab
from enforce_lab import BAD4, SIP, Lab, ban, inside, new_fence

from ringfence.enforce import reconcile
from ringfence.enforce.reconcile import Fence
from ringfence.enforce.sets import Clock
from ringfence.enforce.survey import Difference
from ringfence.model import Ban

lab = enforce_lab.lab


def settle(
    fence: Fence, bans: Callable[[], Iterable[Ban]], meanwhile: Callable[[], None] = lambda: None
) -> tuple[Difference, list[Ban]]:
    """All steps, with `meanwhile` between them; the difference, and what may be called enforced."""
    now = time.time()
    difference = fence.begin([], None, now)
    meanwhile()
    found = fence.look(list(bans()), Clock(now))
    meanwhile()
    for _ in fence.settle(found, difference, time.time()):
        meanwhile()
    assert found.done
    return difference, fence.finish(found, time.time())


@inside
def test_what_differs_is_put_right_as_at_one_stroke(here: Lab) -> None:
    """The same damage, told in the same numbers, and afterwards nothing is left to do."""
    bans = [ban(number, f"10.0.0.{number}") for number in range(20)]
    bans += [ban(20, "2001:db8:66::/64"), ban(21, "203.0.113.0/24"), ban(22, "203.0.112.0/20"), ban(23, BAD4)]
    found = []

    def at_once(fence: Fence) -> Difference:
        return fence.reconcile(bans, [], None, time.time())

    def in_steps(fence: Fence) -> Difference:
        return settle(fence, lambda: bans)[0]

    for way in (at_once, in_steps):
        fence = new_fence()
        assert fence.enforce(bans, time.time()) == list(range(24))
        assert not way(fence)
        here.nft("delete element inet ringfence sip_hosts4 { 10.0.0.1, 10.0.0.2, 192.0.2.66 }")
        here.nft("add element inet ringfence sip_hosts4 { 10.9.9.9 timeout 1h }")
        here.nft("delete element inet ringfence sip_hosts4 { 10.0.0.3 }")
        here.nft("add element inet ringfence sip_hosts4 { 10.0.0.3 timeout 5h }")
        here.nft("flush set inet ringfence sip_networks4")
        assert not fence.untouched()
        difference = way(fence)
        found.append((difference.missing, difference.superfluous, difference.wrong_end, difference.structure))
        assert fence.untouched()
        assert not fence.reconcile(bans, [], None, time.time())
        assert here.arrivals(SIP, [BAD4]) == set()
        fence.close()
    assert found[0] == found[1] and found[0][1:] == (1, 1, False)


@inside
def test_a_flushed_table_is_rebuilt_with_all_its_bans(here: Lab) -> None:
    fence = new_fence()
    bans = [ban(number, f"10.0.{number // 250}.{number % 250}") for number in range(2000)]
    assert len(fence.enforce(bans, time.time())) == 2000
    here.nft("flush ruleset")
    difference, confirmed = settle(fence, lambda: bans)
    assert difference.structure and difference.missing == 2000 and confirmed == bans
    assert not fence.reconcile(bans, [], None, time.time())


@inside
def test_whatever_comes_and_ends_between_the_steps_the_kernel_holds_what_runs(here: Lab) -> None:
    """Bans, longer bans and lifts at random amid every step, and now and then another program deletes or adds some."""
    reconcile.SLICE, reconcile.FEW = 3, 2  # type: ignore[misc]
    chance = random.Random(11)
    fence = new_fence()
    held: dict[str, Ban] = {}
    numbers = iter(range(1_000_000))

    def target() -> str:
        last = chance.randrange(40)
        return chance.choice(
            (f"10.0.0.{last}", f"10.0.0.{last}", f"2001:db8:{last + 1:x}::/64", f"10.1.{last // 4}.0/24")
        )

    def meanwhile() -> None:
        for _ in range(chance.randrange(4)):
            some = target()
            if some in held and chance.random() < 0.4:
                fence.lift([held.pop(some)])
            else:
                made = ban(next(numbers), some, until=time.time() + chance.choice((600, 6000)))
                held[some] = made
                assert fence.enforce([made], time.time()) == [made.id]

    for turn in range(25):
        if turn % 3 == 0:
            here.nft(f"add element inet ringfence sip_hosts4 {{ 10.0.0.{200 + turn} timeout 1h }}")
            for victim in [one for one in held if one.startswith("10.0.0.")][:4]:
                here.nft(f"delete element inet ringfence sip_hosts4 {{ {victim} }}")
        before = dict(held)
        difference, confirmed = settle(fence, lambda: list(held.values()), meanwhile)
        assert difference.missing + difference.superfluous + difference.wrong_end <= (6 if turn % 3 == 0 else 0)
        assert all(
            one in held.values() for one in confirmed if held.get(one.target) is not None and one in before.values()
        )
        assert not fence.reconcile(held.values(), [], None, time.time()), turn


@inside
def test_bans_in_full_flow_while_another_thread_reads_are_neither_missing_nor_foreign(here: Lab) -> None:
    """With 20,000 bans the kernel takes a while to tell them; a few hundred come and end amid that."""
    fence = new_fence()
    held = {number: ban(number, f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}") for number in range(20_000)}
    assert len(fence.enforce(list(held.values()), time.time())) == 20_000
    now = time.time()
    difference = fence.begin([], None, now)
    seen = []
    wanted = list(held.values())
    reader = threading.Thread(target=lambda: seen.append(fence.look(wanted, Clock(now))))
    reader.start()
    number = 20_000
    while reader.is_alive() and number < 60_000:
        made = ban(number, f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
        assert fence.enforce([made], time.time()) == [number]
        held[number] = made
        fence.lift([held.pop(number - 20_000)])
        number += 1
    reader.join()
    for _ in fence.settle(seen[0], difference, time.time()):
        pass
    fence.finish(seen[0], time.time())
    assert number > 20_010 and seen[0].torn
    assert not difference, difference
    assert not fence.untouched()  # somebody looks again
    assert not fence.reconcile(held.values(), [], None, time.time())


@inside
def test_a_ban_that_failed_meanwhile_is_not_called_enforced(here: Lab) -> None:
    fence = new_fence()
    mine = ban(1, "10.0.0.1")
    now = time.time()
    difference = fence.begin([], None, now)
    found = fence.look([mine, ban(2, "10.0.0.2")], Clock(now))
    fence.lift([mine])
    for _ in fence.settle(found, difference, now):
        pass
    assert [one.id for one in fence.finish(found, now)] == [2]
    assert "10.0.0.1 " not in here.nft("list set inet ringfence sip_hosts4")
