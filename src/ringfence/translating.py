"""Translations of our texts by gettext, for the page and for warnings: a file in `web/locale/` for each language."""

from __future__ import annotations

import functools
import gettext
from pathlib import Path
from typing import Final

DOMAIN: Final = "ringfence"
LOCALE: Final = Path(__file__).parent / "web" / "locale"


@functools.cache
def translations(language: str, locale: Path = LOCALE) -> gettext.NullTranslations:
    """The texts in `language` ("de", "pt_BR"); English, which the texts are written in, where there are none."""
    return gettext.translation(DOMAIN, locale, [language], fallback=True)
