"""The operators' commands on the ERP's records, on a real PostgreSQL, in both languages, with the seeds' words."""

import json
import os
import pty
import re
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from one_connection import connection
from typing_person import type_line

from aaad.cli.options import Options
from aaad.db.embedded import EmbeddedPostgres

UNTIL = datetime.now(UTC).date() + timedelta(60)
ROOT = Path(__file__).parents[2]
SEED = """
INSERT INTO erp.branch (id, name, time_zone) VALUES (10, 'Matriz', 'America/Sao_Paulo');
INSERT INTO erp.plan (id, name, upload, download) VALUES
    (20, 'Fibra 300', '150M', '300M'), (21, 'Fibra 600', '300M', '600M');
INSERT INTO erp.client (id, branch_id, kind, name, document, city) VALUES
    (123, 10, 'F', 'Ana Souza', '52998224725', 'Chapecó'), (31, 10, 'J', 'Padaria Sol', '12ABC34501DE35', NULL);
INSERT INTO erp.contract (id, client_id, branch_id, plan_id, status, circuit) VALUES
    (40, 123, 10, 20, 'A', NULL), (41, 31, 10, 21, 'A', 'CHA000031-001');
INSERT INTO erp.login (id, contract_id, name, password, mac) VALUES
    (50, 40, 'ana@fibra', 'senha-ana', '00:1A:2B:3C:4D:5E'), (51, 41, 'padaria', 'senha-sol', NULL);
INSERT INTO erp.operator_group (id, name, all_permissions) VALUES (80, 'Direção', true);
INSERT INTO erp.operator (name, group_id) VALUES ('maria', 80), ('joana', 80), ('pedro', 80), ('plantão', 80);
SELECT setval(pg_get_serial_sequence('erp.' || name, 'id'), 1000)
FROM unnest(ARRAY['client', 'contract', 'login', 'plan']) AS name;
"""


class Ran:
    def __init__(self, exit_code: int, output: str, complaint: str) -> None:
        self.exit_code = exit_code
        self.output = output
        self.complaint = complaint

    @property
    def json(self) -> Any:
        return json.loads(self.output)


class Cli:
    """The command line of one database."""

    def __init__(self, dsn: str, config: Path) -> None:
        self.dsn = dsn
        self.config = config
        config.write_text(f'[database]\ndsn = "{dsn}"\n[cli]\ntrust_local_account = true\n')

    def __call__(
        self, *words: str, language: str = "en", as_json: bool = False, typed: str = "", operator: str = "maria"
    ) -> Ran:
        result = type_line(Options(self.config, language, as_json, operator), words, typed)
        return Ran(result.exit_code, result.stdout, result.stderr)

    def sql(self, text: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in connection(self.dsn).fetch(text)]

    def run_sql(self, text: str) -> None:
        connection(self.dsn).execute(text)


# Triggers and foreign keys sleep meanwhile: a database made anew for each test would cost ten times as much.
WIPE = """
DO $$
DECLARE
    place text;
BEGIN
    SET LOCAL session_replication_role = replica;
    FOR place IN SELECT oid::regclass FROM pg_class
        WHERE relkind = 'r' AND (relnamespace = 'erp'::regnamespace OR oid = 'net.nas'::regclass)
            AND oid <> 'erp.permission'::regclass
    LOOP
        EXECUTE 'DELETE FROM ' || place;
    END LOOP;
END
$$;
"""


@pytest.fixture(scope="module")
def database(postgres: EmbeddedPostgres, _template: str, tmp_path_factory: pytest.TempPathFactory) -> Cli:
    folder = tmp_path_factory.mktemp("customers")
    Cli(postgres.dsn("postgres"), folder / "first.toml").run_sql(f"CREATE DATABASE customers TEMPLATE {_template}")
    return Cli(postgres.dsn("customers"), folder / "aaad.toml")


@pytest.fixture
def aaad(database: Cli) -> Cli:
    database.run_sql(WIPE)
    database.run_sql(SEED)
    return database


