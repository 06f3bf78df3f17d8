"""The house rules that a machine can hold: small modules and functions, one clock, pure core, plain words."""

import ast
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULE_LINES_MAX = 450  # of code: neither blank nor comment nor docstring
FUNCTION_LINES_MAX = 60
MODULES = sorted((ROOT / "aaad").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
TEXTS = sorted(
    path
    for place in ("aaad", "bench", "config", "docs", "scripts", "systemd", "tests", ".ci")
    for path in (ROOT / place).rglob("*")
    if path.suffix in {".py", ".md", ".sql", ".toml", ".sh", ".po", ".c", ".h", ".service", ".conf", ".txt", ""}
    and path.is_file()
    and not {"__pycache__", "build"} & set(path.parts)
) + [path for path in ROOT.iterdir() if path.suffix in {".md", ".toml", ".txt"} or path.name == "Makefile"]
Functions = ast.FunctionDef | ast.AsyncFunctionDef


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def code_lines(source: str, tree: ast.Module) -> set[int]:
    """Numbers of the lines that are neither blank nor comment nor docstring."""
    lines = {
        number
        for number, line in enumerate(source.splitlines(), 1)
        if line.strip() and not line.lstrip().startswith("#")
    }
    docstrings: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant | ast.JoinedStr):  # what looks blank, or like a comment, in a text of ours
            lines.update(range(node.lineno, (node.end_lineno or 0) + 1))
        elif isinstance(node, ast.Module | ast.ClassDef | Functions) and ast.get_docstring(node) is not None:
            docstrings.update(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    return lines - docstrings


def test_a_module_says_what_it_is_and_is_small() -> None:
    found = []
    for path in MODULES:
        tree = parsed(path)
        if not ast.get_docstring(tree):
            found.append(f"{name(path)} does not begin with what it is")
        lines = code_lines(path.read_text(), tree)
        if len(lines) > MODULE_LINES_MAX:
            found.append(f"{name(path)} has {len(lines)} lines")
        for node in ast.walk(tree):
            if isinstance(node, Functions):
                size = len(lines.intersection(range(node.lineno, (node.end_lineno or 0) + 1)))
                if size > FUNCTION_LINES_MAX:
                    found.append(f"{node.name} in {name(path)} has {size} lines")
    assert not found, "\n".join(found)


# --- the clock ------------------------------------------------------------------------------------------------------

CLOCKS = {
    "time": {
        "time",
        "time_ns",
        "monotonic",
        "monotonic_ns",
        "localtime",
        "gmtime",
        "perf_counter",
        "perf_counter_ns",
    },
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
}


def clock_readings(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            owner = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
            if node.attr in CLOCKS.get(owner, ()):
                yield f"{owner}.{node.attr} in line {node.lineno}"
        elif isinstance(node, ast.ImportFrom) and node.module == "time":
            yield from (f"{alias.name} in line {node.lineno}" for alias in node.names if alias.name in CLOCKS["time"])


def test_only_the_clock_asks_the_clock() -> None:
    others = [path for path in MODULES if path.name != "clock.py"]
    found = [f"{name(path)}: {reading}" for path in others for reading in clock_readings(parsed(path))]
    assert not found, "\n".join(found)


def test_the_clocks_own_readings_would_be_found() -> None:
    tree = parsed(ROOT / "aaad" / "clock.py")
    assert len(list(clock_readings(tree))) == 5
    tree = ast.parse("from time import monotonic\nimport datetime\ndatetime.datetime.now()\ndatetime.date.today()")
    assert len(list(clock_readings(tree))) == 3


# --- layers ---------------------------------------------------------------------------------------------------------


@cache
def imports(path: Path) -> frozenset[str]:
    found: set[str] = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.update({node.module, *(f"{node.module}.{alias.name}" for alias in node.names)})
    return frozenset(found)


def room(path: Path) -> str:
    return path.relative_to(ROOT / "aaad").parts[0].removesuffix(".py")


def test_every_name_in_the_import_contracts_exists() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layered = {part.strip() for layer in contracts[0]["layers"] for part in layer.split("|")}
    named = {f"aaad.{part}" for part in layered} | set(contracts[1]["source_modules"])
    named |= {module for module in contracts[1]["forbidden_modules"] if module.startswith("aaad.")}
    for module in sorted(named):
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__init__.py").is_file(), module


def test_who_calls_itself_pure_is_in_the_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    held = tuple(contracts[1]["source_modules"])
    for path in MODULES:
        if re.search(r"\bPure[.:,]", ast.get_docstring(parsed(path)) or ""):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            assert module in held or module.rpartition(".")[0] in held, module


def test_imports_go_down_only_and_the_core_does_no_io() -> None:
    program = Path(sys.executable).with_name("lint-imports")
    if not program.exists():
        pytest.skip("import-linter is missing beside this Python: pip install aaad[dev]")
    done = subprocess.run([program], cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout


def test_rooms_take_plain_values_and_only_the_database_room_knows_asyncpg() -> None:
    found = []
    for path in MODULES:
        if room(path) not in {"daemon", "cli", "config", "__main__"}:
            config = {one for one in imports(path) if one == "aaad.config" or one.startswith("aaad.config.")}
            found += [f"{name(path)}: {one}" for one in config]
        if room(path) != "db":
            found += [f"{name(path)}: {one}" for one in imports(path) if one.split(".")[0] == "asyncpg"]
    assert not found, "\n".join(found)


# --- words ----------------------------------------------------------------------------------------------------------

EMPTY_NAMES = re.compile(
    r"(^|_)(utils?|helpers?|misc|mgr|manager|stuff|data2|do_it|handle_stuff)(_|$)", re.IGNORECASE
)
# Put together from pieces, so that this file does not hold what it looks for.
LOCAL_TEXTS = [
    "/wo" + "rk/",
    "/tmp/" + "venv",
    "/root" + "/",
    "pypi" + ".org",
    "python" + "hosted",
    "TO" + "DO",
    "FIX" + "ME",
    "XX" + "X:",
]


def test_names_say_something() -> None:
    found = []
    for path in MODULES:
        named = [node.name for node in ast.walk(parsed(path)) if isinstance(node, ast.ClassDef | Functions)]
        snake = [re.sub(r"(?<=[a-z])(?=[A-Z])", "_", word) for word in [*named, path.stem]]
        found += [f"{name(path)}: {word}" for word in snake if EMPTY_NAMES.search(word)]
    assert not found, "\n".join(found)


def test_no_text_tells_of_the_place_where_it_was_written_or_of_work_left() -> None:
    found = []
    for path in TEXTS:
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        found += [f"{name(path)}: {word}" for word in LOCAL_TEXTS if word in text]
    assert not found, "\n".join(found)


# --- tests ----------------------------------------------------------------------------------------------------------


def test_every_test_module_has_a_name_of_its_own() -> None:
    counts = Counter(path.name for path in TESTS if path.name not in {"conftest.py", "__init__.py"})
    assert [module for module, count in counts.items() if count > 1] == []


def test_tests_use_real_parts() -> None:
    named = [path for path in TESTS if "mock" in path.read_text()]
    mocking = [name(path) for path in named if {"unittest.mock", "mock", "pytest_mock"} & imports(path)]
    assert mocking == []


def test_a_test_module_says_what_it_holds() -> None:
    assert [name(path) for path in TESTS if not ast.get_docstring(ast.parse(path.read_text()))] == []
