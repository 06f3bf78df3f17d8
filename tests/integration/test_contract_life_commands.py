"""`aaad contract …` over the functions of a contract's life: words, exit codes and questions, in both languages."""

from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from test_customer_commands import SEED, WIPE, Cli

from aaad.db.embedded import EmbeddedPostgres


@pytest.fixture(scope="module")
def database(postgres: EmbeddedPostgres, _template: str, tmp_path_factory: pytest.TempPathFactory) -> Cli:
    folder: Path = tmp_path_factory.mktemp("life")
    Cli(postgres.dsn("postgres"), folder / "first.toml").run_sql(f"CREATE DATABASE life TEMPLATE {_template}")
    return Cli(postgres.dsn("life"), folder / "aaad.toml")


@pytest.fixture
def aaad(database: Cli) -> Cli:
    database.run_sql(WIPE)
    database.run_sql(SEED)
    return database


def state(aaad: Cli, contract: int = 40) -> tuple[str, str]:
    return aaad.sql(f"SELECT status, access_status FROM erp.contract WHERE id = {contract}")[0]


WORDS = [
    ("block", "A", (), "Contrato 40 bloqueado."),
    ("unblock", "CM", (), "Contrato 40 desbloqueado."),
    ("notify", "A", (), "Aviso dado: o contrato 40 está em atraso e continua conectando."),
    ("await-signature", "A", (), "Contrato 40 aguardando assinatura."),
    ("sign", "AA", (), "Contrato 40 assinado."),
    ("suspend", "A", ("--yes",), "Plano suspenso com sucesso."),
    ("cancel", "A", ("--yes",), "Contrato 40 cancelado."),
]


@pytest.mark.parametrize(("name", "access", "more", "said"), WORDS)
def test_each_action_is_said_and_the_second_time_it_is_so_already(
    aaad: Cli, name: str, access: str, more: tuple[str, ...], said: str
) -> None:
    aaad.run_sql(f"UPDATE erp.contract SET access_status = '{access}' WHERE id = 40")
    done = aaad("contract", name, "40", *more, language="pt")
    assert (done.exit_code, done.output) == (0, said + "\n")
    again = aaad("contract", name, "40", as_json=True)
    assert (again.exit_code, again.json["changed"], again.json["code"]) == (0, False, 107)


def test_what_cannot_be_tells_the_state_and_the_code(aaad: Cli) -> None:
    aaad("contract", "block", "40")
    refused = aaad("contract", "release", "40", as_json=True)
    assert refused.exit_code == 1
    assert (refused.json["saved"], refused.json["code"], refused.json["reason"]) == (False, 109, "blocked_manually")
    assert refused.json["access_status"] == "CM"
    said = aaad("contract", "notify", "40", language="pt")
    assert said.complaint == "aaad: O contrato 40 não pode mudar assim: o status é A, o status de acesso é CM.\n"


def test_the_rules_of_suspension_in_words(aaad: Cli) -> None:
    today = datetime.now(ZoneInfo("America/Sao_Paulo")).date()  # the branch's
    for days, said in (
        (5, "Uma suspensão dura no mínimo 30 dias."),
        (300, "Uma suspensão dura no máximo 120 dias."),
    ):
        last = (today + timedelta(days)).isoformat()
        refused = aaad("contract", "suspend", "40", "--suspended-until", last, "--yes", language="pt")
        assert (refused.exit_code, refused.complaint) == (1, f"aaad: {said}\n")
    early = aaad("contract", "suspend", "40", "--suspended-from", "2020-01-01", "--yes", as_json=True)
    assert (early.exit_code, early.json["code"]) == (2, 122), "typed wrong"
    aaad("parameter", "set", "suspension_days_min", "3")
    refused = aaad("contract", "suspend", "40", "--suspended-until", (today + timedelta(1)).isoformat(), "--yes")
    assert refused.complaint == "aaad: A suspension lasts at least 3 days.\n"
    assert aaad("contract", "suspend", "40", "--yes").exit_code == 0
    assert aaad("contract", "resume", "40").exit_code == 0
    soon = aaad("contract", "suspend", "40", "--yes", as_json=True)
    assert (soon.json["code"], soon.json["reason"]) == (125, "too_soon")
    assert soon.json["allowed_on"] in soon.json["problem"]


