"""What the pages say exists: commands and options, links, variables, and every word that people come from."""

from __future__ import annotations

import importlib
import pkgutil
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from ringfence import cli
from ringfence.cli.app import app

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), ROOT / "bench" / "README.md"])
for module in pkgutil.iter_modules(cli.__path__, "ringfence.cli."):
    importlib.import_module(module.name)  # each adds its commands to `app`
COMMANDS: Any = typer.main.get_command(app)

IPBAN = (
    "d ipban", "s ipban", "init ipban", "d ipban banned", "c ipban banned res:", "d d ipban", "d s ipban",
    "ACTION:NONE", "ACTION:BLOCK", "ACTION:MAIL", "MAX-NRTY", "MAX-FAIL", "FIND-TIME", "BAN-TIME", "WHITE-LIST",
    "max-items", "MAIL-FROM", "MAIL-RCPT", "MAIL-RCPT-LIST", "MAIL-FILTER-INTERVAL", "MAIL-BODY", "WDIR",
)  # fmt: skip
FAIL2BAN = (
    "maxretry", "findtime", "bantime", "bantime.increment", "ignoreip", "ignoreself", "usedns", "backend", "banaction",
    "action", "mta", "destemail", "enabled", "failregex", "ignoreregex", "status JAIL", "banip",
    "unbanip", "addignoreip", "reload", "fail2ban-regex", "datepattern", "journalmatch", "dbpurgeage",
)  # fmt: skip


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def told(page: Path) -> Iterator[str]:
    """Every `ringfence …` of a page, in a code span, at the beginning of a line of code or behind a pipe."""
    text = page.read_text()
    spans = re.findall(r"(?<!`)`(?:[^`\n]*\| )?(ringfence [^`\n]+)`", text)
    lines = re.findall(r"^(?: {4,}|[$#] )(?:[^`\n]*(?:\||\d) )?(?:\.venv/bin/)?(ringfence .+)$", text, re.MULTILINE)
    yield from (re.split(r" [|>#] |; |\\\|", command)[0] for command in [*spans, *lines])


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_in_the_pages_exists_with_its_options(page: Path) -> None:
    for line in told(page):
        words = shlex.split(line)[1:]
        command = COMMANDS
        while hasattr(command, "commands") and words and not words[0].startswith("-"):
            if words[0] in command.commands:
                command = command.commands[words.pop(0)]
                continue
            # Words that are no command are a title or a socket's path, not an instruction.
            assert words[0].isupper() or words[0] in {"…", "*NAME*"}, f"{name(page)}: `{line}` does not exist"
            break
        known = {option for one in command.params for option in [*one.opts, *one.secondary_opts]} | {"--help", "-h"}
        for word in words:
            option = word.partition("=")[0]
            assert not option.startswith("--") or option in known, f"{name(page)}: `{line}`: {option} does not exist"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_to_another_page_or_heading_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in target:
            continue
        path, _, heading = target.partition("#")
        other = (page.parent / path).resolve() if path else page
        assert other.exists(), f"{name(page)}: {target} does not exist"
        if heading:
            titles = re.findall(r"^#+ (.+)$", other.read_text(), re.MULTILINE)
            anchors = [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]
            assert heading in anchors, f"{name(page)}: {target}: no such heading"


def test_the_commands_of_the_pages_are_found_at_all() -> None:
    """The checks above would be silent if they found nothing to check."""
    assert len(list(told(ROOT / "docs" / "coming-from.md"))) > 50
    assert len(list(told(ROOT / "docs" / "install.md"))) > 8


def test_whoever_comes_from_elsewhere_finds_every_word_they_know() -> None:
    """Parameters and commands of Abilis IPBAN, of KAMAILIO_… set-ups and of fail2ban."""
    text = (ROOT / "docs" / "coming-from.md").read_text()
    variables = [f"{prefix}_{what}" for prefix in ("KAMAILIO", "SIP") for what in ("MAXRETRY", "FINDTIME", "BANTIME")]
    assert [word for word in (*IPBAN, *FAIL2BAN, *variables) if word not in text] == []


def test_every_command_of_ours_is_explained_on_some_page() -> None:
    text = "\n".join(page.read_text() for page in PAGES)
    assert [command for command in COMMANDS.commands if f"ringfence {command}" not in text] == []


def test_the_map_names_every_module_and_folder() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    entries = [path for path in (ROOT / "src" / "ringfence").iterdir() if not path.name.startswith("__")]
    folders = [f"{path.name}/" for path in entries if path.is_dir()]
    modules = [path.name for path in entries if path.suffix == ".py"]
    assert [name for name in (*folders, *modules) if f"`{name}`" not in text] == []