def test_a_client_a_contract_and_a_login_are_made_shown_changed_and_deleted(aaad: Cli) -> None:
    added = aaad(
        "client", "add", "--name", "José Lima", "--document", "111.444.777-35", "--city", "Xaxim", as_json=True
    )
    assert added.exit_code == 0, added.complaint + added.output
    client = added.json["client"]
    assert (client["kind"], client["branch_id"], client["document"]) == ("F", 10, "***.444.777-**")
    assert aaad.sql("SELECT document FROM erp.client WHERE id = 1001") == [("11144477735",)]
    contract = aaad("contract", "add", "--client", "11144477735", "--plan", "fibra 300", as_json=True).json[
        "contract"
    ]
    assert (contract["client_id"], contract["branch_id"], contract["plan_id"], contract["status"]) == (
        1001,
        10,
        20,
        "P",
    )
    ran = aaad(
        "login", "add", "--contract", str(contract["id"]), "--name", "jose", "--authentication", "L",
        "--password", "-", typed="uma-senha\n", as_json=True,
    )  # fmt: skip
    assert ran.exit_code == 0, ran.output + ran.complaint
    assert "uma-senha" not in ran.output
    assert aaad.sql("SELECT password FROM erp.login WHERE name = 'jose'") == [("uma-senha",)]
    edited = aaad("login", "edit", "JOSE", "--ipv4", "100.64.0.9", "--connection-type", "f", as_json=True).json
    assert (edited["login"]["ipv4"], edited["login"]["connection_type"]) == ("100.64.0.9", "F")
    assert aaad("login", "edit", "jose", "--ipv4", "", as_json=True).json["login"]["ipv4"] is None
    shown = aaad("client", "show", "111.444.777-35")
    assert "***.444.777-**" in shown.output
    assert "11144477735" not in shown.output
    assert "Fibra 300" in shown.output
    assert "jose" in shown.output
    assert aaad("login", "delete", "jose", "--yes").exit_code == 0
    assert aaad.sql("SELECT deleted_at IS NOT NULL FROM erp.login WHERE name = 'jose'") == [(True,)]


def test_the_history_names_the_operator(aaad: Cli) -> None:
    aaad("contract", "block", "40", operator="joana")
    assert aaad.sql("SELECT operator FROM erp.history WHERE contract_id = 40") == [("joana",)]


# --- the seeds' words -----------------------------------------------------------------------------------------------


def test_s2_102_data_saved_and_the_form_of_a_mac_to_the_letter(aaad: Cli) -> None:
    """S2-12 to S2-14: 0 is a digit of a MAC, G is not."""
    good = aaad("login", "edit", "ana@fibra", "--mac", "00-1a-2b-3c-4d-5f", language="pt")
    assert (good.exit_code, good.output.splitlines()[0]) == (0, "Dados salvos com sucesso")
    bad = aaad("login", "edit", "ana@fibra", "--mac", "G0:1A:2B:3C:4D:5E", language="pt")
    assert (bad.exit_code, bad.output, bad.complaint) == (2, "", "aaad: Formato do MAC é Inválido\n")
    assert aaad.sql("SELECT mac FROM erp.login WHERE id = 50") == [("00:1A:2B:3C:4D:5F",)]
    assert aaad("login", "edit", "ana@fibra", "--mac", "G").complaint == "aaad: The format of the MAC is invalid\n"
    assert aaad("login", "edit", "50", "--mac", "00:1a:2b:3c:4d:50").output.startswith("Data saved successfully\n")


def test_s2_188_suspending_asks_and_says_so_to_the_letter(aaad: Cli) -> None:
    asked = aaad("contract", "suspend", "40", language="pt")
    assert asked.exit_code == 2
    assert "Suspender o contrato 40 de Ana Souza?" in asked.complaint
    assert aaad.sql("SELECT suspended FROM erp.contract WHERE id = 40") == [(False,)]
    done = aaad("contract", "suspend", "40", "--suspended-until", UNTIL.strftime("%d/%m/%Y"), "--yes", language="pt")
    assert (done.exit_code, done.output) == (0, "Plano suspenso com sucesso.\n")
    assert aaad.sql("SELECT suspended, suspended_until::text FROM erp.contract WHERE id = 40") == [
        (True, UNTIL.isoformat())
    ]
    again = aaad("contract", "suspend", "40", "--suspended-until", UNTIL.isoformat(), as_json=True)
    assert (again.exit_code, again.json["changed"]) == (0, False)
    aaad.run_sql(
        "UPDATE erp.contract SET suspended_from = '2020-01-01', suspended_until = '2020-03-01' WHERE id = 40"
    )
    assert aaad("contract", "suspend", "40").exit_code == 2, "that one is over: another one is asked for"
    assert aaad("contract", "resume", "40", as_json=True).json["contract"]["suspended"] is False
    aaad("parameter", "set", "allow_voluntary_suspension", "N")
    refused = aaad("contract", "suspend", "40", "--yes")
    assert (refused.exit_code, "allow_voluntary_suspension" in refused.complaint) == (1, True)


def test_s2_245_a_circuit_is_made_of_city_client_and_number_and_may_be_named(aaad: Cli) -> None:
    made = aaad("contract", "circuit", "ana@fibra", language="pt")
    assert made.output == "Circuito Adicionado\nCHA000123-001\n"
    assert aaad("contract", "circuit", "40", "ROTA-7", as_json=True).json["circuit"] == "ROTA-7"
    assert aaad("client", "show", "rota-7", as_json=True).json["id"] == 123, "S2-77: search by circuit"
    nameless = aaad("contract", "circuit", "41")
    assert nameless.exit_code == 1
    assert "give its name" in nameless.complaint
    twice = aaad("contract", "circuit", "41", "ROTA-7")
    assert (twice.exit_code, "--circuit (circuit): a circuit that no other contract has" in twice.complaint) == (
        2,
        True,
    )


