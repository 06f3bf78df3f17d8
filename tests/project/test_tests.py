"""Every test shows what it asserts: by `assert`, by `pytest.raises`, or by a call of what is named check_…."""

import ast
import re
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
Functions = ast.FunctionDef | ast.AsyncFunctionDef


def asserts(test: ast.AST) -> bool:
    for node in ast.walk(test):
        called = getattr(node.func, "attr", getattr(node.func, "id", "")) if isinstance(node, ast.Call) else ""
        if isinstance(node, ast.Assert) or re.match("raises$|fail$|_?(check|assert|expect)_", called):
            return True
    return False


def test_every_test_shows_what_it_asserts() -> None:
    silent = [
        f"{path.relative_to(TESTS)}: {node.name}"
        for path in TESTS.rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, Functions) and node.name.startswith("test_") and not asserts(node)
    ]
    assert not silent, "\n".join(silent)


def test_one_that_shows_nothing_would_be_found() -> None:
    silent, shown = ast.parse("def test_a(): run()"), ast.parse("def test_b(): check_all()")
    assert (asserts(silent), asserts(shown)) == (False, True)
