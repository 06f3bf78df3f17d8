"""`aaad agenda …` as operators type it, in both languages and as JSON."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from test_customer_commands import SEED, WIPE, Cli

from aaad.agenda.ladder import Why
from aaad.cli.agenda import ADDABLE, KINDS, REASONS, STATES
from aaad.db.embedded import EmbeddedPostgres
from aaad.words import Language, text

MORE = """
INSERT INTO erp.ladder_step (action, since, days) VALUES ('notify', 'due', NULL), ('block', 'due', NULL);
INSERT INTO erp.parameter (name, value) VALUES
    ('no_block_days', ''), ('block_from_hour', '0'), ('block_until_hour', '24');
INSERT INTO erp.receivable (id, client_id, contract_id, amount, due_on) VALUES
    (1, 123, 40, 99, erp.today(10) - 40), (2, 31, 41, 50, erp.today(10) - 2);
INSERT INTO erp.notice (contract_id, client_id, told_at, channel, text_sha256) VALUES
    (40, 123, now() - interval '20 days', 'sms', sha256('x'));
INSERT INTO erp.operator_group (id, name) VALUES (81, 'Posto');
INSERT INTO erp.operator (name, group_id) VALUES ('rosa', 81);
INSERT INTO erp.operator_group_permission VALUES (81, 3), (81, 31);
"""


@pytest.fixture(scope="module")
def database(postgres: EmbeddedPostgres, _template: str, tmp_path_factory: pytest.TempPathFactory) -> Cli:
    folder = tmp_path_factory.mktemp("agenda")
    Cli(postgres.dsn("postgres"), folder / "first.toml").run_sql(f"CREATE DATABASE agenda TEMPLATE {_template}")
    return Cli(postgres.dsn("agenda"), folder / "aaad.toml")


@pytest.fixture
def aaad(database: Cli) -> Iterator[Cli]:
    database.run_sql(WIPE)
    database.run_sql("UPDATE net.chore SET due_at = now() WHERE name = 'agenda'")
    database.run_sql(SEED + MORE)
    return database


def test_the_dry_run_lists_what_would_happen_and_why(aaad: Cli) -> None:
    told = aaad("agenda", "run", "--dry-run", as_json=True).json
    lines = {(line["contract"], line["kind"]): (line["is_due"], line["why"]) for line in told["lines"]}
    assert lines == {
        (40, "block"): (True, "due"),
        (41, "notice"): (False, "not_yet"),
        (41, "block"): (False, "notice_missing"),
    }
    assert told["brake"] == {"held": False, "blocks": 1, "recent": 0, "allowance": 50}
    assert aaad.sql("SELECT count(*) FROM erp.task") == [(0,)]
    shown = aaad("agenda", "run", "--dry-run", language="pt")
    assert "Ana Souza" in shown.output
    assert "nenhum aviso" in shown.output
    aaad("parameter", "set", "require_notice", "N")
    assert "Anatel" in aaad("agenda", "run", "--dry-run", language="pt").complaint


def test_run_list_show(aaad: Cli) -> None:
    ran = aaad("agenda", "run", as_json=True).json
    assert ran == {"planned": 2, "held": 0, "looked_at": 2}  # with the purge
    assert aaad.sql("SELECT access_status FROM erp.contract WHERE id = 40") == [("CA",)]
    assert aaad("agenda", "list", as_json=True).json == []
    (row,) = aaad("agenda", "list", "--all", "--kind", "block", as_json=True).json
    assert (row["contract_id"], row["state"], row["client"]) == (40, "done", "Ana Souza")
    shown = aaad("agenda", "show", str(row["id"]), language="pt").output
    assert "bloqueio" in shown
    assert "feita" in shown
    assert aaad("agenda", "show", "999999").exit_code == 1


def test_add_with_the_branchs_hour_and_cancel(aaad: Cli) -> None:
    added = aaad(
        "agenda", "add", "change-plan", "--contract", "40", "--plan", "21", "--at", "2030-01-02 06:00", as_json=True
    )
    assert added.exit_code == 0, added.output + added.complaint
    number = added.json["id"]
    assert datetime.fromisoformat(added.json["due_at"]) == datetime(2030, 1, 2, 9, tzinfo=UTC)
    (row,) = aaad("agenda", "list", "--contract", "40", as_json=True).json
    assert (row["kind"], row["arguments"], row["created_by"]) == ("change_plan", {"plan_id": 21}, "maria")
    assert aaad("agenda", "cancel", str(number)).exit_code == 0
    assert aaad("agenda", "cancel", str(number)).exit_code == 1
    assert aaad.sql(f"SELECT state, ended_by FROM erp.task WHERE id = {number}") == [("cancelled", "maria")]


@pytest.mark.parametrize(
    "words",
    [
        ("block",),
        ("block", "--contract", "40", "--login", "ana@fibra"),
        ("block", "--login", "ana@fibra"),
        ("block", "--contract", "40", "--plan", "21"),
        ("change-plan", "--contract", "40"),
        ("disconnect", "--contract", "40", "--at", "amanhã"),
    ],
)
def test_what_cannot_be_put_on_the_agenda(aaad: Cli, words: tuple[str, ...]) -> None:
    assert aaad("agenda", "add", *words).exit_code == 2
    assert aaad.sql("SELECT count(*) FROM erp.task") == [(0,)]


@pytest.mark.parametrize(
    ("words", "lacking"),
    [
        (("change-plan", "--contract", "40", "--plan", "21"), [21]),
        (("block", "--contract", "40"), [14]),
        (("unblock", "--contract", "40"), [19]),
        (("cancel", "--contract", "40"), [9]),
        (("disconnect", "--contract", "40"), []),
    ],
)
def test_the_agenda_is_no_way_round_a_permission(aaad: Cli, words: tuple[str, ...], lacking: list[int]) -> None:
    told = aaad("agenda", "add", *words, as_json=True, operator="rosa")
    assert told.exit_code == (1 if lacking else 0)
    listed = ",".join(map(str, lacking)) or "0"
    names = [name for (name,) in aaad.sql(f"SELECT name FROM erp.permission WHERE id IN ({listed}) ORDER BY id")]
    assert told.json.get("permissions", []) == names


def test_failed_tasks_are_shown_and_tried_again(aaad: Cli) -> None:
    aaad.run_sql("UPDATE erp.contract SET status = 'D' WHERE id = 41")
    aaad("agenda", "add", "block", "--contract", "41")
    aaad("agenda", "run")
    (row,) = aaad("agenda", "list", as_json=True).json
    assert (row["state"], row["result"]) == ("failed", "109 contract_withdrawn")
    assert aaad("agenda", "retry", str(row["id"])).exit_code == 0
    assert aaad("agenda", "list", as_json=True).json[0]["state"] == "todo"
    aaad.run_sql("UPDATE erp.task SET state = 'done', ended_at = now()")
    assert aaad("agenda", "retry", str(row["id"])).exit_code == 1


def test_r8_4_what_the_brake_holds_is_told_released_or_dropped(aaad: Cli) -> None:
    aaad("parameter", "set", "block_brake_minimum", "1")
    aaad("parameter", "set", "block_brake_percent", "1")
    aaad.run_sql("UPDATE erp.receivable SET due_on = erp.today(10) - 40 WHERE id = 2")
    aaad.run_sql(
        "INSERT INTO erp.notice (contract_id, client_id, told_at, channel, text_sha256)"
        " VALUES (41, 31, now() - interval '20 days', 'sms', sha256('x'))"
    )
    assert "more than 1" in aaad("agenda", "run", "--dry-run").complaint
    assert aaad("agenda", "run", as_json=True).json["held"] == 2
    told = aaad("agenda", "list")
    ((run,),) = aaad.sql("SELECT DISTINCT run_id FROM erp.task WHERE state = 'held'")
    assert f"aaad agenda release {run}" in told.complaint
    assert aaad("agenda", "release", str(run + 1)).exit_code == 1
    assert aaad("agenda", "release", str(run)).exit_code == 0
    aaad("agenda", "run")
    assert aaad.sql("SELECT access_status FROM erp.contract ORDER BY id") == [("CA",), ("CA",)]
    assert aaad("agenda", "cancel", "--run", str(run)).exit_code == 1, "nothing is left to do"


def test_a_run_that_is_dropped_is_not_planned_again(aaad: Cli) -> None:
    aaad.run_sql("INSERT INTO erp.task (kind, contract_id, key, state, run_id) SELECT 'block', 40, 'k', 'held', id"
                 " FROM net.run LIMIT 1")  # fmt: skip
    ((run,),) = aaad.sql("SELECT run_id FROM erp.task")
    assert aaad("agenda", "cancel", "--run", str(run)).exit_code == 0
    assert aaad.sql("SELECT state, key FROM erp.task") == [("cancelled", "k")]


def test_holidays(aaad: Cli) -> None:
    assert aaad("agenda", "add-holiday", "2030-08-25", "Aniversário de Chapecó", "--branch", "10").exit_code == 0
    assert aaad("agenda", "add-holiday", "2030-08-25", "Outra vez", "--branch", "10").exit_code == 1
    assert aaad("agenda", "add-holiday", "2030-08", "Um mês").exit_code == 2
    (row,) = aaad("agenda", "holidays", as_json=True).json
    assert (row["day"], row["name"], row["branch"]) == ("2030-08-25", "Aniversário de Chapecó", "Matriz")
    assert aaad("agenda", "delete-holiday", str(row["id"])).exit_code == 0
    assert aaad("agenda", "holidays", as_json=True).json == []


def test_every_code_has_words_in_both_languages(aaad: Cli) -> None:
    kinds = aaad.sql("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'task_kind_known'")[0][0]
    states = aaad.sql("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'task_state_known'")[0][0]
    assert all(f"'{kind}'" in kinds for kind in KINDS)
    assert kinds.count("::text") == len(KINDS)
    assert all(f"'{state}'" in states for state in STATES)
    assert states.count("::text") == len(STATES)
    assert set(REASONS) == set(Why)
    assert {kind for kind, _ in ADDABLE.values()} <= set(KINDS)
    for english in (*KINDS.values(), *STATES.values(), *REASONS.values()):
        assert text(english, Language.PORTUGUESE) != english, english