def test_s2_241_another_plan_does_not_take_the_circuit_along(aaad: Cli) -> None:
    edited = aaad("contract", "edit", "CHA000031-001", "--plan", "Fibra 300", as_json=True).json
    assert (edited["contract"]["plan_id"], edited["contract"]["circuit"]) == (20, None)
    assert "CHA000031-001" in edited["warnings"][0]


def test_s2_164_a_phase_needs_its_value_or_percentage_first(aaad: Cli) -> None:
    refused = aaad("plan", "phase", "20", "turbo", "--active", "S", "--hours", "22-5", language="pt")
    assert refused.exit_code == 2
    assert refused.complaint == "aaad: Só será possível marcar a opção após informar o valor ou porcentagem.\n"
    done = aaad("plan", "phase", "20", "turbo", "--hours", "22-5", "--percent", "150")
    assert done.exit_code == 0, done.complaint
    assert aaad.sql("SELECT upload, download, hours, active FROM erp.plan_phase WHERE plan_id = 20") == [
        ("225M", "450M", [0, 1, 2, 3, 4, 5, 22, 23], True)
    ]
    assert aaad("plan", "phase", "20", "turbo", "--active", "N").exit_code == 0
    assert "225M" in aaad("plan", "show", "20").output
    assert aaad("plan", "delete-phase", "20", "turbo", as_json=True).json["plan"]["phases"] == []


def test_s4_4_all_missing_fields_are_told_at_once_and_nothing_is_written(aaad: Cli) -> None:
    refused = aaad("login", "add", "--password", "-", typed="abc\n", as_json=True)
    assert refused.exit_code == 2
    assert {problem["field"] for problem in refused.json["problems"]} == {"contract_id", "name", "authentication"}
    text = aaad("client", "add", "--email", "a@x.com; b@x.com", "--postal-code", "1", language="pt")
    assert [line.split(" (")[0] for line in text.complaint.splitlines()] == [
        "aaad: --email", "aaad: --postal-code", "aaad: --kind", "aaad: --name"
    ]  # fmt: skip
    assert "obrigatório" in text.complaint
    assert "separados por ; sem espaços" in text.complaint
    assert aaad.sql("SELECT count(*) FROM erp.client") == [(2,)]


def test_s4_15_a_duplicate_address_is_a_warning_and_no_refusal(aaad: Cli) -> None:
    place = ("--street", "Rua São João", "--street-number", "100", "--district", "Centro")
    assert aaad("client", "edit", "123", *place, as_json=True).json["warnings"] == []
    twin = ("--street", "RUA SAO JOAO", "--street-number", "100", "--district", "centro")
    added = aaad("client", "add", "--kind", "F", "--name", "Vizinho", *twin, language="pt")
    assert added.exit_code == 0
    assert "o cliente 123 Ana Souza tem o mesmo número, rua e bairro" in added.complaint
    aaad("parameter", "set", "duplicate_address_warning", "N")
    assert aaad("client", "edit", "Vizinho", "--street-number", "100", "--district", "Centro").complaint == ""


BAD = (
    (("client", "edit", "123", "--document", "529.982.247-26"), "--document"),
    (("client", "edit", "123", "--name", " Ana"), "--name"),
    (("client", "edit", "123", "--mobile-phone", "123"), "--mobile-phone"),
    (("client", "edit", "123", "--state", "ZZ"), "--state"),
    (("client", "edit", "123", "--branch", "nowhere"), "--branch"),
    (("plan", "edit", "20", "--upload", "50G"), "--upload"),
    (("plan", "edit", "20", "--late-after-days", "10"), "--late-plan"),
    (("plan", "edit", "20", "--interim-interval-s", "30"), "--interim-interval-s"),
    (("plan", "edit", "20", "--dns", "8.8.8.8,x"), "--dns"),
    (("plan", "edit", "20", "--address-list", "clientes é"), "--address-list"),
    (("contract", "edit", "40", "--paid-until", "31/02/2026"), "--paid-until"),
    (("contract", "edit", "40", "--access-status", "X"), "--access-status"),
    (("login", "edit", "ana@fibra", "--name", "PADARIA"), "--name"),
    (("login", "edit", "ana@fibra", "--name", "ana souza"), "--name"),
    (("login", "edit", "ana@fibra", "--plan", "Fibra 600"), "--plan"),
    (("login", "edit", "ana@fibra", "--ipv4", "127.0.0.1"), "--ipv4"),
    (("login", "edit", "ana@fibra", "--access-hours", "8-24"), "--access-hours"),
    (("login", "edit", "ana@fibra", "--delegated-ipv6-prefix", "2001:db8::/28"), "--delegated-ipv6-prefix"),
    (("login", "edit", "ana@fibra", "--mac-login", "S"), "--mac-login"),
    (("receivable", "add", "--client", "123", "--amount", "1,234", "--due-on", "2026-01-01"), "--amount"),
    (
        ("receivable", "add", "--client", "31", "--contract", "40", "--amount", "1", "--due-on", "2026-01-01"),
        "--contract",
    ),
    (("plan", "add", "--name", "x" * 129, "--upload", "1M", "--download", "1M"), "--name"),
    (("login", "add", "--contract", "40", "--name", "b", "--authentication", "I"), "--contract"),
    (("client", "edit", "123", "--active", "N"), "--active"),
    (("operator", "add", "--name", "joana", "--group", "none"), "--group"),
)