def test_released_for_a_time_and_from_reduction(aaad: Cli) -> None:
    aaad.run_sql("UPDATE erp.contract SET access_status = 'CA' WHERE id = 40")
    done = aaad("contract", "release", "40", "--days", "9", language="pt")
    assert done.exit_code == 0
    assert done.output.startswith("Contrato 40 liberado até ")
    assert state(aaad) == ("A", "A")
    assert aaad("contract", "release", "40", "--days", "0").exit_code == 2
    aaad.run_sql(
        "UPDATE erp.plan SET late_after_days = 1, late_plan_id = 21 WHERE id = 20;"
        "UPDATE erp.contract SET speed_status = 'R' WHERE id = 40"
    )
    speed = aaad("contract", "release-speed", "40", as_json=True)
    assert speed.exit_code == 0
    assert speed.json["not_reduced_until"] == speed.json["contract"]["not_reduced_until"]
    assert speed.json["message"].endswith(f"until {speed.json['not_reduced_until']}.")


def test_another_plan_warns_of_the_circuit(aaad: Cli) -> None:
    done = aaad("contract", "change-plan", "41", "fibra 300", "--reason", "d", language="pt")
    assert (done.exit_code, done.output) == (0, "O contrato 41 agora tem o plano fibra 300.\n")
    assert "CHA000031-001" in done.complaint
    assert aaad.sql("SELECT plan_id, circuit, inclusion_reason FROM erp.contract WHERE id = 41") == [(20, None, "D")]
    wrong = aaad("contract", "change-plan", "41", "fibra 600", "--reason", "X")
    assert (wrong.exit_code, "--inclusion-reason" in wrong.complaint) == (2, True)
    aaad.run_sql("UPDATE erp.plan SET active = false WHERE id = 21")
    gone = aaad("contract", "change-plan", "41", "21", language="pt")
    assert (gone.exit_code, gone.complaint) == (1, "aaad: O plano 21 não é mais vendido.\n")


def test_another_owner_is_asked_for_and_told(aaad: Cli) -> None:
    asked = aaad("contract", "change-owner", "40", "31", language="pt")
    assert asked.exit_code == 2
    assert "Passar o contrato 40 de Ana Souza para Padaria Sol?" in asked.complaint
    assert aaad.sql("SELECT client_id FROM erp.contract WHERE id = 40") == [(123,)]
    aaad("contract", "block", "40")
    done = aaad("contract", "change-owner", "40", "12.ABC.345/01DE-35", "--yes", language="pt")
    assert (done.exit_code, done.output) == (0, "O contrato 40 agora é de Padaria Sol.\n")
    assert "o status de acesso continua CM" in done.complaint
    again = aaad("contract", "change-owner", "40", "31", as_json=True)
    assert (again.exit_code, again.json["changed"]) == (0, False), "nothing to ask"
    old = aaad("history", "client", "123", as_json=True).json
    assert ("owner_changed", "maria", "client: 123 → 31") in [
        (row["kind"], row["operator"], row["text"]) for row in old
    ]
    aaad.run_sql("UPDATE erp.client SET active = false WHERE id = 123")
    assert "is inactive" in aaad("contract", "change-owner", "40", "123", "--yes").complaint


def test_what_is_wrong_with_a_password_is_said_once(aaad: Cli) -> None:
    told = aaad("login", "password", "ana@fibra", "--set", "-", typed="ação\n")
    assert (told.exit_code, len(told.complaint.splitlines())) == (2, 1)
    assert "ação" not in told.complaint


def test_a_contract_of_an_inactive_client_is_told_with_his_name(aaad: Cli) -> None:
    aaad.run_sql("UPDATE erp.contract SET status = 'I' WHERE id = 40; UPDATE erp.client SET active = false")
    refused = aaad("contract", "activate", "40", language="pt")
    assert (refused.exit_code, refused.complaint) == (1, "aaad: O cliente Ana Souza está inativo.\n")
