"""Handing a mail to the local program `sendmail`, which Postfix, Exim, OpenSMTPD, Sendmail and others all have."""

from __future__ import annotations

from email.message import EmailMessage
from pathlib import Path
from typing import Final

from ringfence.alert.message import Mark, Outcome
from ringfence.alert.mime import POLICY
from ringfence.alert.program import hand_to

_POLICY: Final = POLICY.clone(linesep="\n")


def arguments(program: Path, sender: str, recipient: str) -> list[str]:
    """The command line: -i, a line with a single dot is not the end; -f, who sends; -- ends what could be an option."""
    return [str(program), "-i", "-f", sender, "--", recipient]


async def send_by_program(
    program: Path, sender: str, recipient: str, data: EmailMessage | bytes, mark: Mark, *, timeout: float
) -> Outcome:  # fmt: skip
    """Give `data` to `program`, which has `timeout` seconds. Raises only what `mark` raises.

    Lines end as this machine's do: the program makes CR LF of them.
    """
    content = data.as_bytes(policy=_POLICY) if isinstance(data, EmailMessage) else data.replace(b"\r\n", b"\n")
    return await hand_to(arguments(program, sender, recipient), content, timeout, mark)