def test_a_bad_value_names_its_field_and_what_is_allowed(aaad: Cli) -> None:
    aaad("contract", "edit", "40", "--logins-max", "1")
    aaad("parameter", "set", "allow_inactive_client_with_contracts", "N")
    for number, (words, option) in enumerate(BAD):
        refused = aaad(*words, language=("en", "pt")[number % 2])
        assert refused.exit_code == 2, (words, refused.complaint)
        line = refused.complaint.splitlines()[0]
        assert re.fullmatch(rf"aaad: {option} \([^)]+(\([^)]*\))?\): .{{6,}}", line), line
        assert refused.output == ""
        problems = aaad(*words, as_json=True).json
        assert (problems["saved"], [problem["option"] for problem in problems["problems"]]) == (False, [option])


def test_an_edit_without_any_field_is_a_usage_error(aaad: Cli) -> None:
    for words in (("login", "edit", "padaria"), ("client", "edit", "123"), ("plan", "phase", "20", "turbo")):
        refused = aaad(*words, language="pt")
        assert (refused.exit_code, refused.complaint) == (2, "aaad: Nada a alterar foi informado.\n")
        assert aaad(*words, as_json=True).exit_code == 2


def test_instants_are_shown_in_the_operators_zone(aaad: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/Sao_Paulo")
    time.tzset()
    try:
        aaad.run_sql("UPDATE erp.login SET deleted_at = '2026-03-01 02:03:04.567+00' WHERE id = 51")
        shown = aaad("login", "show", "51", language="pt").output
        assert "28/02/2026 23:03:04\n" in shown
        (contract,) = aaad.sql("SELECT contract_id FROM erp.login WHERE id = 51")[0]
        for words in (("contract", "show", str(contract)), ("login", "list", "--deleted")):
            assert "2026-02-28 23:03:04" in aaad(*words).output, words
            assert "02:03:04" not in aaad(*words).output
    finally:
        monkeypatch.undo()
        time.tzset()


def test_contacts_and_addresses_and_where_a_circuit_takes_its_city_from(aaad: Cli) -> None:
    """S2-73: the city of the installation goes before the client's."""
    unreachable = aaad("contact", "add", "--client", "123", "--name", "Porteiro")
    assert (unreachable.exit_code, "--phone" in unreachable.complaint) == (2, True)
    assert aaad("contact", "add", "--client", "123", "--name", "Porteiro", "--phone", "(49) 3322-1100").exit_code == 0
    assert [row["phone"] for row in aaad("contact", "list", "--client", "123", as_json=True).json] == ["4933221100"]
    place = ("--street", "Rua Azul", "--street-number", "7", "--district", "Centro")
    aaad("client", "edit", "31", *place)
    added = aaad(
        "address", "add", "--contract", "40", "--kind", "installation", *place, "--city", "Xaxim", "--state", "sc",
        as_json=True,
    )  # fmt: skip
    assert added.json["warnings"] == ["client 31 Padaria Sol has the same number, street and district"]
    assert aaad("contract", "circuit", "40", as_json=True).json["circuit"] == "XAX000123-001"
    number = str(added.json["address"]["id"])
    assert aaad("address", "delete", number, "--yes").exit_code == 0
    assert aaad("address", "list", as_json=True).json == []


# --- links, ambiguity, confirmation ---------------------------------------------------------------------------------


def test_what_is_linked_is_named_instead_of_deleted(aaad: Cli) -> None:
    for words, links in (
        (("client", "delete", "123", "--yes"), "contract 40"),
        (("contract", "delete", "40", "--yes"), "login 50 ana@fibra"),
        (("plan", "delete", "20", "--yes"), "contract 40 Ana Souza"),
    ):
        refused = aaad(*words)
        assert refused.exit_code == 1
        assert links in refused.complaint
    assert aaad.sql("SELECT count(*) FROM erp.client") == [(2,)]
    free = aaad("plan", "add", "--name", "Livre", "--upload", "1M", "--download", "2M", as_json=True).json["plan"]
    assert aaad("plan", "delete", "Livre", "--yes", as_json=True).json == {
        "deleted": True, "thing": "plan", "id": free["id"], "name": f"{free['id']} Livre"
    }  # fmt: skip


def test_a_deleted_login_is_a_tombstone_and_its_name_is_never_free(aaad: Cli) -> None:
    assert aaad("login", "delete", "ana@fibra", "--yes").exit_code == 0
    assert aaad("login", "delete", "ana@fibra", "--yes").exit_code == 1
    assert [row["name"] for row in aaad("login", "list", as_json=True).json] == ["padaria"]
    assert [row["name"] for row in aaad("login", "list", "--deleted", as_json=True).json] == ["ana@fibra", "padaria"]
    for words in (
        ("edit", "ana@fibra", "--active", "S"),
        ("clear-mac", "ana@fibra"),
        ("password", "ana@fibra", "--generate"),
    ):
        assert (aaad("login", *words).exit_code, aaad("login", *words).complaint) == (
            1, "aaad: ana@fibra is deleted already.\n"
        )  # fmt: skip
    again = aaad("login", "add", "--contract", "40", "--name", "ANA@fibra", "--authentication", "L", "--generate")
    assert (again.exit_code, "a name that no login has or ever had" in again.complaint) == (2, True)
    assert "login_deleted" in aaad("history", "client", "123").output


def test_nothing_is_guessed_where_a_word_means_two(aaad: Cli) -> None:
    aaad("client", "add", "--kind", "F", "--name", "Ana Souza")
    ran = aaad("client", "show", "ana souza")
    assert ran.exit_code == 1
    assert "123 Ana Souza; 1001 Ana Souza" in ran.complaint
    assert aaad("client", "show", "nobody").exit_code == 1


def test_deleting_asks_where_a_person_sits_and_wants_yes_where_not(aaad: Cli) -> None:
    assert aaad("plan", "delete", "21").exit_code == 1, "linked: nothing to ask"
    silent = aaad("login", "delete", "padaria", language="pt")
    assert silent.exit_code == 2
    assert "informe --yes" in silent.complaint
    assert aaad.sql("SELECT deleted_at FROM erp.login WHERE id = 51") == [(None,)]


def test_words_that_are_no_text_are_told_in_one_line(aaad: Cli) -> None:
    for words in (
        ("client", "show", "\udcff"),
        ("history", "note", "client", "123", "a\udcff"),
        ("client", "list", "\udcff"),
    ):
        ran = aaad(*words)
        assert ran.exit_code in (1, 2)
        assert len(ran.complaint.splitlines()) == 1
    assert aaad("client", "edit", "123", "--name", "A\x1b[2J").exit_code == 2


# --- passwords ------------------------------------------------------------------------------------------------------


def test_a_generated_password_is_shown_once_as_long_as_the_parameter_says(aaad: Cli) -> None:
    aaad("parameter", "set", "password_length", "20")
    made = aaad("login", "password", "padaria", "--generate", as_json=True).json["password"]
    assert re.fullmatch(r"[a-hj-km-np-zA-HJ-NP-Z2-9]{20}", made), made
    assert aaad.sql("SELECT password FROM erp.login WHERE id = 51") == [(made,)]
    assert made not in aaad("login", "show", "padaria", as_json=True).output
    assert made not in aaad("history", "login", "padaria", as_json=True).output
    assert made != aaad("login", "password", "padaria", "--generate", as_json=True).json["password"]
    passphrase = aaad("login", "password", "padaria", "--generate", "--wpa2", as_json=True).json["wpa2_passphrase"]
    assert aaad.sql("SELECT wpa2_passphrase FROM erp.login WHERE id = 51") == [(passphrase,)]


def test_a_password_is_read_from_standard_input_and_never_an_argument(aaad: Cli) -> None:
    assert aaad("login", "password", "padaria", "--set", "-", typed="nova senha 9\n").exit_code == 0
    assert aaad.sql("SELECT password FROM erp.login WHERE id = 51") == [("nova senha 9",)]
    for words in (("--set", "segredo-9"), (), ("--generate", "--set", "-")):
        refused = aaad("login", "password", "padaria", *words)
        assert refused.exit_code == 2
        assert "segredo-9" not in refused.complaint + refused.output
    bad = aaad("login", "password", "padaria", "--set", "-", typed=" acentuação\n")
    assert (bad.exit_code, "--password" in bad.complaint, "acentua" in bad.complaint) == (2, True, False)
    empty = aaad("login", "password", "padaria", "--set", "-", typed="")
    assert empty.exit_code == 2
    assert aaad.sql("SELECT password FROM erp.login WHERE id = 51") == [("nova senha 9",)]


def test_clearing_a_mac_and_all_bindings(aaad: Cli) -> None:
    aaad.run_sql("INSERT INTO net.nas (id, name, address, secret) VALUES (1, 'bras-1', '192.0.2.1', 'x')")
    bound = aaad("login", "edit", "ana@fibra", "--nas", "bras-1", "--port", "ether1", "--circuit", "olt/1/2")
    assert bound.exit_code == 0, bound.complaint
    cleared = aaad("login", "clear-mac", "ana@fibra", language="pt")
    assert cleared.output.splitlines()[0] == "Dados salvos com sucesso"
    assert aaad.sql("SELECT mac, nas_id, port_id FROM erp.login WHERE id = 50") == [(None, 1, "ether1")]
    login = aaad("login", "clear-bindings", "ana@fibra", as_json=True).json["login"]
    assert [login[column] for column in ("mac", "nas_id", "port_id", "circuit_id")] == [None] * 4


# --- states, billing, history, parameters, operators ----------------------------------------------------------------


def test_a_contract_goes_through_its_states(aaad: Cli) -> None:
    def state() -> tuple[Any, ...]:
        return aaad.sql("SELECT status, access_status FROM erp.contract WHERE id = 40")[0]

    assert aaad("contract", "block", "ana@fibra").exit_code == 0
    assert state() == ("A", "CM")
    assert aaad("contract", "block", "40", as_json=True).json["changed"] is False
    assert aaad("contract", "trust-unlock", "40", as_json=True).json["code"] == 109, "only after an automatic block"
    aaad("contract", "unblock", "40")
    assert state() == ("A", "A")
    assert aaad("contract", "cancel", "40", "--cancellation-reason", "mudou", "--yes").exit_code == 0
    assert state() == ("D", "A")
    assert aaad.sql("SELECT cancellation_reason, cancelled_on IS NULL FROM erp.contract WHERE id = 40") == [
        ("mudou", False)
    ]
    refused = aaad("contract", "activate", "40", language="pt")
    assert (refused.exit_code, "o status é D" in refused.complaint) == (1, True)
    aaad("parameter", "set", "login_required_for_internet", "S")
    lonely = aaad("contract", "add", "--client", "123", "--plan", "20", as_json=True).json["contract"]["id"]
    early = aaad("contract", "activate", str(lonely), language="pt")
    assert (early.exit_code, "precisa de um login" in early.complaint) == (1, True)
    aaad.run_sql("UPDATE erp.contract SET status = 'P', access_status = 'AA' WHERE id = 41")
    assert aaad("contract", "activate", "41").exit_code == 0
    assert aaad.sql("SELECT status, access_status, activated_on IS NOT NULL FROM erp.contract WHERE id = 41") == [
        ("A", "A", True)
    ]


def test_receivables_have_their_states_and_a_trust_unlock_its_codes(aaad: Cli) -> None:
    added = aaad(
        "receivable", "add", "--contract", "40", "--amount", "1.099,90", "--due-on", "01/02/2024", as_json=True
    )
    title = added.json["receivable"]
    assert (title["client_id"], title["kind"], title["amount"], title["colour"]) == (
        123,
        "recurring",
        1099.9,
        "vermelho",
    )
    assert "vencido (vermelho)" in aaad("receivable", "list", "--client", "123", language="pt").output
    aaad.run_sql("UPDATE erp.contract SET access_status = 'CA' WHERE id = 40")
    unlocked = aaad("contract", "trust-unlock", "40", as_json=True).json
    assert unlocked["code"] == 0
    assert re.search(r"until 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d\.$", unlocked["message"])
    again = aaad("contract", "trust-unlock", "40", language="pt")
    assert again.exit_code == 1
    assert again.complaint.startswith("aaad: 107: ")
    aaad.run_sql("UPDATE erp.contract SET access_status = 'CA' WHERE id = 40")
    used = aaad("contract", "trust-unlock", "40", as_json=True)
    assert (used.exit_code, used.json["code"], used.json["due_on"]) == (1, 113, "2024-02-01")
    assert aaad("receivable", "pay", str(title["id"]), "--on", "2024-02-05", as_json=True).json["receivable"][
        "colour"
    ] == ("verde_escuro")
    assert aaad("receivable", "pay", str(title["id"])).exit_code == 1
    assert aaad("receivable", "cancel", "99").exit_code == 1
    assert aaad("receivable", "list", as_json=True).json == []


def test_s4_111_history_has_kind_date_text_and_operator_and_notes_belong_to_their_author(aaad: Cli) -> None:
    aaad("contract", "block", "40", operator="joana")
    assert aaad("history", "note", "contract", "40", "Prometeu pagar na sexta", operator="joana").exit_code == 0
    rows = aaad("history", "client", "529.982.247-25", as_json=True).json
    assert [(row["kind"], row["operator"], row["source"]) for row in rows] == [
        ("note", "joana", "user"), ("contract_changed", "joana", "system")
    ]  # fmt: skip
    assert rows[1]["text"] == "access_status: A → CM"
    note, system = rows[0]["id"], rows[1]["id"]
    assert aaad("history", "edit", str(note), "Prometeu pagar", operator="joana").exit_code == 0
    other = aaad("history", "edit", str(note), "mentira", operator="pedro", language="pt")
    assert (other.exit_code, other.complaint) == (1, "aaad: Só o autor pode alterar uma anotação.\n")
    assert aaad("history", "edit", str(system), "mentira", operator="joana").exit_code == 1
    shown = aaad("history", "contract", "40", language="pt").output
    assert all(title in shown for title in ("tipo", "data", "histórico", "operador", "Prometeu pagar"))


def test_parameters_are_a_closed_list_in_general_and_by_branch(aaad: Cli) -> None:
    assert aaad("parameter", "set", "block_accents_in_logins", "S", "--branch", "Matriz").exit_code == 0
    listed = {entry["name"]: entry for entry in aaad("parameter", "list", as_json=True).json}
    assert listed["block_accents_in_logins"]["branches"] == {"Matriz": "S"}
    assert listed["trust_unlock_days"]["default"] == "3"
    refused = aaad("login", "edit", "ana@fibra", "--name", "joão")
    assert (refused.exit_code, "--name" in refused.complaint) == (2, True)
    assert aaad("parameter", "set", "trust_unlock_days", "31").exit_code == 2
    assert aaad("parameter", "set", "no_such_thing", "1").exit_code == 1
    assert aaad("parameter", "set", "block_accents_in_logins", "--branch", "10").exit_code == 0
    assert aaad("login", "edit", "ana@fibra", "--name", "joão").exit_code == 0


def test_a_list_that_needs_the_concentrators_api_is_kept_with_a_warning(aaad: Cli) -> None:
    kept = aaad("plan", "edit", "20", "--address-list-ipv6", "aviso", language="pt")
    says = "aaad: Atenção: --address-list-ipv6 só tem efeito onde o aaad pode usar a API do concentrador.\n"
    assert (kept.exit_code, kept.complaint) == (0, says)
    of_list = "--address-list-ipv6 has an effect only where aaad may use the concentrator's API."
    for words in (("plan", "edit", "20"), ("login", "edit", "ana@fibra")):
        assert aaad(*words, "--address-list-ipv6", "six", as_json=True).json["warnings"] == [of_list]
        assert aaad(*words, "--address-list-ipv6", "", as_json=True).json["warnings"] == []


def test_a_login_has_servers_and_sessions_of_its_own(aaad: Cli) -> None:
    words = ("--dns", "192.0.2.1,2001:db8::1", "--simultaneous-max", "2", "--plan-link", "g", "--equipment-kind", "C")
    login = aaad("login", "edit", "ana@fibra", *words, as_json=True).json["login"]
    assert login["dns"] == ["192.0.2.1", "2001:db8::1"]
    assert (login["simultaneous_max"], login["plan_link"], login["equipment_kind"]) == (2, "G", "C")
    contract = aaad("contract", "edit", "40", "--inclusion-reason", "R", as_json=True).json["contract"]
    assert contract["inclusion_reason"] == "R"
    assert aaad("login", "edit", "ana@fibra", "--equipment-kind", "X").exit_code == 2


def test_operators_and_the_seeds_permissions_are_data(aaad: Cli) -> None:
    assert len(aaad("permission", "list", as_json=True).json) == 40
    aaad.run_sql("DELETE FROM erp.operator")
    assert aaad("permission", "grant", "Atendimento", "Apagar Login de Radius", as_json=True).json["changed"]
    assert aaad("operator", "add", "--name", "joana", "--group", "Atendimento").exit_code == 0
    assert aaad.sql("SELECT erp.has_permission('Joana', 'Apagar Login de Radius')") == [(True,)]
    assert aaad("permission", "deny", "Atendimento", "6", as_json=True).json["changed"]
    assert aaad.sql("SELECT erp.has_permission('Joana', 'Apagar Login de Radius')") == [(False,)]
    assert aaad("operator", "edit", "joana", "--active", "N").exit_code == 0
    assert [row["active"] for row in aaad("operator", "list", as_json=True).json] == [False]


def test_extra_attributes_are_checked_when_they_are_written(aaad: Cli) -> None:
    assert aaad("plan", "attribute", "20", "Mikrotik-Wireless-Comment", "fibra").exit_code == 0
    assert "Mikrotik-Wireless-Comment = fibra" in aaad("plan", "show", "20").output
    refused = aaad("login", "attribute", "ana@fibra", "Tunnel-Type:1", "no-such-tunnel")
    assert refused.exit_code == 2
    assert refused.complaint.startswith("aaad: Tunnel-Type: a number or one of PPTP, L2F, ")
    assert aaad("plan", "attribute", "20", "Mikrotik-Wireless-Comment", as_json=True).json["plan"]["attributes"] == []


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("No-Such", "1", "No-Such não consta no dicionário; net.dictionary_attribute lista os nomes"),
        ("filter-id:1", "x", "Filter-Id não aceita tag"),
        ("Tunnel-Type:32", "VLAN", "Tunnel-Type aceita tags de 1 a 31, como Tunnel-Type:1"),
        ("Session-Timeout", "60", "Session-Timeout é definido pelo próprio servidor ou não cabe em uma resposta"),
        ("Framed-IP-Netmask", "x", "Framed-IP-Netmask: um endereço IPv4"),
        ("Framed-MTU", "x", "Framed-MTU: um número"),
        ("Filter-Id", "x" * 254, "Filter-Id: um texto de 1 a 253 octetos"),
        ("Tunnel-Assignment-Id:1", "x" * 254, "Tunnel-Assignment-Id: um texto de 1 a 252 octetos"),
        ("Cisco-AVPair", "x" * 254, "Cisco-AVPair: um texto de 1 a 247 octetos"),
    ],
)
def test_what_is_wrong_with_an_extra_attribute_is_told_in_the_language(
    aaad: Cli, name: str, value: str, told: str
) -> None:
    for thing in ("plan", "login"):
        refused = aaad(thing, "attribute", {"plan": "20", "login": "50"}[thing], name, value, language="pt")
        assert (refused.exit_code, refused.complaint) == (2, f"aaad: {told}\n")
    assert told in aaad("plan", "attribute", "20", name, value, language="pt", as_json=True).output


