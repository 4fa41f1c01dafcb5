"""Bans by number, as the page shows them: several lifted at once, a note, another end; how a ban by hand is made."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from ringfence.answers import Banned, BanRow, Lifted
from ringfence.control import Caller, command
from ringfence.errors import NotFoundError, RefusedError, RingfenceError
from ringfence.guard import Guard
from ringfence.model import FOREVER, Ban
from ringfence.orders import is_large, named, origin_of, own_session, refuse, until_of
from ringfence.render import ban_length, plural
from ringfence.trials import check_trial

MOST_LIFTED = 1000
"""Bans that are lifted by number in one command: each costs some 50 µs, and nothing may hold the guard for long."""
LONGEST_NOTE = 1000


class BanCommands:
    """What can be done to bans that are named by their numbers."""

    def __init__(self, guard: Guard) -> None:
        self.guard = guard

    @command
    def unban_many(self, caller: Caller, *, ids: list[int]) -> Lifted:
        """Lift the bans of these numbers, at most 1,000; those that have ended already are passed over."""
        if len(ids) > MOST_LIFTED:
            raise RingfenceError(f"at most {MOST_LIFTED:,} bans can be lifted at once, not {len(ids):,}")
        guard = self.guard
        lifted = guard.ledger.lift_by_id(ids, author=caller.user, origin=origin_of(caller), now=guard.clock())
        return opened(guard, caller, lifted)

    @command
    def note_ban(self, caller: Caller, *, id: int, note: str) -> BanRow:
        """Write a note beside a ban, running or ended; an empty one removes it."""
        check_note(note)
        guard = self.guard
        ban = guard.ledger.note_ban(id, note, author=caller.user, origin=origin_of(caller), now=guard.clock())
        if ban is None:
            raise NotFoundError(f"there is no ban {id}")
        return BanRow.of(ban)

    @command
    def change_ban(
        self, caller: Caller, *, id: int, seconds: float | None, note: str | None = None, force: bool = False,
        trial: float = 0,
    ) -> Banned:  # fmt: skip
        """Let a running ban end in `seconds` from now (None: never); since when it runs stays."""
        guard = self.guard
        ban = guard.ledger.ban_by_id(id)
        now = guard.clock()
        if ban is None or ban.ended is not None or ban.until <= now:
            raise NotFoundError(f"no ban {id} runs" + (f"; that of {ban.target} has ended" if ban else ""))
        reason = own_session(ban.target, caller)
        if reason and not force and until_of(now, seconds) > ban.until:
            raise refuse(caller, f"the ban of {ban.target} is not made longer", reason, "make it longer")
        changed = structs.replace(ban, note=ban.note if note is None else note)
        return ban_by_hand(guard, caller, changed, seconds, trial=trial)


def check_note(note: str) -> None:
    """Raise RingfenceError when a note is too long to be one."""
    if len(note) > LONGEST_NOTE:
        raise RingfenceError(f"a note has at most {LONGEST_NOTE:,} characters")


def ban_by_hand(
    guard: Guard, caller: Caller, ban: Ban, seconds: float | None, spared: str = "", trial: float = 0
) -> Banned:
    """Ban the target of `ban` from its service for `seconds`, or change the end of the ban that runs.

    `spared`: why not all of it will be kept out, in words. Only a large network is put on `trial`.
    """
    now = guard.clock()
    trial = check_trial(trial) if is_large(ban.target) else 0
    check_note(ban.note)
    if guard.ledger.running_bans >= guard.settings.bans.capacity:
        guard.barrier.changed = True  # an automatic ban makes room: its element has to go too
    made = guard.ledger.ban(
        ban.target, ban.service, now, until_of(now, seconds), author=f"user:{caller.user}", reason=ban.reason,
        detail=ban.detail, note=ban.note, origin=origin_of(caller), now=now, trial=trial,
    )  # fmt: skip
    begun = guard.trials.begun(trial)
    if made is None:
        raise RefusedError("the list of bans is full of bans by hand; lift some, or raise [bans] capacity")
    why = guard.close([made])
    length = ban_length(FOREVER if seconds is None else seconds)
    guard.say(f"banned {made.target} from {named(made.service)} {length}: by {caller.user}")
    if spared:
        why = "; ".join(filter(None, (why, f"{spared}, which stays reachable as long as that is so")))
    made = guard.ledger.ban_by_id(made.id) or made
    in_force = made.state == "enforced" and made.id not in guard.barrier.missing
    monitor = not guard.barrier.blocks
    enforced = in_force and not monitor
    return Banned(ban=BanRow.of(made), enforced=enforced, why=why, monitor=monitor, trial=begun)


def opened(guard: Guard, caller: Caller, lifted: Sequence[Ban], target: str | None = None) -> Lifted:
    """Let in again whose bans the ledger ended by this caller's order, and say so."""
    why = guard.open(lifted)
    guard.say(f"lifted {plural(len(lifted), 'ban')}{f' of {target}' if target else ''}: by {caller.user}")
    barrier = guard.barrier
    left = barrier.left()
    why = why or (left and f"{barrier.mode}: {left}")
    return Lifted(rows=[BanRow.of(ban) for ban in lifted], why=why, monitor=not barrier.blocks)
