"""The compiled patterns are kept in a cache file; it may be missing, old or broken and never matters but for time."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path

import hyperscan
import pytest

from ringfence.parse.catalogue import Catalogue
from ringfence.parse.matcher import Matcher
from ringfence.parse.parser import Parser

LINE = b"Nov 21 20:34:50 pbx sshd[1234]: Failed password for root from 203.0.113.7 port 50122 ssh2\n"


def finds(catalogue: Catalogue, cache: Path | None) -> bool:
    parser = Parser(catalogue, zone=UTC, cache=cache)
    return [event.address for event in parser.reader("log", reference=1.8e9).read(LINE, 1)] == ["203.0.113.7"]


def test_the_cache_is_made_with_its_folder(catalogue: Catalogue, tmp_path: Path) -> None:
    assert finds(catalogue, tmp_path / "a" / "b")
    (file,) = (tmp_path / "a" / "b").iterdir()
    assert file.suffix == ".hs"


def test_the_cache_is_used_again(catalogue: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert finds(catalogue, tmp_path)
    before = {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()}

    class Never(hyperscan.Database):
        def compile(self, *_: object, **__: object) -> None:
            raise AssertionError("compiled again")

    monkeypatch.setattr(hyperscan, "Database", Never)
    assert finds(catalogue, tmp_path)
    assert {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()} == before


@pytest.mark.parametrize("damage", [b"", b"garbage", None])
def test_a_broken_cache_is_ignored_and_made_anew(catalogue: Catalogue, tmp_path: Path, damage: bytes | None) -> None:
    assert finds(catalogue, tmp_path)
    (file,) = tmp_path.iterdir()
    good = file.read_bytes()
    file.write_bytes(good[: len(good) // 2] if damage is None else damage)
    assert finds(catalogue, tmp_path)
    assert file.stat().st_size == len(good)


def test_another_catalogue_has_another_cache(catalogue: Catalogue, tmp_path: Path) -> None:
    Matcher(catalogue.patterns(), tmp_path)
    Matcher(catalogue.patterns()[:3], tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_cache_that_can_not_be_written_is_no_fault(catalogue: Catalogue, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert finds(catalogue, tmp_path / "file")
    assert finds(catalogue, None)


def test_without_patterns_nothing_is_found(tmp_path: Path) -> None:
    assert Matcher([], tmp_path).find(LINE) == []
    assert list(tmp_path.iterdir()) == []
