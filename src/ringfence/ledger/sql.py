"""Reads named statements from `.sql` files: `-- name: insert_event` begins one, the next name ends it."""

from __future__ import annotations

import re
from pathlib import Path

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def parse_statements(text: str) -> dict[str, str]:
    """The statements of `text` by name; lines that are only a comment are dropped. A name given twice is an error."""
    pieces = _NAME.split(text)[1:]
    statements: dict[str, str] = {}
    for name, body in zip(pieces[::2], pieces[1::2], strict=True):
        if name in statements:
            raise ValueError(f"the statement {name} is there twice")
        statements[name] = "\n".join(line for line in body.splitlines() if not line.startswith("--")).strip()
    return statements


def _read(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


SCHEMA = _read("schema.sql")
MIGRATIONS = parse_statements(_read("migrations.sql"))
"""Scripts by name: `to_2` makes a ledger of version 1 one of version 2."""
QUERIES = parse_statements(_read("queries.sql") + _read("lists.sql") + _read("outbox.sql"))
