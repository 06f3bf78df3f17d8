"""Named statements: what a file may look like, and what is refused."""

from pathlib import Path

import pytest

from aaad.db.statements import load_statements, parse_statements

TWO = """-- What this file is for.

-- name: find_login
-- By its folded name.
SELECT id FROM erp.login
WHERE erp.fold_login(name) = $1;

-- name: count_logins
SELECT count(*) FROM erp.login
"""


def test_statements_are_found_by_key_and_by_attribute_without_their_semicolon():
    statements = parse_statements(TWO, "queries.sql")
    assert statements["find_login"] == statements.find_login
    assert statements.find_login.endswith("WHERE erp.fold_login(name) = $1")
    assert statements.count_logins == "SELECT count(*) FROM erp.login"
    assert list(statements) == ["find_login", "count_logins"]
    assert len(statements) == 2


def test_a_statement_that_is_not_there_is_named_with_its_file():
    statements = parse_statements(TWO, "queries.sql")
    with pytest.raises(KeyError, match=r"queries\.sql has no statement find_plan"):
        statements["find_plan"]
    with pytest.raises(AttributeError, match=r"queries\.sql has no statement find_plan"):
        statements.find_plan  # noqa: B018
    with pytest.raises(AttributeError):
        statements._private  # noqa: B018


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SELECT 1;\n-- name: one\nSELECT 1", "x.sql:1: SQL before the first name"),
        ("-- name: one\nSELECT 1\n-- name: one\nSELECT 2", "x.sql:3: one is there twice"),
        ("-- name: One\nSELECT 1", "x.sql:1: 'One' is no name of a statement"),
        ("-- name: \nSELECT 1", "x.sql:1: '' is no name of a statement"),
        ("-- name: one\n-- only words\n\n-- name: two\nSELECT 2", "x.sql: one has no SQL"),
    ],
)
def test_a_wrong_file_is_refused_at_its_line(text, message):
    with pytest.raises(ValueError) as caught:
        parse_statements(text, "x.sql")
    assert str(caught.value) == message


def test_a_file_is_read_as_utf_8(tmp_path: Path):
    path = tmp_path / "queries.sql"
    path.write_bytes("-- name: say\nSELECT 'é'\n".encode())
    assert load_statements(path).say == "SELECT 'é'"
