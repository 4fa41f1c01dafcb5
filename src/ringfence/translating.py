"""Words in somebody's language, for the page and for warnings: texts by gettext, numbers, lengths of time, names.

A translation is a file in `web/locale/` for each language. How numbers are written is a text like any other: a sample
that the translator writes as it is usual there. Times are told as ISO 8601 has them, in somebody's zone.
"""

from __future__ import annotations

import functools
import gettext
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from gettext import NullTranslations
from pathlib import Path
from typing import Final

from ringfence.answers import stamp
from ringfence.model import EVERY

DOMAIN: Final = "ringfence"
LOCALE: Final = Path(__file__).parent / "web" / "locale"
ENGLISH_NAME: Final = "en"
_UNITS: Final = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


@functools.cache
def translations(language: str, locale: Path = LOCALE) -> NullTranslations:
    """The texts in `language` ("de", "pt_BR"); English, which the texts are written in, where there are none."""
    return gettext.translation(DOMAIN, locale, [language], fallback=True)


@functools.cache
def languages(locale: Path = LOCALE) -> tuple[str, ...]:
    """The languages that there are: English first, then those with a translation."""
    return (ENGLISH_NAME, *(path.parent.parent.name for path in sorted(locale.glob(f"*/LC_MESSAGES/{DOMAIN}.mo"))))


def own_name(language: str) -> str:
    """What a language is called by those who speak it: "English", "Deutsch"."""
    _ = Words.of(language)
    return _("English")  # The name of the language that this is translated into, in that language.


