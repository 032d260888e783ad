"""The shape of the project: who may import whom, what is packaged, which texts and settings exist."""

from __future__ import annotations

import ast
import re
import string
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from tingchao.config.language import LANGUAGES, catalogue
from tingchao.config.load import DEFAULTS
from tingchao.config.routes import RoutesFile
from tingchao.config.rules import RulesFile
from tingchao.config.settings import CrawlSettings, MainFile, load
from tingchao.config.signals import SIGNALS
from tingchao.config.sources import SourcesFile
from tingchao.config.topics import TopicsFile
from tingchao.pipeline.records import ACTIVE, Alert

ROOT = Path(__file__).resolve().parent.parent
# The table of ARCHITECTURE.md, "Who may import whom".
MAY = {
    "config": set[str](),
    "models": {"config"},
    "pipeline": {"config", "models"},
    "crawlers": {"config", "pipeline"},
    "alerts": {"config", "pipeline"},
}
KNOWS_ALL = ROOT / "pipeline" / "commands"
FILES = [file for package in MAY for file in sorted((ROOT / package).rglob("*.py"))]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def imports(file: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of all that the file imports, also inside functions; '.' stands before relative ones."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


@pytest.mark.parametrize("package", MAY)
def test_a_package_imports_only_what_the_table_allows(package: str) -> None:
    allowed = MAY[package] | {package}
    wrong = [
        f"{file.relative_to(ROOT)}:{line} imports {name}"
        for file in FILES
        if file.is_relative_to(ROOT / package) and not file.is_relative_to(KNOWS_ALL)
        for line, name in imports(file)
        if name.startswith("tingchao") and name.split(".")[1] not in allowed
    ]
    assert wrong == []


def test_imports_of_ours_are_absolute_and_begin_with_the_project_s_name() -> None:
    bare = re.compile(rf"\.|({'|'.join(MAY)})(\.|$)")
    everywhere = [
        *FILES,
        *(ROOT / "tests").glob("*.py"),
        *(ROOT / "demo").rglob("*.py"),
        *(ROOT / "bench").rglob("*.py"),
    ]
    wrong = [
        f"{file.relative_to(ROOT)}:{line} imports {name}"
        for file in everywhere
        for line, name in imports(file)
        if bare.match(name)
    ]
    assert wrong == []


def test_the_listed_packages_are_the_directories() -> None:
    # A package that is not listed works in an editable install and is missing in the wheel.
    packaged = {f"tingchao.{file.parent.relative_to(ROOT).as_posix().replace('/', '.')}" for file in FILES}
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == packaged
    assert set(PROJECT["tool"]["mypy"]["packages"]) == {f"tingchao.{name}" for name in MAY}  # with what is in them
    assert {name.split(".")[1] for name in packaged} == set(MAY)
    for name in packaged:
        assert (ROOT / name.partition(".")[2].replace(".", "/") / "__init__.py").is_file()
    assert not (ROOT / "tests" / "__init__.py").exists()


def test_every_file_beside_the_code_is_packaged() -> None:
    data = PROJECT["tool"]["setuptools"]["package-data"]
    for package in MAY:
        folder, patterns = ROOT / package, data.get(f"tingchao.{package}", [])
        packaged = {file for pattern in patterns for file in folder.glob(pattern)}
        beside = {file for file in folder.iterdir() if file.is_file() and file.suffix not in {".py", ".pyc"}}
        assert beside <= packaged


def test_bare_names_of_packages_are_banned() -> None:
    banned = PROJECT["tool"]["ruff"]["lint"]["flake8-tidy-imports"]["banned-api"]
    assert set(MAY) <= set(banned)


def test_nothing_below_the_command_line_asks_the_machine_for_the_time() -> None:
    wrong = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for file in FILES
        # polite.py: politeness is towards real servers, in real time
        if file.name not in {"clock.py", "polite.py"}
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in {"datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time"}
    ]
    assert wrong == []


# User-facing texts


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("key", sorted(catalogue()))
def test_a_text_is_there_in_every_language_with_the_same_fields(key: str) -> None:
    texts = catalogue()[key]
    assert set(texts) == set(LANGUAGES)
    assert len({frozenset(fields(text)) for text in texts.values()}) == 1


