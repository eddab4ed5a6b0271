"""What the documentation names is there, and the list of modules is complete."""

import json
import re
import tomllib
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from benchmarks import scale
from typer.main import get_command

from poise.cli.main import app

REPOSITORY = Path(__file__).parents[1]
PAGES = [
    REPOSITORY / "README.md",
    REPOSITORY / "CONTRIBUTING.md",
    REPOSITORY / "sample" / "README.md",
    *sorted((REPOSITORY / "docs").glob("*.md")),
]
ARCHITECTURE = REPOSITORY / "docs" / "architecture.md"
IMPORT_PACKAGES = {
    "poise": "platform/poise",
    "poise_models": "models/poise_models",
    "poise_retrieval": "retrieval/poise_retrieval",
}
VERBS: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
FOLDERS = "platform|models|retrieval|jobs|tests|tools|benchmarks|deploy|docs|sample"

per_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@per_page
def test_links_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not missing


@per_page
def test_paths_are_of_files_there_are(page: Path) -> None:
    named = re.findall(rf"(?<![\w/.-])(?:{FOLDERS})/[\w./*-]*[\w/*]", page.read_text())
    missing = [path for path in named if not any(REPOSITORY.glob(path.rstrip("/")))]
    assert not missing


@per_page
def test_tests_that_are_named_are_there(page: Path) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page.read_text())
    missing = [(file, test) for file, test in named if f"def {test}(" not in _text(file)]
    assert not missing


def test_the_page_of_scale_has_what_its_script_prints() -> None:
    rates = json.loads(scale.RATES.read_text())
    made = "\n".join(scale.tables(rates, scale.Node(32, 128 * scale.GB), 8, None)).strip()
    written = (REPOSITORY / "docs" / "scale.md").read_text()
    assert written.partition("<!-- scale -->\n")[2].partition("\n<!--")[0] == made


def _text(file: str) -> str:
    path = REPOSITORY / file
    return path.read_text() if path.is_file() else ""


def test_every_promise_names_its_tests() -> None:
    text = (REPOSITORY / "docs" / "security.md").read_text()
    rows = re.findall(r"^\| (\d) \|.*::test_\w+`.*\|$", text, re.MULTILINE)
    assert rows == list("12345678")


@per_page
def test_dotted_names_can_be_imported(page: Path) -> None:
    named = re.findall(r"`(poise(?:_models|_retrieval)?(?:\.\w+)+)(?:\(\))?`", page.read_text())
    missing = [name for name in named if not _is_there(name)]
    assert not missing


@per_page
def test_make_targets_are_in_the_makefile(page: Path) -> None:
    targets = re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    named = re.findall(r"(?:^|`|\$ )make ([a-z]+)\b", page.read_text(), re.MULTILINE)
    assert set(named) <= set(targets)


@per_page
def test_commands_have_the_verbs_and_options_they_are_shown_with(page: Path) -> None:
    wrong = [words for words in _commands(page.read_text()) if not _would_parse(words)]
    assert not wrong


def test_the_tree_lists_every_module_once() -> None:
    listed = list(_tree(ARCHITECTURE.read_text()))
    there = {
        str(path.relative_to(REPOSITORY))
        for folder in IMPORT_PACKAGES.values()
        for path in (REPOSITORY / folder).rglob("*.py")
        if path.name not in ("__init__.py", "__main__.py")
    }
    assert sorted(set(listed)) == sorted(listed), "a module is listed twice"
    assert set(listed) == there


def test_the_trees_are_in_the_order_that_the_contracts_hold() -> None:
    contracts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["importlinter"]
    listed = list(_tree(ARCHITECTURE.read_text()))
    for package, folder in IMPORT_PACKAGES.items():
        [layers] = [
            contract["layers"]
            for contract in contracts["contracts"]
            if contract.get("containers") == [package] and contract["type"] == "layers"
        ]
        rank = {
            name.strip(): place
            for place, layer in enumerate(reversed(layers))
            for name in layer.split("|")
        }
        inside = [path.removeprefix(f"{folder}/") for path in listed if path.startswith(folder)]
        ranks = [rank[path.split("/")[0].removesuffix(".py")] for path in inside]
        assert ranks == sorted(ranks), package


def test_the_readme_has_a_line_for_every_package() -> None:
    text = (REPOSITORY / "README.md").read_text()
    packages = [
        path.parent.name for path in (REPOSITORY / "platform" / "poise").glob("*/__init__.py")
    ]
    assert packages
    assert [name for name in packages if f"`{name}`" not in text] == []


def _blocks(text: str, *languages: str) -> list[str]:
    return [content for language, content in BLOCK.findall(text) if language in languages]


def _commands(text: str) -> Iterator[list[str]]:
    """The words of every ``poise ...`` and ``jobs/....py ...`` in code."""
    text = text.replace("\\\n", " ")
    blocks = _blocks(text, "", "console")
    inline = re.findall(r"`([^`\n]*)`", BLOCK.sub("", text))
    for line in [*inline, *(line for block in blocks for line in block.splitlines())]:
        for part in re.split(r"&&|\|| #", line):
            found = re.search(r"(?:^|\s)(?:poise ([a-z].*)|jobs/([a-z]+)\.py(.*))$", part.strip())
            if found:
                yield (found[1] or f"{found[2]} {found[3]}").split()


def _would_parse(words: list[str]) -> bool:
    """Whether a command has its verb, and every long option that it is shown with."""
    commands: dict[str, Any] = VERBS
    command = None
    for word in words:
        if word not in commands:
            break
        command = commands[word]
        commands = getattr(command, "commands", {})
    if command is None:
        return False
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    return {word for word in words if word.startswith("--")} <= known


def _tree(text: str) -> Iterator[str]:
    """Paths of the modules in the page's trees, which nest by two spaces a level."""
    for block in _blocks(text, ""):
        folders: list[str] = []
        for line in block.splitlines():
            indented, name = re.match(r"( *)(\S*)", line).groups()  # type: ignore[union-attr]
            del folders[len(indented) // 2 :]
            if name.endswith("/"):
                folders.append(name)
            elif name.endswith(".py"):
                yield "".join(folders) + name


def _is_there(name: str) -> bool:
    """Whether a dotted name is a module, or leads to an attribute of one."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            if find_spec(".".join(parts[:length])) is None:
                continue
        except ModuleNotFoundError:
            continue
        found = import_module(".".join(parts[:length]))
        for attribute in parts[length:]:
            if not hasattr(found, attribute):
                return False
            found = getattr(found, attribute)
        return True
    return False
