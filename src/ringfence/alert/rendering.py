"""The HTML of mails: templates with escaping always on, styles inline only, nothing that would have to be fetched.

Colours are given for light and dark (`light-dark()`); a mail client that does not know that shows its own colours, and
nothing is told by colour alone. The only links are to the page of Ringfence itself.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ringfence.translating import Words

TEMPLATES: Final = Path(__file__).parent / "templates"


def rendered(name: str, _: Words, **values: Any) -> str:
    """The template `name` (without its ending) as a whole document; `_` translates its texts."""
    return _environment().get_template(f"{name}.html").render({**values, "_": _, "language": tag(_.language)})


def tag(language: str) -> str:
    """A language as HTML and mail headers name it (RFC 5646): "pt_BR" is "pt-BR"."""
    return language.replace("_", "-")


def page_link(link: str) -> str:
    """`link` where it is one of the web and fit for a mail, else nothing."""
    fit = link.isascii() and link.isprintable() and not set(link) & set(' <>"')
    return link if fit and urlsplit(link).scheme in ("https", "http") else ""


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, auto_reload=False, cache_size=-1,
    )  # fmt: skip
    for name in environment.list_templates():
        environment.get_template(name)
    return environment
