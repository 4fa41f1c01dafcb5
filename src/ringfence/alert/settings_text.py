"""The declarations in `declared` for people: a commented example file, and the tables in docs/warnings.md."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from msgspec import Struct, structs

from ringfence.alert.alerting import TABLES
from ringfence.declared import Doc, docs_of

REPEATED: Final = ("mail_for", "channel")
"""Tables that may be there several times."""
_INTRODUCTION: Final = """\
# Who is told of warnings, and how. Lines that begin with #: are defaults or examples; without #: they hold.
# Check with `ringfence mail check FILE`, apply with `ringfence mail apply FILE`, try with `ringfence mail test`.
"""
_EXAMPLES: Final[dict[str, dict[str, str]]] = {
    "mail": {"recipients": '["admin@example.org"]'},
    "mail_for": {
        "kind": '["attack", "lockdown"]', "service": '["sip"]',
        "to": '["+4930123456@sms.example.org"]', "recipients": '["+4930123456@sms.example.org"]',
        "recipients_file": '"/etc/ringfence/recipients"', "sender": '"pbx@example.org"', "interval": '"none"',
        "body": '"short"', "language": '"de"', "quiet": '""',
    },
    "channel": {
        "name": '"hook"', "type": '"webhook"', "url": '"https://hooks.example.org/ringfence"',
        "command": '["/usr/local/bin/tell", "--urgent"]', "kind": '["rule", "attack"]', "service": '["sip"]',
    },
}  # fmt: skip


def main() -> None:
    """`python -m ringfence.alert.settings_text`: the tables of docs/warnings.md."""
    print(reference_markdown(), end="")


def example_file() -> str:
    """Settings of warnings with every setting, commented out, each with its meaning."""
    lines = [_INTRODUCTION.rstrip()]
    for table, declared in TABLES.items():
        repeated = table in REPEATED
        lines += ["", *(f"# {line}".rstrip() for line in _about(declared).splitlines())]
        lines.append(f"#:[[{table}]]" if repeated else f"[{table}]")
        for key, doc, default in _settings(declared):
            lines.append(f"# {doc.meaning} Permitted: {doc.form.permitted}.")
            lines.append(f"#:{key} = {_EXAMPLES.get(table, {}).get(key, default)}")
    return "\n".join(lines) + "\n"


def reference_markdown() -> str:
    """Every table and setting with its default, what is permitted and what it means."""
    parts = []
    for table, declared in TABLES.items():
        heading = f"[[{table}]]" if table in REPEATED else f"[{table}]"
        parts.append(f"\n### {heading}\n\n{_about(declared)}\n")
        parts.append("\n| setting | default | permitted | meaning |\n|---|---|---|---|\n")
        for key, doc, default in _settings(declared):
            shown = f"`{default}`" if default else "inherited"
            parts.append(f"| `{key}` | {shown} | {_cell(doc.form.permitted)} | {_cell(doc.meaning)} |\n")
    return "".join(parts)


def _about(declared: type[Struct]) -> str:
    lines = (declared.__doc__ or "").strip().splitlines()
    return "\n".join(line.strip() for line in lines)


def _settings(declared: type[Struct]) -> Iterator[tuple[str, Doc, str]]:
    """Key, doc and default (as TOML; empty where it is inherited) of each setting in a table."""
    defaults: Any = declared()
    docs = docs_of(declared)
    for field in structs.fields(declared):
        doc = docs[field.name]
        value = getattr(defaults, field.name)
        inherited = value is None and not doc.form.permitted.endswith("for none")
        yield field.name, doc, "" if inherited else doc.form.show(value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*").replace("<", "&lt;")


if __name__ == "__main__":
    main()
