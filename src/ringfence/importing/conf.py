"""fail2ban's configuration files: which are read in which order, and what stands in them after interpolation.

Source: jail.conf(5). `NAME.conf`, then `NAME.d/*.conf`, then `NAME.local`, then `NAME.d/*.local`; each may name files
to be read `before` and `after` it; a later value takes an earlier one's place. `%(key)s` is another value,
`%(known/key)s` the one that it took the place of, `%(section/key)s` that of another section.
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from ringfence.errors import RingfenceError

_REFERENCE = re.compile(r"%(?:%|\(([^()]+)\)s)")
_DEEPEST = 10
_MOST_FILES = 500
_LARGEST = 1 << 20


class ConfError(RingfenceError):
    """A file of fail2ban's can't be read or does not say what it should: names file (or section and key) and reason."""


class Conf:
    """Several files as one: sections, defaults, and what was replaced by a later file (`known`)."""

    def __init__(self, files: Iterable[Path]) -> None:
        self.files: list[Path] = []
        self.defaults: dict[str, str] = {}
        self.sections: dict[str, dict[str, str]] = {}
        self._known: dict[str, dict[str, str]] = {}
        for file in files:
            for each in _with_includes(file, ()):
                self._merge(each)

    def _merge(self, file: Path) -> None:
        if len(self.files) >= _MOST_FILES:
            raise ConfError(f"{file}: more than {_MOST_FILES} files are included")
        defaults, sections = _parse(file)
        self.files.append(file)
        self.defaults |= defaults
        for name, values in sections.items():
            section = self.sections.setdefault(name, {})
            replaced = {key: value for key, value in section.items() if key in values}
            self._known.setdefault(name, {}).update(replaced)
            section |= values

    def has(self, section: str, key: str) -> bool:
        """Whether `section` itself gives `key`."""
        return key in self.sections.get(section, {})

    def get(self, section: str, key: str, given: Mapping[str, str] | None = None) -> str | None:
        """The value after interpolation, None if there is none. `given` goes before what the files say.

        Raises ConfError when it refers to something that does not exist, or to itself.
        """
        raw = self._raw(section, key, given or {})
        return None if raw is None else self._filled(section, key, raw, given or {}, 0)

    def _raw(self, section: str, key: str, given: Mapping[str, str]) -> str | None:
        for values in (given, self.sections.get(section, {}), self.defaults):
            if key in values:
                return values[key]
        return None

    def _filled(self, section: str, key: str, text: str, given: Mapping[str, str], depth: int) -> str:
        if depth > _DEEPEST:
            raise ConfError(f"[{section}] {key}: refers to itself, or too deeply")
        written, position = [], 0
        for found in _REFERENCE.finditer(text):
            written.append(text[position : found.start()])
            position = found.end()
            written.append(self._referred(section, key, found[1], given, depth) if found[1] else "%")
        return "".join(written) + text[position:]

    def _referred(self, section: str, key: str, name: str, given: Mapping[str, str], depth: int) -> str:
        name = name.lower() if "/" not in name else name
        raw = section if name == "__name__" else self._raw(section, name, given)
        if raw is not None and name in given:
            return raw  # what was given is text already
        if raw is None and "/" in name:
            raw = self._elsewhere(section, *name.split("/", 1))
        if raw is None:
            raise ConfError(f"[{section}] {key}: refers to %({name})s, which no file gives")
        return self._filled(section, key, raw, given, depth + 1)

    def _elsewhere(self, section: str, other: str, key: str) -> str | None:
        key = key.lower()
        if other.lower() == "known":
            return self._known.get(section, {}).get(key, self.defaults.get(key))
        if other.lower() == "default":
            return self.defaults.get(key)
        return self.sections.get(other, {}).get(key, self.defaults.get(key))


def files_of(base: Path) -> list[Path]:
    """The files of `base` (a path without its ending) that exist, in the order in which they are read."""
    folder = base.with_name(base.name + ".d")
    return [
        file
        for group in (
            [base.with_name(base.name + ".conf")],
            sorted(folder.glob("*.conf")),
            [base.with_name(base.name + ".local")],
            sorted(folder.glob("*.local")),
        )
        for file in group
        if file.is_file()
    ]


def _with_includes(file: Path, above: tuple[Path, ...]) -> Iterator[Path]:
    """`file` with what is to be read before and after it; one that includes itself is read once."""
    _, sections = _parse(file)
    includes = sections.get("INCLUDES", {})
    for when in ("before", "after"):
        if when == "after":
            yield file
        for name in includes.get(when, "").split("\n"):
            other = file.parent / name.strip()
            if not name.strip() or other in (*above, file):
                continue
            local = other.with_suffix(".local")
            for each in dict.fromkeys((other, local)):
                if each.is_file():
                    yield from _with_includes(each, (*above, file))


def _told(file: Path, error: configparser.Error) -> str:
    """What the parser says about a file, with the line in front."""
    if isinstance(error, configparser.ParsingError) and getattr(error, "errors", None):
        line, what = error.errors[0]
        return f"{file}:{line}: is neither a section nor `key = value`: {what}"
    said = re.sub(r"^While reading from .*?\]: |\nfile: .*", "", str(error), flags=re.DOTALL)
    return f"{file}:{getattr(error, 'lineno', 1)}: {said}"


def _parse(file: Path) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """(defaults, sections) of one file, as they stand there."""
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";",))
    try:
        if file.stat().st_size > _LARGEST:
            raise ConfError(f"{file}: is larger than {_LARGEST} bytes; no file of fail2ban's is")
        parser.read_string(file.read_text(encoding="utf-8"), str(file))
    except OSError as error:
        raise ConfError(f"{file}: can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfError(f"{file}: is not UTF-8 (byte {error.start})") from error
    except configparser.Error as error:
        raise ConfError(_told(file, error)) from error
    own = {name: dict(parser._sections[name]) for name in parser.sections()}  # type: ignore[attr-defined]
    return dict(parser.defaults()), own
