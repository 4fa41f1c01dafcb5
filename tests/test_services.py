"""The page on services tells of every kind that is shipped, and of nothing else."""

from __future__ import annotations

from pathlib import Path

from ringfence.parse.catalogue import load_catalogue
from ringfence.services import reference_markdown

PAGE = Path(__file__).parent.parent / "docs" / "services.md"


def test_the_page_is_made_from_the_catalogue() -> None:
    assert PAGE.read_text() == reference_markdown(load_catalogue()), (
        "run: python -m ringfence.services > docs/services.md"
    )


def test_every_kind_has_a_section_with_what_to_switch_on_and_what_cannot_be_seen() -> None:
    catalogue = load_catalogue()
    sections = PAGE.read_text().split("\n## ")[1:]
    assert len(sections) == len(catalogue.kinds)
    for kind in catalogue.kinds.values():
        section = next(text for text in sections if f"Kind `{kind.name}`" in text)
        assert kind.title in section
        assert ("**Switch on:**" in section) == bool(kind.note)
        assert ("**Can't be seen:**" in section) == bool(kind.blind)
