"""Tables from the dicts that the parts return: the same few columns for every part."""

from __future__ import annotations

from typing import Any

from bench.tools import TIMES, Result

COLUMNS = {
    "lines": ("lines", "{:,.0f}"),
    "found": ("found", "{:,.0f}"),
    "bans": ("bans", "{:,.0f}"),
    "tracked": ("addresses", "{:,.0f}"),
    "samples": ("samples", "{:,.0f}"),
    "seconds": ("seconds", "{:,.3f}"),
    "busy": ("CPU s", "{:,.3f}"),
    "rate": ("per second", "{:,.0f}"),
    "median": ("median ms", "{:,.2f}"),
    "p95": ("95 % ms", "{:,.2f}"),
    "p99": ("99 % ms", "{:,.2f}"),
    "worst": ("worst ms", "{:,.2f}"),
    "pause": ("longest pause ms", "{:,.2f}"),
    "rss": ("RSS MB", "{:,.1f}"),
    "pss": ("PSS MB", "{:,.1f}"),
    "cpu": ("CPU %", "{:,.3f}"),
    "microseconds": ("µs each", "{:,.3f}"),
}
LONGEST_NOTE = 90
LESS_IS_BETTER = ("seconds", "median", "p95", "p99", "pause", "rss", "pss", "cpu", "microseconds")


PAGE = """# Benchmarks: measured figures

This page is written by `python -m bench.run --markdown docs/benchmarks.md`; what is measured and how it is kept fair is
told in [bench/README.md](../bench/README.md). A ratio says how many times better the first row of its table is than the
row it stands in; below 1 the other is better.

Measured with `{command}`.
Machine: {machine}.

{tables}"""


def page(command: str, machine: str, parts: list[Result]) -> str:
    """The page of figures, from one run."""
    return PAGE.format(command=command, machine=machine, tables="\n".join(map(table, parts)))


def ratio(first: float, other: float, less_is_better: bool) -> str:
    """How many times better the first row is than another one."""
    if not first or not other:
        return ""
    return f"{other / first if less_is_better else first / other:,.2f} {TIMES}"


def table(part: Result) -> str:
    """One part as aligned text (also valid Markdown); `key` names the column that ratios are made of."""
    rows, key = part["rows"], part.get("key")
    columns = [name for name in COLUMNS if any(name in row for row in rows)]
    head = ["tool", *(COLUMNS[name][0] for name in columns), *(["first row is better by"] if key else []), "note"]
    body: list[list[str]] = []
    for position, row in enumerate(rows):
        cells = [row["tool"], *(_cell(name, row.get(name)) for name in columns)]
        if key:
            known = key in rows[0] and key in row and position
            cells.append(ratio(rows[0][key], row[key], key in LESS_IS_BETTER) if known else "")
        body.append([*cells, row.get("note", "")[:LONGEST_NOTE]])
    widths = [max(len(line[index]) for line in [head, *body]) for index in range(len(head))]
    right = [False, *(True for _ in columns), *([True] if key else []), False]
    rule = ["-" * (width - 1) + ":" if flag else "-" * width for width, flag in zip(widths, right, strict=True)]
    lines = [head, rule, *body]
    text = "\n".join(
        "| " + " | ".join(_pad(*item) for item in zip(line, widths, right, strict=True)) + " |" for line in lines
    )
    return f"### {part['title']}\n\n{text}\n"


def _cell(name: str, value: Any) -> str:
    return "" if value is None else COLUMNS[name][1].format(value)


def _pad(text: str, width: int, right: bool) -> str:
    return text.rjust(width) if right else text.ljust(width)