def wrappers(tree: ast.Module) -> dict[str, str]:
    """Functions that give their first parameter to `text`, with what they set before it."""
    found = {"text": ""}
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.args.args]
    for _ in range(2):  # a wrapper of a wrapper, as in commands/base.py
        for function in functions:
            for call in ast.walk(function):
                if (
                    isinstance(call, ast.Call)
                    and isinstance(call.func, ast.Name)
                    and call.func.id in found
                    and call.args
                ):
                    match call.args[0]:
                        case ast.JoinedStr([ast.Constant(str(before)), ast.FormattedValue(ast.Name(name))]):
                            if name == function.args.args[0].arg:
                                found[function.name] = found[call.func.id] + before
    return found


def used(file: Path) -> Iterator[tuple[int, str, set[str] | None]]:
    """Line, key as a pattern, and names of the values of each text that is asked for (None: not known here)."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    modules = {node.module for node in tree.body if isinstance(node, ast.ImportFrom)}
    if not modules & {"tingchao.config.language", "tingchao.pipeline.commands.base"}:
        return
    known = wrappers(tree)
    if "tingchao.pipeline.commands.base" in modules:
        known |= wrappers(ast.parse((KNOWS_ALL / "base.py").read_text(encoding="utf-8")))
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in known and call.args:
            names = {keyword.arg for keyword in call.keywords if keyword.arg is not None}
            spread = any(keyword.arg is None for keyword in call.keywords) or isinstance(call.args[0], ast.JoinedStr)
            for pattern in patterns(call.args[0]):
                yield call.lineno, re.escape(known[call.func.id]) + pattern, None if spread else names


def patterns(key: ast.expr) -> list[str]:
    match key:
        case ast.Constant(str(value)):
            return [re.escape(value)]
        case ast.IfExp():
            return patterns(key.body) + patterns(key.orelse)
        case ast.JoinedStr(parts):
            return [
                "".join(re.escape(str(part.value)) if isinstance(part, ast.Constant) else "[^.]+" for part in parts)
            ]
    return []


def test_every_text_that_the_code_asks_for_is_there_and_gets_its_fields() -> None:
    wrong, seen = [], 0
    for file in [*FILES, *(ROOT / "demo").glob("*.py")]:
        for line, pattern, given in used(file):
            seen += 1
            place = f"{file.relative_to(ROOT)}:{line} {pattern}"
            keys = [key for key in catalogue() if re.fullmatch(pattern, key)]
            if not keys:
                wrong.append(f"{place}: no such text in messages.toml")
            wrong += [
                f"{place}: {key} needs {sorted(fields(text) - given)}"
                for key in keys
                if given is not None
                for text in catalogue()[key].values()
                if not fields(text) <= given
            ]
    assert wrong == []
    assert seen > 100, "the test does not see the texts any more"


def test_names_that_come_from_data_have_their_texts() -> None:
    states = set(ACTIVE) | {"resolved", "false_alarm", "past"}
    assert str(Alert.__annotations__["state"]) == "State"
    wanted = [f"signal.{name}" for name in SIGNALS] + [f"cli.state.{name}" for name in states]
    wanted += [f"cli.level.{level}" for level in (1, 2, 3)]
    assert [key for key in wanted if key not in catalogue()] == []


# Settings


def test_every_default_file_loads() -> None:
    for file in DEFAULTS.glob("*.toml"):
        tomllib.loads(file.read_text(encoding="utf-8"))
    settings = load()
    assert settings.main == MainFile()  # the commented defaults are the defaults
    assert settings.topics
    assert settings.rules
    assert settings.main.crawl == CrawlSettings()


def blocks(model: type[BaseModel]) -> set[type[BaseModel]]:
    found: set[type[BaseModel]] = set()
    ahead: list[object] = [model]
    while ahead:
        annotation = ahead.pop()
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            if annotation not in found:  # a route has routes
                found.add(annotation)
                ahead += [field.annotation for field in annotation.model_fields.values()]
        else:
            ahead += getattr(annotation, "__args__", ())
    return found


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("tingchao.toml", MainFile),
        ("sources.toml", SourcesFile),
        ("topics.toml", TopicsFile),
        ("rules.toml", RulesFile),
        ("routes.toml", RoutesFile),
    ],
)
def test_every_setting_stands_in_its_default_file(name: str, model: type[BaseModel]) -> None:
    lines = (DEFAULTS / name).read_text(encoding="utf-8").splitlines()
    for block in blocks(model):
        for field in (info.alias or name for name, info in block.model_fields.items()):
            said = re.compile(rf"[#\s]*\[*{field}(\]|\s*=|\s\s+\S)|.*[{{,]\s*{field}\s*=")
            assert any(said.match(line) for line in lines), f"{name} does not tell of {block.__name__}.{field}"
