"""What became of a fail2ban's configuration, for people: taken, covered by a kind of ours, not carried over and why."""

from __future__ import annotations

from msgspec import Struct, field


class Report(Struct):
    """Three lists of (what, how or why)."""

    source: str
    taken: list[tuple[str, str]] = field(default_factory=list)
    covered: list[tuple[str, str]] = field(default_factory=list)
    left: list[tuple[str, str]] = field(default_factory=list)
    next_steps: list[str] = field(default_factory=list)

    def text(self) -> str:
        """The report as lines of text."""
        lines = [f"fail2ban's configuration in {_one_line(self.source)}"]
        for title, rows in (
            ("Taken over", self.taken),
            ("Covered already by kinds of ours", self.covered),
            ("Not carried over", self.left),
        ):
            lines += ["", f"{title} ({len(rows)})"]
            lines += [f"  {_one_line(what)}: {_one_line(how)}" for what, how in rows] or ["  nothing"]
        if self.next_steps:
            lines += ["", "Next", *(f"  {_one_line(step)}" for step in self.next_steps)]
        return "\n".join(lines) + "\n"


def _one_line(text: str) -> str:
    """`text` with backslashes as they are, since it is full of expressions, but nothing that moves a terminal."""
    return "".join(each if each.isprintable() else f"\\x{ord(each):02x}" for each in text)