def test_a_document_is_found_in_any_form_and_shown_masked(aaad: Cli) -> None:
    for word in ("52998224725", "529.982.247-25", "Ana Souza", "123"):
        shown = aaad("client", "show", word, as_json=True).json
        assert (shown["id"], shown["document"]) == (123, "***.982.247-**")
    assert aaad("client", "show", "12.abc.345/01de-35", as_json=True).json["document"] == "**.***.345/01DE-**"
    for words in (("client", "list"), ("client", "list", "529.982.247-25"), ("client", "show", "123")):
        output = aaad(*words).output
        assert "***.982.247-**" in output
        assert "52998224725" not in output


def test_help_is_in_the_language_and_marks_what_is_required(aaad: Cli) -> None:
    shown = aaad("login", "add", "--help", language="pt").output
    assert "--authentication" in shown
    assert "* autenticação: L (PPPoE)" in " ".join(shown.split())
    assert "--password" in shown
    assert "--wpa2-passphrase" not in shown
    assert "* " not in aaad("login", "edit", "--help", language="pt").output


def test_the_whole_command_with_operator_from_a_shell(aaad: Cli) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "aaad", "--config", str(aaad.config), "--language=pt", "contract", "block", "40",
         "--operator", "plantão"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "Contrato 40 bloqueado.\n")
    assert aaad.sql("SELECT operator FROM erp.history WHERE contract_id = 40") == [("plantão",)]


