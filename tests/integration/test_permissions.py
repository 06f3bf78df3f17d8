"""Each of the seeds' permissions and variables does what the table says, and every command obeys it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from test_customer_commands import SEED, WIPE, Cli, Ran
from typing_person import command_line

from aaad.db.embedded import EmbeddedPostgres
from aaad.erp.permissions import PERMISSIONS, VARIABLES, Permission
from aaad.policy.parameters import PARAMETERS
from aaad.words import Language, text

MORE = """
INSERT INTO erp.contract (id, client_id, branch_id, plan_id, status, access_status) VALUES
    (42, 123, 10, 20, 'A', 'CA'), (43, 123, 10, 20, 'P', 'AA'), (44, 123, 10, NULL, 'P', 'A');
INSERT INTO erp.plan (id, name, upload, download) VALUES (22, 'Sem ninguém', '1M', '1M');
UPDATE erp.plan SET late_after_days = 1, late_plan_id = 22 WHERE id = 21;
UPDATE erp.contract SET speed_status = 'R' WHERE id = 41;
INSERT INTO erp.plan_phase (plan_id, phase, hours, upload, download) VALUES (21, 'turbo', '{1}', '1M', '1M');
INSERT INTO erp.lent_equipment (id, contract_id, kind, identifier) VALUES (7, 40, 'ONU', 'ZTEG1');
INSERT INTO erp.operator_group (id, name) VALUES (81, 'Posto');
INSERT INTO erp.operator (name, group_id) VALUES ('rosa', 81);
"""


ORDER = """
INSERT INTO net.run (id, kind) VALUES (8, 'orders') ON CONFLICT DO NOTHING;
DELETE FROM net.network_order;
INSERT INTO net.network_order (id, family, life, nas_id, source_address, nas_identifier, acct_session_id, user_name,
    is_ppp, kind, cause)
VALUES (9, '00000000-0000-0000-0000-000000000009', 0, 1, '192.0.2.1', '', '81000009', 'ana@fibra', true, 'disconnect',
    'block');
