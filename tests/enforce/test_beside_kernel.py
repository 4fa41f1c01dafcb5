"""A whole guard with very many bans, on a real kernel: what is read beside its loop, and what happens meanwhile."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import enforce_lab
from enforce_lab import BAD4, SIP, Lab, inside

from guard_process import failures
from ringfence import beside, guard
from ringfence.enforce.survey import Difference
from test_beside import attack, made

lab = enforce_lab.lab


@inside
def test_a_table_that_another_program_flushed_is_put_right_beside_while_bans_go_on(here: Lab) -> None:
    """Of a guard with (what counts here as) very many bans: all that runs is in force and called so at the end."""
    guard.MOST_AT_ONCE = 0  # this is a process of its own
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        mine = made(folder, "nftables")
        attack(mine, folder, "".join(failures(f"198.18.0.{number}", 14) for number in range(1, 30)))
        assert mine.ledger.running_bans == 29
        here.nft("delete table inet ringfence")

        async def agree() -> Difference | None:
            agreeing = asyncio.ensure_future(beside.agree(mine))
            await asyncio.sleep(0)
            attack(mine, folder, failures(BAD4, 14))
            return await agreeing

        difference = asyncio.run(agree())
        assert difference is not None and difference.missing == 29
        assert mine.barrier.trouble == "" and not mine.barrier.missing
        assert {ban.state for ban in mine.running()} == {"enforced"} and len(mine.running()) == 30
        assert here.arrivals(SIP, [BAD4]) == set()
        assert not asyncio.run(beside.agree(mine))  # nothing is left to do
        asyncio.run(beside.count(mine, asked=True))
        assert mine.barrier.packets() == {(BAD4, "sip"): 1}
        mine.ledger.close()
