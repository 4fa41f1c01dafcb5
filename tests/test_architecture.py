"""The map holds: arrows of import, sizes, docstrings, documented settings, a slim daemon."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest

import ringfence
from ringfence.parse.catalogue import load_catalogue
from ringfence.settings import TABLES, docs_of
from ringfence.values import PortRange, parse_ports

SOURCE = Path(ringfence.__file__).parent
ROOT = Path(__file__).parent.parent
FILES = sorted(path for path in SOURCE.rglob("*.py") if "__pycache__" not in path.parts)
LINE = ("sense", "parse", "detect", "ledger", "enforce")
"""The way of the data: a folder may import what stands left of it."""
COMMON = {"model", "errors"}
HEAVY = ("typer", "rich", "pydantic", "jinja2", "click", "litestar", "requests")
LONGEST = 400


def named(path: Path) -> str:
    return str(path.relative_to(SOURCE))


def imports(tree: ast.AST, package: list[str]) -> Iterator[tuple[str, int]]:
    """What of ours is imported anywhere in a module, as "parse.reader", with the line; inner imports count too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = [*above, *filter(None, [node.module])]
            yield from ((".".join([*base, alias.name]), node.lineno) for alias in node.names)


def ours(path: Path) -> Iterator[tuple[str, int]]:
    """The parts of ours that a module imports: the first name below `ringfence` and the line."""
    package = ["ringfence", *path.relative_to(SOURCE).parent.parts]
    for name, line in imports(ast.parse(path.read_text()), package):
        head, _, rest = name.partition(".")
        if head == "ringfence":
            yield rest.partition(".")[0], line


@pytest.mark.parametrize("folder", LINE)
def test_a_folder_imports_only_what_stands_left_of_it(folder: str) -> None:
    allowed = {*LINE[: LINE.index(folder) + 1], *COMMON}
    files = [path for path in FILES if path.relative_to(SOURCE).parts[0] == folder]
    assert files
    wrong = [
        f"{named(path)}:{line} imports {part}" for path in files for part, line in ours(path) if part not in allowed
    ]
    assert wrong == []


@pytest.mark.parametrize("module", sorted(COMMON))
def test_what_everything_imports_imports_nothing_of_ours(module: str) -> None:
    assert list(ours(SOURCE / f"{module}.py")) == []


def test_no_folder_is_forgotten() -> None:
    """A new folder must be given its place in the line, or be one that composes."""
    folders = {path.name for path in SOURCE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders - {*LINE, "cli", "catalogue", "web", "alert", "importing"} == set()


def test_the_pure_folders_have_no_clock_no_network_and_no_logging() -> None:
    harmless = {"socket.inet_pton", "socket.inet_ntop", "socket.AF_INET", "socket.AF_INET6"}  # arithmetic, no network
    banned = {"time", "socket", "subprocess", "logging", "asyncio", "threading", "sqlite3", "random"}
    wrong = []
    for path in FILES:
        if path.relative_to(SOURCE).parts[0] in ("parse", "detect"):
            names = imports(ast.parse(path.read_text()), [])
            wrong += [
                f"{named(path)}:{line} imports {name}"
                for name, line in names
                if name.partition(".")[0] in banned and name not in harmless
            ]
    assert wrong == []


def test_the_checker_sees_an_arrow_that_points_back() -> None:
    for text in (
        "from ringfence.enforce import nft",
        "import ringfence.enforce.nft",
        "from ..enforce import nft",
        "from .. import enforce",
    ):
        names = [name for name, _ in imports(ast.parse(text), ["ringfence", "parse"])]
        assert [name.split(".")[:2] for name in names] == [["ringfence", "enforce"]], text


def is_setter(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether it sets a property, which its getter tells of."""
    return any(isinstance(each, ast.Attribute) and each.attr == "setter" for each in function.decorator_list)


@pytest.mark.parametrize("path", FILES, ids=named)
def test_every_module_and_public_name_has_a_docstring(path: Path) -> None:
    tree = ast.parse(path.read_text())
    missing = [] if ast.get_docstring(tree) else ["the module"]
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            missing += [] if ast.get_docstring(node) else [f"{node.name} (line {node.lineno})"]
            for inner in node.body if isinstance(node, ast.ClassDef) else []:
                if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef) and not inner.name.startswith("_"):
                    told = ast.get_docstring(inner) or is_setter(inner)
                    missing += [] if told else [f"{node.name}.{inner.name} (line {inner.lineno})"]
    assert missing == []


@pytest.mark.parametrize("path", FILES, ids=named)
def test_no_module_is_long(path: Path) -> None:
    assert path.read_text().count("\n") <= LONGEST


def test_every_folder_says_what_it_may_import() -> None:
    for folder in LINE:
        docstring = ast.get_docstring(ast.parse((SOURCE / folder / "__init__.py").read_text())) or ""
        assert "import" in docstring, folder


@pytest.mark.parametrize("table", sorted(TABLES))
def test_every_setting_is_documented(table: str) -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    for key, doc in docs_of(TABLES[table]).items():
        assert doc.meaning, key
        assert any(row.startswith(f"| `{key}` |") for row in rows), f"{table}.{key}"


def modules_after(statement: str) -> set[str]:
    """The names of all modules in a fresh interpreter after `statement`."""
    program = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


@pytest.mark.parametrize(
    "statement", ["import ringfence.daemon", "import ringfence.__main__, ringfence.daemon", "import ringfence.commands"]
)
def test_the_daemon_loads_no_library_that_only_draws_tables(statement: str) -> None:
    loaded = modules_after(statement)
    assert "ringfence.model" in loaded
    assert loaded.isdisjoint(HEAVY), loaded.intersection(HEAVY)


def test_the_ports_of_every_kind_are_those_that_settings_would_read() -> None:
    """What several kinds name for one service is closed together."""
    catalogue = load_catalogue()
    assert catalogue.problems == ()
    named: dict[str, set[PortRange]] = {}
    for file in resources.files("ringfence.catalogue").iterdir():
        if file.name.endswith(".toml"):
            for service, ports in tomllib.loads(file.read_text("utf-8")).get("services", {}).items():
                named.setdefault(service, set()).update(map(parse_ports, ports))
    assert {service: set(catalogue.services[service].ports) for service in named} == named