"""
DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "command-line.md").read_text(encoding="utf-8")


class Case(NamedTuple):
    """A command as somebody types it, that would work."""

    words: tuple[str, ...]
    before: str = ""
    typed: str = ""


# Every command of the table. Those that belong to rooms of their own are only named until they are there.
COMMANDS = {
    "contract add": Case(("--client", "123", "--plan", "20")),
    "contract edit": Case(("43", "--reference", "casa")),
    "contract circuit": Case(("40",)),
    "contract delete": Case(("44", "--yes")),
    "contract list": Case(()),
    "contract show": Case(("40",)),
    "contract activate": Case(("43",)),
    "contract cancel": Case(("40", "--yes")),
    "contract block": Case(("40",)),
    "contract unblock": Case(("42",)),
    "contract notify": Case(("40",)),
    "contract await-signature": Case(("40",)),
    "contract sign": Case(("43",)),
    "contract suspend": Case(("40", "--yes")),
    "contract resume": Case(("40",), "UPDATE erp.contract SET suspended = true WHERE id = 40"),
    "contract trust-unlock": Case(("42",)),
    "contract release": Case(("42",)),
    "contract release-speed": Case(("41",)),
    "contract change-plan": Case(("40", "21")),
    "contract change-owner": Case(("40", "31", "--yes")),
    "plan add": Case(("--name", "Novo", "--upload", "1M", "--download", "1M")),
    "plan delete": Case(("22", "--yes"), "UPDATE erp.plan SET late_after_days = 0, late_plan_id = NULL"),
    "plan edit": Case(("20", "--active", "N")),
    "plan phase": Case(("20", "turbo", "--hours", "1", "--percent", "150")),
    "plan delete-phase": Case(("21", "turbo")),
    "plan attribute": Case(("20", "Mikrotik-Wireless-Comment", "x")),
    "login add": Case(("--contract", "40", "--name", "novo", "--authentication", "L", "--generate")),
    "login edit": Case(("ana@fibra", "--active", "N")),
    "login attribute": Case(("ana@fibra", "Mikrotik-Wireless-Comment", "x")),
    "login clear-mac": Case(("ana@fibra",)),
    "login clear-bindings": Case(("ana@fibra",)),
    "login password": Case(("ana@fibra", "--set", "-"), typed="nova-senha\n"),
    "login delete": Case(("ana@fibra", "--yes")),
    "login secondary": Case(("ana@fibra", "--nas", "bras-1")),
    "equipment lend": Case(("--contract", "40", "--kind", "ONU")),
    "equipment return": Case(("7",)),
    "equipment list": Case(()),
    "equipment find": Case(("zteg",)),
    "simulate-login": Case(("ana@fibra",)),
    "line delete": Case(
        ("2001", "--yes"), "INSERT INTO erp.line (contract_id, kind, identifier) VALUES (40, 'sip', '2001')"
    ),
    "order list": Case(("--all",)),
    "order show": Case(("9",), ORDER),
    "order retry": Case(("9",), ORDER),
    "order cancel": Case(("9",), ORDER),
    "order release": Case(("8",), ORDER + "UPDATE net.network_order SET state = 'held', run_id = 8;"),
    "agenda add": Case(("disconnect", "--contract", "40")),
    "agenda list": Case(()),
    "agenda show": Case(("7",), "INSERT INTO erp.task (id, kind, contract_id) VALUES (7, 'unblock', 40)"),
    "agenda run": Case(("--dry-run",)),
    "agenda cancel": Case(("7",), "INSERT INTO erp.task (id, kind, contract_id) VALUES (7, 'unblock', 40)"),
    "agenda retry": Case(("7",), "INSERT INTO erp.task (id, kind, contract_id) VALUES (7, 'unblock', 40)"),
    "agenda release": Case(
        ("7",),
        "DELETE FROM net.run WHERE id = 7; INSERT INTO net.run (id, kind) VALUES (7, 'agenda');"
        " INSERT INTO erp.task (kind, contract_id, state, run_id) VALUES ('block', 40, 'held', 7)",
    ),
    "agenda holidays": Case(()),
    "agenda add-holiday": Case(("2030-08-25", "Aniversário")),
    "agenda delete-holiday": Case(("7",), "INSERT INTO erp.holiday (id, day, name) VALUES (7, '2030-08-25', 'x')"),
}
# What needs more than a database to work: that it is not the permission that refuses is all that is asked here.
ELSEWHERE = {"login secondary", "simulate-login"}
_VALUES = {
    ("contract", "status", "A"): ("43", "A"),
    ("contract", "status", "I"): ("43", "I"),
    ("contract", "access_status", "A"): ("43", "A"),
    ("contract", "client_id", ""): ("43", "31"),
    ("contract", "plan_id", ""): ("43", "21"),
    ("contract", "kind", ""): ("44", "T"),
    ("contract", "status", ""): ("43", "N"),
    ("contract", "access_status", ""): ("43", "CM"),
    ("contract", "speed_status", ""): ("43", "R"),
    ("contract", "block_automatically", ""): ("43", "N"),
    ("contract", "trust_unlock_restricted", ""): ("43", "S"),
    ("contract", "due_day", ""): ("43", "9"),
    ("login", "password_md5", ""): ("ana@fibra", "N"),
    ("login", "ipv4", ""): ("ana@fibra", "203.0.113.9"),
    ("login", "ipv6_prefix", ""): ("ana@fibra", "2001:db8::/64"),
    ("login", "delegated_ipv6_prefix", ""): ("ana@fibra", "2001:db8:1::/56"),
    ("login", "routes", ""): ("ana@fibra", "203.0.113.0/29"),
    ("login", "address_space", ""): ("ana@fibra", "2"),
}
_BY_ENDING = {"_from": "2030-01-01", "_until": "2030-02-01", "_pool": "centro"}


@pytest.fixture(scope="module")
def database(postgres: EmbeddedPostgres, _template: str, tmp_path_factory: pytest.TempPathFactory) -> Cli:
    folder = tmp_path_factory.mktemp("permissions")
    Cli(postgres.dsn("postgres"), folder / "first.toml").run_sql(f"CREATE DATABASE permissions TEMPLATE {_template}")
    aaad = Cli(postgres.dsn("permissions"), folder / "aaad.toml")
    aaad.config.write_text(
        f'[node]\nname = "n"\nstate_dir = "{folder / "state"}"\nrun_dir = "{folder / "run"}"\n'
        f'[database]\ndsn = "{aaad.dsn}"\n'
    )
    return aaad


@pytest.fixture
def aaad(database: Cli) -> Cli:
    database.run_sql(WIPE)
    database.run_sql(SEED + MORE)
    database.run_sql("INSERT INTO net.nas (id, name, address, secret) VALUES (1, 'bras-1', '192.0.2.1', 'x')")
    return database


def give(aaad: Cli, *numbers: int) -> None:
    """Let rosa have these permissions and no others."""
    listed = ", ".join(map(str, numbers)) or "0"
    aaad.run_sql(
        "DELETE FROM erp.operator_group_permission WHERE group_id = 81;"
        f"INSERT INTO erp.operator_group_permission SELECT 81, id FROM erp.permission WHERE id IN ({listed})"
    )


def written(aaad: Cli) -> Any:
    return aaad.sql(
        "SELECT (SELECT count(*) FROM net.change), (SELECT count(*) FROM erp.history), "
        "(SELECT string_agg(state || changed_at, ' ' ORDER BY id) FROM net.network_order)"
    )


def is_refused_for(ran: Ran, *permissions: Permission) -> bool:
    """Whether it was refused, naming exactly these permissions."""
    return ran.exit_code == 1 and ran.json.get("permissions") == [one.name for one in permissions]


def registered() -> Iterator[str]:
    def walk(node: Any, *above: str) -> Iterator[str]:
        for name, below in getattr(node, "commands", {}).items():
            if hasattr(below, "commands"):
                yield from walk(below, *above, name)
            else:
                yield " ".join((*above, name))

    yield from walk(command_line("en")[1])


ALLOWING = [one for one in PERMISSIONS if not one.denies]
GUARDED = [(one, name) for one in ALLOWING for name in one.commands]
FIELDS = [(one, use) for one in ALLOWING for use in one.fields]
EVERY = [one.number for one in ALLOWING]


def test_the_table_has_the_seeds_permissions_to_the_letter(aaad: Cli) -> None:
    assert aaad.sql("SELECT id, name, denies FROM erp.permission WHERE id < 40 ORDER BY id") == [
        (one.number, one.name, one.denies) for one in PERMISSIONS
    ]
    assert len(PERMISSIONS) == 39


def test_each_permission_does_something_or_says_why_it_does_not() -> None:
    for one in PERMISSIONS:
        does_nothing = not (one.commands or one.fields)
        assert one.meaning.startswith("no meaning here: ") is does_nothing, one
        assert text(one.meaning, Language.PORTUGUESE) != one.meaning, one


def test_every_command_of_the_table_is_walked() -> None:
    here = set(registered())
    named = {name for one in PERMISSIONS for name in one.commands}
    assert named & here == set(COMMANDS), "a command that came or went"
    assert named <= here


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_refused_without_its_permission_and_done_with_it(aaad: Cli, name: str) -> None:
    case = COMMANDS[name]
    if case.before:
        aaad.run_sql(case.before)
    words = (*name.split(), *case.words)
    needed = [one for one in ALLOWING if name in one.commands]
    assert needed
    before = written(aaad)
    give(aaad)
    assert is_refused_for(aaad(*words, as_json=True, operator="rosa", typed=case.typed), *needed)
    for one in needed:
        give(aaad, *(number for number in EVERY if number != one.number))
        assert is_refused_for(aaad(*words, as_json=True, operator="rosa", typed=case.typed), one)
        told = aaad(*words, language="pt", operator="rosa", typed=case.typed)
        assert (told.exit_code, told.output) == (1, "")
        assert told.complaint == f"aaad: Falta ao operador rosa a permissão “{one.name}” ({one.number}).\n"
    assert written(aaad) == before, "nothing was done"
    give(aaad, *(one.number for one in needed))
    done = aaad(*words, operator="rosa", typed=case.typed)
    if name in ELSEWHERE:
        assert "lacks the permission" not in done.complaint
    else:
        assert done.exit_code == 0, done.complaint


@pytest.mark.parametrize(("one", "use"), FIELDS, ids=lambda value: str(getattr(value, "column", "")))
def test_a_field_is_refused_without_its_permission_and_written_with_it(aaad: Cli, one: Permission, use: Any) -> None:
    key = (use.table, use.column, use.values[0] if use.values else "")
    ending = next((word for tail, word in _BY_ENDING.items() if use.column.endswith(tail)), "N")
    which, word = _VALUES.get(key, ("43" if use.table == "contract" else "ana@fibra", ending))
    option = "--" + use.column.removesuffix("_id").replace("_", "-")
    words = (use.table, "edit", which, option, word)
    give(aaad, *(number for number in EVERY if number != one.number))
    before = written(aaad)
    assert is_refused_for(aaad(*words, as_json=True, operator="rosa"), one)
    assert written(aaad) == before
    give(aaad, *EVERY)
    done = aaad(*words, operator="rosa")
    assert done.exit_code == 0, done.complaint


def test_permission_23_denies(aaad: Cli) -> None:
    (denying,) = [one for one in PERMISSIONS if one.denies]
    assert (denying.number, denying.name) == (23, "Não Editar Combo Plano Habilitado")
    for name, words in (("contract edit", ("40", "--reference", "x")), ("contract change-plan", ("40", "21"))):
        give(aaad, *EVERY, 23)
        before = written(aaad)
        assert is_refused_for(aaad(*name.split(), *words, as_json=True, operator="rosa"), denying)
        told = aaad(*name.split(), *words, language="pt", operator="rosa")
        assert "“Não Editar Combo Plano Habilitado” (23)" in told.complaint
        assert written(aaad) == before
        give(aaad, *EVERY)
        assert aaad(*name.split(), *words, operator="rosa").exit_code == 0
    give(aaad, *EVERY, 23)
    assert aaad("contract", "edit", "43", "--reference", "x", operator="rosa").exit_code == 0, "it is not active"
    assert aaad("contract", "edit", "40", "--reference", "y", operator="maria").exit_code == 0, (
        "a group with all permissions has none that denies"
    )


@pytest.mark.parametrize("to", ["AA", "CE", "D"])
@pytest.mark.parametrize("blocked", ["CM", "CA"])
def test_no_way_round_leads_out_of_a_block(aaad: Cli, blocked: str, to: str) -> None:
    """Else who may not unblock would let the contract await its signature, and sign it."""
    aaad.run_sql(f"UPDATE erp.contract SET access_status = '{blocked}' WHERE id = 42")
    give(aaad, *(number for number in EVERY if number != 19))
    words = ("contract", "edit", "42", "--access-status", to)
    (unblocking,) = [one for one in PERMISSIONS if one.number == 19]
    assert is_refused_for(aaad(*words, as_json=True, operator="rosa"), unblocking)
    assert aaad.sql("SELECT access_status FROM erp.contract WHERE id = 42") == [(blocked,)]
    assert aaad("contract", "edit", "40", "--access-status", to, operator="rosa").exit_code == 0, "it is not blocked"
    give(aaad, *EVERY)
    assert aaad(*words, operator="rosa").exit_code == 0


def test_other_days_are_no_way_out_of_a_suspension(aaad: Cli) -> None:
    aaad.run_sql("UPDATE erp.contract SET suspended = true, suspended_from = current_date - 9 WHERE id = 40")
    give(aaad, *(number for number in EVERY if number != 19))
    (resuming,) = [one for one in PERMISSIONS if one.number == 19]
    for option, day in (("--suspended-until", "2099-01-01"), ("--suspended-from", "2099-01-01")):
        assert is_refused_for(aaad("contract", "edit", "40", option, day, as_json=True, operator="rosa"), resuming)
        assert aaad("contract", "edit", "41", option, day, operator="rosa").exit_code == 0, "it is not suspended"


def test_a_login_moves_to_another_contract_as_its_contract_would_change(aaad: Cli) -> None:
    aaad.run_sql("INSERT INTO erp.contract (id, client_id, branch_id, plan_id, status) VALUES (45, 31, 10, 20, 'A')")
    aaad.run_sql("INSERT INTO erp.contract (id, client_id, branch_id, plan_id, status) VALUES (46, 123, 10, 20, 'A')")
    aaad.run_sql("UPDATE erp.contract SET access_status = 'CM' WHERE id = 40")
    by_number = {one.number: one for one in PERMISSIONS}
    give(aaad, 12)
    other_client = aaad("login", "edit", "ana@fibra", "--contract", "45", as_json=True, operator="rosa")
    assert is_refused_for(other_client, *(by_number[number] for number in (19, 21, 22, 32)))
    give(aaad, 12, 21)
    same_client = aaad("login", "edit", "ana@fibra", "--contract", "46", as_json=True, operator="rosa")
    assert is_refused_for(same_client, by_number[19])
    assert aaad.sql("SELECT contract_id FROM erp.login WHERE name = 'ana@fibra'") == [(40,)]
    assert aaad("login", "edit", "ana@fibra", "--contract", "40", operator="rosa").exit_code == 0, "it is there"
    give(aaad, 12, 19, 21)
    assert aaad("login", "edit", "ana@fibra", "--contract", "46", operator="rosa").exit_code == 0


def test_an_operator_has_one_name_in_the_history(aaad: Cli) -> None:
    assert aaad("login", "clear-mac", "ana@fibra", operator="MARIA").exit_code == 0
    assert aaad.sql("SELECT operator FROM erp.history ORDER BY id DESC LIMIT 1") == [("maria",)]
    assert aaad("history", "note", "client", "123", "x", operator="Ninguém").exit_code == 0
    assert aaad.sql("SELECT operator FROM erp.history ORDER BY id DESC LIMIT 1") == [("Ninguém",)]


def test_who_is_no_operator_may_nothing_unless_the_node_trusts_its_accounts(
    aaad: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("contract", "block", "40")
    told = aaad(*words, operator="ninguém", language="pt")
    assert told.exit_code == 1
    assert told.complaint == (
        "aaad: Não há operador ativo ninguém; é preciso a permissão “Editar Status de Planos” (14).\n"
    )
    monkeypatch.setenv("LOGNAME", "root")
    assert "There is no active operator root" in aaad(*words, operator="").complaint
    aaad.run_sql("INSERT INTO erp.operator (name, group_id) VALUES ('root', 80)")
    assert aaad(*words, operator="").exit_code == 0, "he is the operator of his account's name"
    aaad.run_sql("UPDATE erp.operator SET active = false WHERE name = 'root'")
    assert aaad("contract", "unblock", "40", operator="").exit_code == 1
    trusting = Cli(aaad.dsn, aaad.config.with_name("trusting.toml"))
    trusting.config.write_text(f'[database]\ndsn = "{aaad.dsn}"\n[cli]\ntrust_local_account = true\n')
    assert trusting("contract", "unblock", "40", operator="").exit_code == 0
    assert trusting(*words, operator="root").exit_code == 1, "who is named is asked for"


def test_only_who_has_all_permissions_gives_some(aaad: Cli) -> None:
    give(aaad, *EVERY)
    for words in (
        ("permission", "grant", "Posto", "23"),
        ("permission", "deny", "Posto", "6"),
        ("permission", "grant", "Posto", "all"),
        ("operator", "add", "--name", "novo", "--group", "Direção"),
        ("operator", "edit", "rosa", "--group", "Direção"),
    ):
        refused = aaad(*words, operator="rosa")
        assert (refused.exit_code, "only a group with all permissions" in refused.complaint) == (1, True), words
        assert aaad(*words, operator="maria").exit_code == 0, words
        aaad.run_sql("UPDATE erp.operator SET group_id = 81 WHERE name = 'rosa'")
        aaad.run_sql("UPDATE erp.operator_group SET all_permissions = false WHERE id = 81")
    assert aaad("permission", "deny", "Direção", "all", operator="maria").exit_code == 0
    assert aaad("permission", "grant", "Posto", "all", operator="rosa").exit_code == 0, (
        "nobody has all: the first one"
    )
    assert aaad("contract", "block", "40", operator="rosa").exit_code == 0


def test_nothing_is_taken_from_a_group_that_has_all(aaad: Cli) -> None:
    told = aaad("permission", "deny", "Direção", "6", operator="maria", language="pt")
    assert (told.exit_code, told.output) == (1, "")
    assert told.complaint == (
        "aaad: O grupo Direção tem todas as permissões: retire-as antes com `aaad permission deny Direção all`.\n"
    )
    aaad.run_sql("INSERT INTO erp.operator_group_permission VALUES (80, 23)")
    assert aaad("permission", "deny", "Direção", "23", operator="maria").exit_code == 0, "it has that one by name"


def test_the_list_tells_what_each_permission_does(aaad: Cli) -> None:
    rows = {row["id"]: row for row in aaad("permission", "list", as_json=True).json}
    assert len(rows) == 40
    assert rows[9]["commands"] == ["contract cancel"]
    assert rows[40]["commands"] == ["whois"]
    shown = aaad("permission", "list", language="pt").output
    assert "cancela contratos" in shown
    assert "sem significado aqui" in shown


def test_the_documents_tell_what_the_tables_say() -> None:
    for one in PERMISSIONS:
        row = next(line for line in DOCUMENT.splitlines() if line.startswith(f"| {one.number} | {one.name} |"))
        assert f" | {one.meaning} | " in row
        assert re.findall(r"`([a-z][a-z -]+)`", row.split(" | ")[3]) == list(one.commands)
        for use in one.fields:
            assert f"`--{use.column.removesuffix('_id').replace('_', '-')}" in row, use
    for variable in VARIABLES:
        parameter = f"`{variable.parameter}`" if variable.parameter else ""
        assert f"| {variable.number} | {variable.name} | {variable.meaning} | {parameter} |" in DOCUMENT


# --- variables ------------------------------------------------------------------------------------------------------

NAMES = (
    "Alterar a Data ao Habilitar após Experimentar",
    "Bloquear Acentos em Logins de Radius",
    "Copiar Campos Extras de Planos",
    "Criar Evento ao Habilitar o Plano do Cliente",
    "Dar Descontos Progressivos Mesmo com Mudança Plano",
    "Inativar Cliente ao Cancelar Último Plano",
    "Login de Radius Obrigatório no Cadastro de Clientes e Planos",
    "Não Cancelar Planos com Equipamento",
    "Permite Apagar Ponto de Acesso que tenha Planos Cancelados",
    "Permite Inativar Cliente com Planos Não Cancelados",
    "Permite Usar o Status Suspensão Temporária",
    "Serviço Adicional Não Utilizar Forma de Cobrança do Plano",
    "Verificar no Plano Transferência de Acréscimo ou Desconto",
    "Busca Automática de IP Secundário",
)


def test_each_variable_is_a_parameter_or_says_how_it_is() -> None:
    assert tuple(one.name for one in VARIABLES) == NAMES
    assert [one.number for one in VARIABLES] == list(range(1, 15))
    for one in VARIABLES:
        assert text(one.meaning, Language.PORTUGUESE) != one.meaning
        if one.parameter:
            assert one.parameter in PARAMETERS, one
        else:
            assert one.meaning.startswith(("no meaning here: ", "always: ")), one
    assert {one.parameter for one in VARIABLES if one.parameter} == set(EFFECTS)


class Effect(NamedTuple):
    """Two values of a parameter, and a command whose exit code or trace differs by it."""

    values: tuple[str, str]
    words: tuple[str, ...]
    question: str  # what PostgreSQL answers after the command
    answers: tuple[Any, Any]
    before: str = ""


EFFECTS = {
    "reset_activation_date": Effect(
        ("N", "S"),
        ("contract", "activate", "43"),
        "SELECT activated_on = erp.today(10) FROM erp.contract WHERE id = 43",
        (False, True),
        "UPDATE erp.contract SET activated_on = '2020-01-01' WHERE id = 43",
    ),
    "block_accents_in_logins": Effect(
        ("N", "S"),
        ("login", "edit", "ana@fibra", "--name", "joão"),
        "SELECT name FROM erp.login WHERE id = 50",
        ("joão", "ana@fibra"),
    ),
    "inactivate_client_on_last_cancel": Effect(
        ("N", "S"),
        ("contract", "cancel", "41", "--yes"),
        "SELECT active FROM erp.client WHERE id = 31",
        (True, False),
    ),
    "login_required_for_internet": Effect(
        ("N", "S"), ("contract", "activate", "43"), "SELECT status FROM erp.contract WHERE id = 43", ("A", "P")
    ),
    "keep_plan_with_equipment": Effect(
        ("N", "S"), ("contract", "cancel", "40", "--yes"), "SELECT status FROM erp.contract WHERE id = 40", ("D", "A")
    ),
    "delete_nas_with_cancelled_contracts": Effect(
        ("N", "S"),
        ("nas", "delete", "bras-1", "--yes"),
        "SELECT count(*) FROM net.nas",
        (1, 0),
        "UPDATE erp.login SET nas_id = 1 WHERE id = 51; UPDATE erp.contract SET status = 'D' WHERE id = 41",
    ),
    "allow_inactive_client_with_contracts": Effect(
        ("S", "N"),
        ("client", "edit", "31", "--active", "N"),
        "SELECT active FROM erp.client WHERE id = 31",
        (False, True),
    ),
    "allow_voluntary_suspension": Effect(
        ("S", "N"),
        ("contract", "suspend", "40", "--yes"),
        "SELECT suspended FROM erp.contract WHERE id = 40",
        (True, False),
    ),
}


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("name", EFFECTS)
def test_a_variable_has_its_effect(aaad: Cli, name: str, place: int) -> None:
    effect = EFFECTS[name]
    if effect.before:
        aaad.run_sql(effect.before)
    assert aaad("parameter", "set", name, effect.values[place], as_json=True).json["warnings"] == []
    aaad(*effect.words)
    assert aaad.sql(effect.question) == [(effect.answers[place],)]
    default = PARAMETERS[name].default
    assert default == effect.values[0], "the first value is what holds without one"


def test_s2_what_was_lent_is_named_when_a_contract_cannot_be_cancelled(aaad: Cli, tmp_path: Path) -> None:
    aaad("parameter", "set", "keep_plan_with_equipment", "S")
    refused = aaad("contract", "cancel", "40", "--yes", language="pt")
    assert refused.exit_code == 1
    assert "7 ONU ZTEG1" in refused.complaint
    assert aaad("contract", "cancel", "40", "--yes", as_json=True).json["code"] == 123
    edited = aaad("contract", "edit", "40", "--status", "D")
    assert (edited.exit_code, "keep_plan_with_equipment" in edited.complaint) == (1, True), "nor by another way"
    assert aaad("equipment", "return", "7").exit_code == 0
    assert aaad("equipment", "return", "7").exit_code == 1
    assert aaad("equipment", "list", as_json=True).json == []
    assert [row["id"] for row in aaad("equipment", "find", "zteg", as_json=True).json] == [7]
    assert aaad("contract", "cancel", "40", "--yes").exit_code == 0
    late = aaad("equipment", "lend", "--contract", "40", "--kind", "ONU")
    assert (late.exit_code, "--contract" in late.complaint) == (2, True)
