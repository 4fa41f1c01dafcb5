"""The kinds made are tried as the guard will use them: all together, beside those that are there already."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ringfence.parse.catalogue import check_examples, load_catalogue

_WRONG = re.compile(r"([\w-]+)/[\w-]+: example (\d+): (.*)", re.DOTALL)
_FOLDER = "catalogue.d/"


def wrong_examples(files: dict[str, str], directories: Sequence[Path]) -> dict[str, list[tuple[int, str]]]:
    """Kind -> its examples (from 1) that another kind takes, and which; a kind that is no good at all has number 0."""
    made = {name.removeprefix(_FOLDER): text for name, text in files.items() if name.startswith(_FOLDER)}
    if not made:
        return {}
    found: dict[str, list[tuple[int, str]]] = {}
    with tempfile.TemporaryDirectory(prefix="ringfence-import-") as folder:
        for name, text in made.items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
        catalogue = load_catalogue([*directories, Path(folder)])
        for problem in catalogue.problems:
            kind = Path(problem.partition(":")[0]).stem
            if problem.startswith(folder) and f"{kind}.toml" in made:
                found.setdefault(kind, []).append((0, problem.partition(": ")[2]))
        for problem in check_examples(catalogue):
            told = _WRONG.fullmatch(problem)
            if told and f"{told[1]}.toml" in made:
                found.setdefault(told[1], []).append((int(told[2]), told[3]))
    return found
