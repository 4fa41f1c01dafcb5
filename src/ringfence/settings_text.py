"""The declarations in `settings` for people: the reference page docs/settings.md and a commented example file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Struct, structs

from ringfence.declared import TABLES, Doc, Settings, docs_of

_EXAMPLES: dict[str, dict[str, str]] = {
    "source": {
        "kind": '"sip-asterisk"',
        "files": '["/var/log/asterisk/*.log"]',
        "units": '["asterisk.service"]',
    },
    "services": {"title": '"Telephony"', "ports": '["5060/udp", "5060-5061/tcp"]'},
}
_HEADINGS = {"source": "[[source]]", "services": "[services.NAME]"}
_FOLDERS = {
    "state": "$STATE_DIRECTORY, else $XDG_STATE_HOME/ringfence, else ~/.local/state/ringfence",
    "runtime": "$RUNTIME_DIRECTORY, else $XDG_RUNTIME_DIR/ringfence, else ~/.local/state/ringfence",
    "cache": "$CACHE_DIRECTORY, else $XDG_CACHE_HOME/ringfence, else ~/.cache/ringfence",
}
_INTRODUCTION = """\
# Settings

<!-- Written by `python -m ringfence.settings --reference`; change the declarations in declared.py instead. -->

Ringfence needs no settings file. It reads the one named by `--config` or by `$RINGFENCE_CONFIG`, else
`/etc/ringfence/ringfence.toml` if that exists. Every setting that is missing has its default; a key that does not
exist is an error. `python -m ringfence.settings --example` prints a file with every setting, all commented out.

Rules, the whitelist's entries and switching services on and off are not here: they are the
policy, which is changed with `ringfence policy`, without a restart.

Durations are written `"90s"`, `"10m"`, `"1h30m"`, `"2d"`, `"1w"`, `"1y"`, or as a number of seconds; sizes `"500MB"`,
`"1GiB"`, or as a number of bytes.
"""
_OWN_FOLDERS = """
## Without root

Who is not root keeps files in folders of their own, unless the settings file says otherwise; the first of these that
is set:
"""


def reference_markdown() -> str:
    """The page docs/settings.md: every table and setting with its default, what is permitted and what it means."""
    parts = [_INTRODUCTION]
    for table, declared in TABLES.items():
        parts.append(f"\n## {_HEADINGS.get(table, f'[{table}]')}\n\n{declared.__doc__}\n")
        parts.append("\n| setting | default | permitted | meaning |\n|---|---|---|---|\n")
        for key, doc, default in _settings(table, declared):
            cells = (f"`{key}`", f"`{default}`", _cell(doc.form.permitted), _cell(doc.meaning))
            parts.append(f"| {' | '.join(cells)} |\n")
    parts += [_OWN_FOLDERS, "\n| setting | without root |\n|---|---|\n"]
    for table, declared in TABLES.items():
        for key, doc in docs_of(declared).items():
            if doc.own:
                place = f"`{doc.own[1]}` in {_FOLDERS[doc.own[0]]}" if doc.own[1] else _FOLDERS[doc.own[0]]
                parts.append(f"| `[{table}] {key}` | {place} |\n")
    return "".join(parts)


def example_file() -> str:
    """A ringfence.toml with every setting at its default, commented out, each with its meaning."""
    lines = ["# Ringfence's settings. Lines that begin with #: are defaults or examples; without #: they hold."]
    for table, declared in TABLES.items():
        lines += ["", f"# {declared.__doc__}"]
        repeated = table in _HEADINGS
        lines.append(f"#:{_HEADINGS[table].replace('NAME', 'sip')}" if repeated else f"[{table}]")
        for key, doc, default in _settings(table, declared):
            lines.append(f"# {doc.meaning} Permitted: {doc.form.permitted}.")
            lines.append(f"#:{key} = {_EXAMPLES[table][key] if repeated else default}")
    return "\n".join(lines) + "\n"


def _settings(table: str, declared: type[Struct]) -> Iterator[tuple[str, Doc, str]]:
    """Key, doc and default (as TOML) of each setting in a table."""
    defaults: Any = declared() if table in _HEADINGS else getattr(Settings(), table)
    docs = docs_of(declared)
    for field in structs.fields(declared):
        doc = docs[field.name]
        yield field.name, doc, doc.form.show(getattr(defaults, field.name))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*").replace("<", "&lt;")