@pytest.mark.parametrize(("answer", "deleted"), [("n", False), ("s", True)])
def test_a_person_at_a_terminal_is_asked(aaad: Cli, answer: str, deleted: bool) -> None:
    person, machine = pty.openpty()
    words = ["--config", str(aaad.config), "--language=pt", "login", "delete", "padaria"]
    with subprocess.Popen(
        [sys.executable, "-m", "aaad", *words], cwd=ROOT, stdin=machine, stdout=subprocess.PIPE, stderr=machine
    ) as command:
        os.close(machine)
        shown = os.read(person, 1000)
        os.write(person, f"{answer}\n".encode())
        assert command.wait(30) == (0 if deleted else 1)
    os.close(person)
    assert "Excluir login 51 padaria? [s/N]" in shown.decode()
    assert aaad.sql("SELECT deleted_at IS NOT NULL FROM erp.login WHERE id = 51") == [(deleted,)]


@pytest.mark.parametrize(
    ("typed", "exit_code", "written"),
    [(("segredo 1", "segredo 1"), 0, [("segredo 1",)]), (("segredo 1", "segredo 2"), 2, [])],
)
def test_a_person_at_a_terminal_is_asked_for_a_new_logins_password_twice_and_unseen(
    aaad: Cli, typed: tuple[str, str], exit_code: int, written: list[tuple[str]]
) -> None:
    person, machine = pty.openpty()
    words = ["--config", str(aaad.config), "--language=pt", "login", "add", "--contract", "40"]
    words += ["--authentication", "L", "--name", "nova"]
    shown = b""
    with subprocess.Popen(
        [sys.executable, "-m", "aaad", *words],
        cwd=ROOT, stdin=machine, stdout=subprocess.PIPE, stderr=machine, start_new_session=True,
    ) as command:  # fmt: skip
        for prompt, answer in zip((b"Nova senha: ", b"Outra vez: "), typed, strict=True):
            while prompt not in shown:
                shown += os.read(person, 1000)
            os.write(person, f"{answer}\n".encode())
        assert command.wait(30) == exit_code
    os.close(machine)
    os.close(person)
    assert b"segredo" not in shown
    assert aaad.sql("SELECT password FROM erp.login WHERE name = 'nova'") == written