class Words:
    """Texts, numbers and lengths of time in one language, points in time in one zone."""

    def __init__(
        self, translation: NullTranslations | None = None, zone: tzinfo = UTC, language: str = ENGLISH_NAME
    ) -> None:  # fmt: skip
        self._translation = translation or NullTranslations()
        self.zone = zone
        self.language = language

    @classmethod
    def of(cls, language: str, zone: tzinfo = UTC, locale: Path = LOCALE) -> Words:
        """Texts in `language` as far as they are translated."""
        return cls(translations(language, locale), zone, language)

    def __call__(self, text: str, /, **values: object) -> str:
        """`text` translated, its %(names)s filled in: called `_`, which makes it known to who collects the texts."""
        return _filled(self._translation.gettext(text), text, values)

    def ngettext(self, one: str, many: str, count: float, /, **values: object) -> str:
        """The same for a text that depends on a number, which is told as %(count)s."""
        whole = int(count) if float(count).is_integer() else 2
        values = {"count": self.number(count), **values}
        return _filled(self._translation.ngettext(one, many, whole), one if whole == 1 else many, values)

    # ---- points in time

    def clock(self, moment: float) -> str:
        """Date and time in the zone: "2026-02-03 05:05:06 CET"."""
        return self._local(moment, "%Y-%m-%d %H:%M:%S %Z")

    def minute(self, moment: float) -> str:
        """The same without seconds, for periods."""
        return self._local(moment, "%Y-%m-%d %H:%M %Z")

    def _local(self, moment: float, form: str) -> str:
        try:
            return datetime.fromtimestamp(moment, self.zone).strftime(form).rstrip()
        except (OverflowError, ValueError, OSError):
            return stamp(moment)

    def exact(self, moment: float) -> str:
        """The same, and in UTC as ISO 8601 where that differs: "2026-02-03 05:05:06 CET, 2026-02-03T04:05:06Z"."""
        local, utc = self.clock(moment), stamp(math.floor(moment))
        return local if local.endswith(" UTC") or local == utc else f"{local}, {utc}"

    # ---- numbers

    @functools.cached_property
    def _signs(self) -> tuple[str, str]:
        """What stands between thousands, and before tenths."""
        _ = self
        sample = _("1,234.5")  # How numbers are written: what stands for the comma, what for the point.
        well = len(sample) >= 6 and sample[0] == "1" and sample[-1] == "5" and sample[-5:-2] == "234"
        return (sample[1:-5], sample[-2]) if well else (",", ".")

    def figures(self, value: float, tenths: int = 0) -> str:
        """A number with its thousands apart and so many decimals: "9,600"."""
        between, before = self._signs
        text = f"{value:,.{tenths}f}"
        return text if between == "," else text.translate({ord(","): between, ord("."): before})

    def number(self, value: float) -> str:
        """A number with its thousands apart, and tenths only where there are few: "9,600", "3", "0.3"."""
        return self.figures(value, 1 if value < 10 and not float(value).is_integer() else 0)

    def size(self, count: float) -> str:
        """A number of bytes in the unit that fits (decimal): "3.4 MB"."""
        for unit in ("B", "kB", "MB", "GB"):
            if count < 1000:
                return f"{self.figures(count, 0 if unit == 'B' else 1)} {unit}"
            count /= 1000
        return f"{self.figures(count, 1)} TB"

    # ---- lengths of time

    def duration(self, seconds: float) -> str:
        """`seconds` in at most two units: "2h", "43m", "1d 4h", "forever"."""
        _ = self
        if seconds == math.inf:
            return _("forever")
        sign, left = ("-", -seconds) if seconds < 0 else ("", seconds)
        if left < 1:
            thousandths = round(left * 1000)
            return sign + _("%(number)sms", number=thousandths) if thousandths else self._of_unit("s", 0)
        whole, parts = round(left), list[str]()
        for unit, size in _UNITS:
            count, whole = divmod(whole, size)
            if count:
                parts.append(self._of_unit(unit, count))
            elif parts:
                break
            if len(parts) == 2:
                break
        return sign + " ".join(parts)

    def _of_unit(self, unit: str, count: int) -> str:
        _ = self
        if unit == "d":
            return _.ngettext("%(number)sd", "%(number)sd", count, number=count)
        if unit == "h":
            return _.ngettext("%(number)sh", "%(number)sh", count, number=count)
        if unit == "min":
            return _.ngettext("%(number)sm", "%(number)sm", count, number=count)
        return _.ngettext("%(number)ss", "%(number)ss", count, number=count)

    # ---- names

    def service(self, name: str) -> str:
        """A service in words."""
        _ = self
        return _("all services") if name == EVERY else name

    def services(self, names: Sequence[str]) -> str:
        """Some services as a list."""
        return self.few([self.service(name) for name in names])

    def few(self, names: Sequence[str], most: int = 4) -> str:
        """Some names as a list; of very many only their number, and the first ones."""
        _ = self
        if len(names) <= most:
            return ", ".join(names)
        told, more = ", ".join(names[: most - 1]), len(names) - most + 1
        return _("%(names)s and %(count)s more", names=told, count=self.number(more))

    def author(self, author: str) -> str:
        """Who did something: "rule standard", "alice (page)", "alice (API)", "root"."""
        _ = self
        kind, _colon, name = author.partition(":")
        if kind == "rule":
            return _("rule %(rule)s", rule=name)
        who = name if kind == "user" else author
        if who.endswith("@web"):
            return _("%(user)s (page)", user=who.removesuffix("@web"))
        return _("%(user)s (API)", user=who.removesuffix("@api")) if who.endswith("@api") else who

    def cause(self, cause: str) -> str:
        """Why an attempt failed, or what a ban was for, where that is one of the usual causes; else as it is."""
        return self._causes.get(cause, cause)

    @functools.cached_property
    def _causes(self) -> dict[str, str]:
        # Looked up once: a page has hundreds of rows.
        _ = self
        return {
            "wrong password": _("wrong password"), "unknown account": _("unknown account"), "probe": _("probe"),
            "refused by acl": _("refused by acl"), "protocol abuse": _("protocol abuse"),
            "no credentials": _("no credentials"), "forbidden": _("forbidden"),
            "too many attempts": _("too many attempts"), "account disabled": _("account disabled"),
            "wrong code": _("wrong code"), "unknown token": _("unknown token"), "by hand": _("by hand"),
        }  # fmt: skip


ENGLISH: Final = Words()
"""What texts are in without anybody's choice; times are UTC."""


def _filled(translated: str, original: str, values: Mapping[str, object]) -> str:
    try:
        return translated % values
    except (KeyError, ValueError, TypeError):  # a translator's slip must not keep a warning from being told
        return original % values
