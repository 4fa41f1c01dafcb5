"""`ringfence canary`: test the whole way from a log to the kernel, and show it as it goes."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import typer
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ringfence.canary import DEADLINE, STEPS, CanaryRow, CanaryState
from ringfence.cli import NEGATIVE, tables
from ringfence.cli.app import Json, app, print_json, socket_path
from ringfence.control import Client
from ringfence.errors import RingfenceError
from ringfence.render import plural, safe

POLL = 0.1
STYLES = {"ok": "green", "broken": "bold red", "waiting": "dim", "untestable": "yellow"}
WORDS = {"ok": "ok", "broken": "BROKEN", "waiting": "…", "untestable": "not tested"}
GRACE = 5.0
"""Seconds beyond the deadline for which a guard that is busy is waited for."""


@app.command()
def canary(json: Json = False) -> None:
    """Let a failed login of nobody through syslog, and tell how long it took from each log to the kernel.

    Exit code 1 when a step is broken, and when no log could be tested at all.
    """
    if json:
        state = list(_states())[-1]
        print_json(state)
    else:
        state = _shown()
    raise typer.Exit(0 if state.ok else NEGATIVE)


def _states() -> Iterator[CanaryState]:
    """The run as it stands, again and again until it is done."""
    with Client(socket_path()) as client:
        state = client.ask(CanaryState, "canary_start")
        end = time.monotonic() + DEADLINE + GRACE
        yield state
        while not state.done:
            if time.monotonic() > end:
                raise RingfenceError("the guard does not end the test: it is too busy, or its clock stands still")
            time.sleep(POLL)
            state = client.ask(CanaryState, "canary_state")
            yield state


def _shown() -> CanaryState:
    """Show the run: on a terminal as it goes, elsewhere when it is done."""
    out = tables.console()
    states = _states()
    state = next(states)
    if sys.stdout.isatty():
        with Live(table(state), console=out, auto_refresh=False) as live:
            for state in states:
                live.update(table(state), refresh=True)
    else:
        state = [state, *states][-1]
        out.print(table(state))
    tables.line(verdict(state), "" if state.ok else "bold red")
    return state


def table(state: CanaryState) -> Table:
    """One line a log, with the milliseconds of every step since the test lines were written."""
    found = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    found.add_column("LOG", overflow="fold")
    found.add_column("RESULT", no_wrap=True)
    for step in STEPS:
        found.add_column(step.upper(), justify="right", no_wrap=True)
    found.add_column("NOTE", overflow="fold")
    for row in state.rows:
        result = Text(WORDS[row.state], style=STYLES[row.state])
        found.add_row(Text(safe(row.source)), result, *_times(row), Text(_note(row)))
    return found


def _times(row: CanaryRow) -> list[Text]:
    reached = {step.name: step for step in row.steps}
    cells = []
    for step in STEPS:
        if step in reached:
            cells.append(Text(f"{reached[step].ms:.1f} ms"))
        else:
            cells.append(Text("broken", style="bold red") if step == row.step else Text("-", style="dim"))
    return cells


def _note(row: CanaryRow) -> str:
    notes = [f"{step.name}: {step.note}" for step in row.steps if step.note]
    return safe("; ".join([row.why] * bool(row.why) + notes))


def verdict(state: CanaryState) -> str:
    """What the run showed, in a sentence."""
    counts = {name: sum(1 for row in state.rows if row.state == name) for name in WORDS}
    broken, good, rest = counts["broken"], counts["ok"], counts["untestable"]
    if broken:
        return f"BROKEN: a failed login in {plural(broken, 'log')} would not be acted on"
    if not good:
        return "no log could be tested: nothing is known to be wrong, and nothing was shown to work"
    left = f"; {plural(rest, 'log')} could not be tested, see the notes" if rest else ""
    return f"{plural(good, 'log')} tested, every step works{left}"
