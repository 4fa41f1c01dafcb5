"""The pages' templates, loaded and compiled at start: what is rendered later needs no file.

Texts of the templates go through gettext (`_`), so that a translation is a file in `locale/` and nothing else.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from types import CodeType
from typing import Any, Final

from jinja2 import BytecodeCache, Environment, FileSystemLoader, StrictUndefined
from jinja2.bccache import Bucket

from ringfence.translating import ENGLISH_NAME, LOCALE, Words, languages, translations
from ringfence.web import texts
from ringfence.web.access import Permission

HERE: Final = Path(__file__).parent


class _Compiled(BytecodeCache):
    """Templates compiled by one language are there for the others: compiling takes most of the start."""

    def __init__(self) -> None:
        self._codes: dict[str, CodeType | None] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._codes.get(bucket.key)

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._codes[bucket.key] = bucket.code


class Pages:
    """Renders templates by name in one of the languages that there are."""

    def __init__(self, folder: Path = HERE / "templates", locale: Path = LOCALE) -> None:
        self.languages = list(languages(locale))
        self._words = {language: Words.of(language, locale=locale) for language in self.languages}
        compiled = _Compiled()
        self._environments = {language: _environment(folder, locale, language, compiled) for language in self.languages}

    def render(self, name: str, values: Mapping[str, Any], language: str = ENGLISH_NAME) -> str:
        """The page `name` (without its ending) as HTML."""
        return self._environments[language].get_template(f"{name}.html").render(values)

    def words(self, accepted: str) -> Words:
        """The words of the language in which to answer who sent this Accept-Language header."""
        return self._words[self.language(accepted)]

    def language(self, accepted: str) -> str:
        """The first language of an Accept-Language header that there is (RFC 9110, 12.5.4), else English."""
        wanted = []
        for part in accepted.split(",")[:20]:
            tag, _, quality = part.partition(";q=")
            try:
                wanted.append((-float(quality or 1), tag.strip().lower().replace("-", "_")))
            except ValueError:
                continue
        known = {language.lower(): language for language in self.languages}
        tags = (tag for _, whole in sorted(wanted, key=lambda one: one[0]) for tag in (whole, whole.partition("_")[0]))
        return next((known[tag] for tag in tags if tag in known), ENGLISH_NAME)


def _environment(folder: Path, locale: Path, language: str, compiled: BytecodeCache) -> Environment:
    # Loaded once: the process may not be able to read them later, having given up its rights.
    environment = Environment(
        loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined, finalize=texts.printed,
        trim_blocks=True, lstrip_blocks=True, auto_reload=False, cache_size=-1, extensions=["jinja2.ext.i18n"],
        bytecode_cache=compiled, optimized=False,  # nothing is worked out while compiling: it may differ by language
    )  # fmt: skip
    environment.install_gettext_translations(translations(language, locale), newstyle=True)  # type: ignore[attr-defined]
    environment.filters |= texts.Shown(Words.of(language, locale=locale)).filters
    environment.globals["permission"] = {permission.name: permission for permission in Permission}
    for name in environment.list_templates():
        environment.get_template(name)
    return environment


@functools.cache
def static_files(folder: Path = HERE / "static") -> dict[str, bytes]:
    """Every static file by its path below `folder`, in memory for the same reason."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix in (".css", ".js", ".svg", ".txt", ".ico")
    }
