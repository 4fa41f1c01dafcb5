"""What stands around a message: who wrote the line and when.

Each envelope is a regular expression fragment for the beginning of a line (and one for its end) with the groups
`stamp`, `origin` (writer and process: what ties the lines of one connection together) and, where the writer gives
one, `thread`. `{programs}` is replaced by the names that the kind allows, so that one program can't speak for another.

Sources: RFC 3164 section 4.1, RFC 5424 section 6, rsyslog's file formats, systemd.journal-fields(7),
the `logger.conf` and `logger.c` of Asterisk.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

import msgspec

from ringfence.parse import timestamps

_SYSLOG_STAMP = f"(?P<stamp>{timestamps.BSD}|{timestamps.ISO})"
# A host name is one word. "message repeated" is what rsyslog makes of equal lines in a row. Its RFC 5424 format has two
# blanks before a message that came from syslog(3): one of its own, and the one behind the program's colon.
_SYSLOG = (
    r"(?:<\d{1,3}>(?:1 )?)?" + _SYSLOG_STAMP + r" (?P<origin>\S+ (?:{programs})"
    r"(?:\[\d+\]:|:| (?:\d+|-) \S+ (?:-|(?:\[[^\]\n]*\])+) ?))"
    r" (?:message repeated (?P<repeated>\d{1,6}) times: \[ )?"
)

_ANSI = r"(?:\x1b\[[\d;]*m)*"
_ASTERISK_LEVEL = r"(?:NOTICE|WARNING|ERROR|SECURITY|VERBOSE|DEBUG)"
# [stamp] LEVEL[thread][call id] file.c[:line function]: message; through syslog the stamp stands outside.
_ASTERISK = (
    rf"{_ANSI}(?:\[(?P<stamp>{timestamps.ISO}|{timestamps.BSD})\] {_ANSI}"
    rf"|(?:<\d{{1,3}}>)?(?P<stamp2>{timestamps.BSD}|{timestamps.ISO}) \S+ asterisk(?:\[\d+\])?: {_ANSI})"
    rf"{_ASTERISK_LEVEL}{_ANSI}\[(?P<thread>\d+)\](?:\[C-[0-9a-f]+\])?{_ANSI}:? {_ANSI}"
    rf"(?:[\w./-]+\.c|pjproject|Ext\. \S+){_ANSI}:(?:{_ANSI}\d+{_ANSI}(?: in)? {_ANSI}\w+{_ANSI}:)? {_ANSI}"
)

ENVELOPES = {
    "syslog": _SYSLOG,
    "asterisk": _ASTERISK,
    "nginx-error": rf"(?P<stamp>{timestamps.SLASHED}) \[\w+\] (?P<origin>\d+#\d+: \*\d+) ",
    "apache-error": rf"\[(?P<stamp>{timestamps.CTIME})\] \[[\w:-]*:?\w+\] \[(?P<origin>pid \d+(?::tid \d+)?)\] ",
    "text": rf"\[?(?P<stamp>{timestamps.ISO}|{timestamps.BSD}|{timestamps.SLASHED}|{timestamps.CTIME}"
    rf"|{timestamps.ACCESS}|{timestamps.DASHED}|{timestamps.EPOCH})\]?:? ",
    "none": "",
}
"""`none`: the template describes the whole line and names its `{stamp}` itself, as access logs need."""

ENDS = {"syslog": r"(?(repeated)\])", "asterisk": _ANSI}


def beginning(envelope: str, programs: tuple[str, ...]) -> str:
    """The expression for everything before the message. `*` in a program's name stands for any part of a name; names
    that all begin with `!` are those that are not believed."""
    names = "|".join(_program(program.removeprefix("!")) for program in programs)
    if not names or programs[0].startswith("!"):
        names = rf"(?!(?:{names})[\[: ])[\w./-]+" if names else r"[\w./-]+"
    return ENVELOPES[envelope].replace("{programs}", names)


def _program(name: str) -> str:
    return re.escape(name).replace(r"\*", r"[\w.:-]*")


def end(envelope: str) -> str:
    """The expression for what may stand between the message and the end of the line."""
    return ENDS.get(envelope, "") + r"[\r ]{0,8}$"  # few: a long run of blanks would be tried from each of them


PREFIX = re.compile(_ASTERISK, re.ASCII)
"""The beginning of a line of Asterisk's log, whatever follows."""


class JournalEntry(msgspec.Struct):
    """The fields we read of one line of `journalctl --output=json`; bytes fields come as lists of numbers."""

    message: str | list[int] | None = msgspec.field(default=None, name="MESSAGE")
    identifier: str | list[int] | None = msgspec.field(default=None, name="SYSLOG_IDENTIFIER")
    command: str | list[int] | None = msgspec.field(default=None, name="_COMM")
    pid: str | None = msgspec.field(default=None, name="_PID")
    claimed_pid: str | None = msgspec.field(default=None, name="SYSLOG_PID")
    host: str | None = msgspec.field(default=None, name="_HOSTNAME")
    realtime: str = msgspec.field(default="0", name="__REALTIME_TIMESTAMP")


_ENTRY = msgspec.json.Decoder(JournalEntry)


def journal_lines(data: bytes) -> bytes:
    """Journal entries (JSON, one a line) -> the syslog lines they stand for, so that all else is the same.

    One for one: what can't be decoded becomes an empty line. Line breaks in a message become spaces: no forged lines.
    """
    return b"".join(_journal_line(line) for line in data.removesuffix(b"\n").split(b"\n")) if data else b""


def _journal_line(line: bytes) -> bytes:
    try:
        entry = _ENTRY.decode(line)
        moment = datetime.fromtimestamp(int(entry.realtime) / 1e6, UTC)
    except (msgspec.DecodeError, ValueError, OverflowError, OSError):
        return b"\n"
    program = _bytes(entry.identifier or entry.command or "unknown").replace(b" ", b"_")
    pid = (entry.pid or entry.claimed_pid or "0").encode()
    stamp = moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ").encode()
    host = (entry.host or "localhost").replace(" ", "_").encode()
    text = b"%s %s %s[%s]: %s" % (stamp, host, program, pid, _bytes(entry.message or ""))
    return text.replace(b"\n", b" ").replace(b"\r", b" ") + b"\n"


def _bytes(value: str | list[int]) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(byte & 255 for byte in value)
