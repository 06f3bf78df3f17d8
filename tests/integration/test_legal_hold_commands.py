"""`aaad legal-hold …` on a real PostgreSQL (rule R9.2)."""

import json

import pytest
from test_nas_commands import SEED, Shell

from aaad.db.embedded import EmbeddedPostgres

MORE = """
INSERT INTO erp.login (id, contract_id, name, password) VALUES (7, 1, 'ana', 'x1');
INSERT INTO net.nas (id, name, address, secret) VALUES (3, 'bras-1', '192.0.2.1', 's');
"""


@pytest.fixture(scope="module")
def shell(postgres: EmbeddedPostgres, _template: str, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    Shell(postgres.dsn("postgres"), tmp_path_factory.mktemp("a")).sql(
        f"CREATE DATABASE legal_hold TEMPLATE {_template}"
    )
    made = Shell(postgres.dsn("legal_hold"), tmp_path_factory.mktemp("b"))
    for statement in (SEED + MORE).strip().split(";\n"):
        made.sql(statement.rstrip(";"))
    return made


def test_a_hold_is_added_listed_and_released(shell: Shell) -> None:
    words = ["--login", "ana", "--address", "100.64.0.0/24", "--nas", "bras-1", "--reason", "Ofício 12/2026"]
    times = ["--since", "2026-11-20T03:15:22-03:00", "--until", "2026-11-21T00:00:00Z"]
    added = shell.json("legal-hold", "add", *words, *times)
    hold = added["legal_hold"]
    assert added["warnings"] == []
    assert (hold["login"], hold["nas"], hold["address"], hold["reason"]) == (
        "ana",
        "bras-1",
        "100.64.0.0/24",
        "Ofício 12/2026",
    )
    row = shell.sql("SELECT since, until, created_by FROM net.legal_hold WHERE id = $1", hold["id"])[0]
    assert (row["since"].isoformat(), row["until"].isoformat()) == (
        "2026-11-20T06:15:22+00:00",
        "2026-11-21T00:00:00+00:00",
    )
    assert row["created_by"] not in ("", "postgres")  # who called, not the database's account
    assert "Ofício 12/2026" in shell.run("legal-hold", "list", language="pt").output
    assert [found["id"] for found in shell.json("legal-hold", "list")] == [hold["id"]]
    released = shell.json("legal-hold", "release", str(hold["id"]), "--reason", "Ofício 40/2027")
    assert released["legal_hold"]["release_reason"] == "Ofício 40/2027"
    assert shell.json("legal-hold", "list") == []
    assert [found["id"] for found in shell.json("legal-hold", "list", "--all")] == [hold["id"]]
    again = shell.json("legal-hold", "release", str(hold["id"]), "--reason", "x", code=1)
    assert again["problem"] == f"There is no legal hold {hold['id']} in force."
    told = shell.sql("SELECT text FROM erp.history WHERE kind = 'legal_hold_changed' ORDER BY id")
    assert [row["text"] for row in told] == [f"legal hold {hold['id']}: {what}" for what in ("added", "released")]
    assert "legal" not in shell.run("history", "login", "ana").output  # an order may be secret


@pytest.mark.parametrize(
    ("words", "option"),
    [
        ((), "--reason"),
        (("--reason", " "), "--reason"),
        (("--reason", "x", "--login", "nobody"), "--login"),
        (("--reason", "x", "--address", "100.64.0.1/24"), "--address"),
        (("--reason", "x", "--since", "2026-11-20T03:15:22"), "--since"),  # no zone
        (("--reason", "x", "--since", "20/11/2026"), "--since"),
        (("--reason", "x", "--since", "2026-11-20T03:00Z", "--until", "2026-11-20T02:59Z"), "--until"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_held(shell: Shell, words: tuple[str, ...], option: str) -> None:
    before = shell.sql("SELECT count(*) FROM net.legal_hold")
    refused = shell.json("legal-hold", "add", *words, code=2)
    assert option in {problem["option"] for problem in refused["problems"]}, json.dumps(refused)
    assert shell.sql("SELECT count(*) FROM net.legal_hold") == before


def test_who_holds_everything_is_told_so(shell: Shell) -> None:
    added = shell.json("legal-hold", "add", "--reason", "preservation of all")
    assert added["warnings"] == ["This hold keeps all sessions, of everybody, for as long as it is not released."]
