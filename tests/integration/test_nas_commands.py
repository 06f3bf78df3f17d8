"""`aaad nas …` and `aaad router-admin …` on a real PostgreSQL: what is written, refused, shown once and never."""

import json
import re
import time
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from click.testing import Result
from one_connection import connection
from typing_person import type_line

from aaad.cli.options import Options
from aaad.daemon.router_facts import statistics_path, unknown_sources_path
from aaad.db.embedded import EmbeddedPostgres
from aaad.simulator.routeros import Router, RouterosServer

SEED = """
INSERT INTO erp.parameter (name, value) VALUES ('document_required', 'N');
INSERT INTO erp.branch (id, name) VALUES (1, 'Matriz');
INSERT INTO erp.plan (id, name, upload, download) VALUES (1, 'Fibra 100', '50M', '100M');
INSERT INTO erp.client (id, branch_id, kind, name, mobile_phone) VALUES (1, 1, 'F', 'Ana', '11990000001');
INSERT INTO erp.contract (id, client_id, branch_id, plan_id, status, activated_on)
    VALUES (1, 1, 1, 1, 'A', current_date);
"""


class Shell:
    """A command line on one database."""

    def __init__(self, dsn: str, folder: Path) -> None:
        self.dsn = dsn
        self.folder = folder
        self.config = folder / "aaad.toml"
        self.config.write_text(
            f'[node]\nname = "n"\nstate_dir = "{folder / "state"}"\nrun_dir = "{folder / "run"}"\n'
            f'[database]\ndsn = "{dsn}"\n'
        )

    def run(self, *words: str, language: str = "en", as_json: bool = False, typed: str = "") -> Result:
        return type_line(Options(self.config, language, as_json), words, typed)

    def json(self, *words: str, code: int = 0, typed: str = "") -> Any:
        result = self.run(*words, as_json=True, typed=typed)
        assert result.exit_code == code, result.output + result.stderr
        return json.loads(result.stdout)

    def sql(self, text: str, *arguments: object) -> list[asyncpg.Record]:
        return connection(self.dsn).fetch(text, *arguments)


@pytest.fixture(scope="module")
def database(postgres: EmbeddedPostgres, _template: str, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    made = Shell(postgres.dsn("postgres"), tmp_path_factory.mktemp("shell"))
    made.sql(f"CREATE DATABASE nas_commands TEMPLATE {_template}")
    made = Shell(postgres.dsn("nas_commands"), tmp_path_factory.mktemp("shell"))
    for statement in SEED.strip().split(";\n"):
        made.sql(statement)
    return made


@pytest.fixture
def shell(database: Shell) -> Shell:
    for table in ("erp.login", "net.router_administrator", "net.nas"):
        database.sql(f"DELETE FROM {table}")
    return database


def test_a_nas_is_added_shown_listed_changed_and_deleted(shell: Shell) -> None:
    added = shell.json("nas", "add", "--name", "bras-1", "--address", "192.0.2.1", "--branch", "Matriz")
    secret = added["secret"]
    assert len(secret) == 24
    assert shell.sql("SELECT secret FROM net.nas")[0]["secret"] == secret
    shown = shell.json("nas", "show", "bras-1")
    assert (shown["address"], shown["branch"], shown["kind"], shown["enabled"]) == (
        "192.0.2.1/32",
        "Matriz",
        "mikrotik",
        True,
    )
    assert secret not in json.dumps(shown)
    assert "Matriz" in shell.run("nas", "show", "BRAS-1", language="pt").output
    shell.json("nas", "edit", "bras-1", "--address", "2001:db8::/64", "--kind", "accel_ppp", "--enabled", "N")
    (listed,) = shell.json("nas", "list")
    assert (listed["address"], listed["kind"], listed["enabled"]) == ("2001:db8::/64", "accel_ppp", False)
    shell.json("nas", "edit", "bras-1", "--octets-swapped", "S")
    assert shell.json("nas", "show", "bras-1")["octets_swapped"] is True
    assert "entrada e saída trocadas" in shell.run("nas", "show", "bras-1", language="pt").output.lower()
    assert shell.json("nas", "delete", "bras-1", "--yes")["deleted"]
    assert shell.json("nas", "list") == []


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (("--address", "192.0.2.1"), "--name"),
        (("--name", "x"), "--address"),
        (("--name", "x", "--address", "192.0.2.1/24"), "--address"),
        (("--name", "x", "--address", "somewhere"), "--address"),
        (("--name", "taken", "--address", "192.0.2.1"), "--name"),
        (("--name", "x", "--address", "198.51.100.7"), "--address"),
        (("--name", "x", "--address", "192.0.2.1", "--kind", "mikrotic"), "--kind"),
        (("--name", "x", "--address", "192.0.2.1", "--timeout-ms", "9"), "--timeout-ms"),
        (("--name", "x", "--address", "192.0.2.1", "--tries", "21"), "--tries"),
        (("--name", "x", "--address", "192.0.2.1", "--message-authenticator", "maybe"), "--message-authenticator"),
        (("--name", "x", "--address", "192.0.2.1", "--branch", "Filial"), "--branch"),
        (("--name", "x", "--address", "192.0.2.1", "--coa-address", "192.0.2.0/24"), "--coa-address"),
    ],
)
def test_what_is_wrong_names_the_field_and_what_is_allowed(shell: Shell, words: tuple[str, ...], option: str) -> None:
    shell.sql("INSERT INTO net.nas (name, address, secret) VALUES ('taken', '198.51.100.7', 's')")
    result = shell.run("nas", "add", *words)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"aaad: {option} ("), result.stderr
    assert result.stderr.count("\n") == 1
    assert len(shell.sql("SELECT FROM net.nas")) == 1


def test_a_secret_is_rotated_with_the_old_one_believed_for_a_time(shell: Shell) -> None:
    shell.json("nas", "add", "--name", "bras-1", "--address", "192.0.2.1", "--secret", "-", typed="first secret\n")
    row = "SELECT secret, secret_previous, secret_previous_until - now() AS left FROM net.nas"
    answer = shell.json("nas", "rotate-secret", "bras-1", "--hours", "2")
    (now,) = shell.sql(row)
    assert (now["secret"], now["secret_previous"]) == (answer["secret"], "first secret")
    assert 7100 < now["left"].total_seconds() <= 7200
    assert "first secret" not in json.dumps(answer)
    assert shell.run("nas", "rotate-secret", "bras-1", "--secret", "-", typed=f"{now['secret']}\n").exit_code == 1
    assert "previous secret is believed until" in shell.run("nas", "show", "bras-1").output
    shell.json("nas", "rotate-secret", "bras-1", "--end")
    assert shell.sql(row)[0]["secret_previous"] is None
    shell.json("nas", "rotate-secret", "bras-1", "--end", code=1)
    told = shell.run("nas", "rotate-secret", "bras-1", "--hours", "0").output
    assert f"The new secret, shown only now: {shell.sql(row)[0]['secret']}" in told
    assert shell.sql(row)[0]["secret_previous"] is None


def test_a_secret_that_is_believed_stays_so_through_further_rotations_while_there_is_room(shell: Shell) -> None:
    shell.json("nas", "add", "--name", "bras-1", "--address", "192.0.2.1", "--secret", "-", typed="first\n")
    rotate = ("nas", "rotate-secret", "bras-1")
    shell.json(*rotate, "--hours", "1")
    second = shell.json(*rotate, "--hours", "2")
    assert len(second["warnings"]) == 2
    assert re.search(
        r"further secret \d+: previous secret of an earlier rotation, believed until 20", second["warnings"][1]
    )
    kept = "SELECT secret, extract(epoch FROM valid_until - now())::float8 AS left_s FROM net.nas_secret ORDER BY id"
    (row,) = shell.sql(kept)
    assert (row["secret"], 3500 < row["left_s"] <= 3600) == ("first", True)
    told = " ".join(shell.run(*rotate, language="pt").stderr.split())
    assert told.count("vale até") == 2, told
    before = shell.sql("SELECT secret, secret_previous FROM net.nas")
    refused = shell.run(*rotate)
    assert refused.exit_code == 1
    assert "aaad nas secret delete bras-1" in refused.stderr
    assert refused.stderr.count("believed until") == 3
    assert shell.sql("SELECT secret, secret_previous FROM net.nas") == before
    assert len(shell.sql(kept)) == 2
    shell.sql("UPDATE net.nas_secret SET valid_until = now() - interval '1 s' WHERE secret = 'first'")
    assert "not believed any more since" in shell.run("nas", "show", "bras-1").output
    shell.json(*rotate)  # its time is over: there is room
    back = shell.run(*rotate, "--secret", "-", "--hours", "0", typed="first\n")
    assert back.exit_code == 0, back.stderr
    ended = shell.sql("SELECT secret, secret_previous FROM net.nas")[0]
    assert (ended["secret"], ended["secret_previous"]) == ("first", None)
    assert back.stderr.count("believed until") == 2, "what is believed all the same is told"


def test_rotating_back_to_the_previous_secret_keeps_nothing_twice(shell: Shell) -> None:
    shell.json("nas", "add", "--name", "bras-1", "--address", "192.0.2.1", "--secret", "-", typed="first\n")
    shell.json("nas", "rotate-secret", "bras-1")
    shell.json("nas", "rotate-secret", "bras-1", "--secret", "-", typed="first\n")
    assert shell.sql("SELECT FROM net.nas_secret") == []
    assert shell.sql("SELECT secret FROM net.nas")[0]["secret"] == "first"
    shell.json("nas", "secret", "add", "bras-1", "--secret", "-", typed="third\n")
    shell.json("nas", "rotate-secret", "bras-1", "--end")
    shell.json("nas", "rotate-secret", "bras-1", "--secret", "-", typed="third\n")
    shell.json("nas", "rotate-secret", "bras-1")
    shell.json("nas", "rotate-secret", "bras-1")
    found = shell.sql("SELECT secret, valid_until FROM net.nas_secret ORDER BY id")
    assert [(row["secret"], row["valid_until"] is None) for row in found] == [("third", True), ("first", False)]


def test_further_secrets_for_routers_behind_one_address_four_at_most(shell: Shell) -> None:
    shell.json("nas", "add", "--name", "nat", "--address", "192.0.2.1")
    first = shell.json("nas", "secret", "add", "nat", "--note", "router of the tower")
    shell.json("nas", "secret", "add", "nat", "--secret", "-", "--hours", "1", typed="typed\n")
    shell.json("nas", "secret", "add", "nat")
    refused = shell.json("nas", "secret", "add", "nat", code=2)
    assert "at most 4" in refused["problems"][0]["message"]
    refused = shell.json("nas", "secret", "add", "nat", "--secret", "-", typed="typed\n", code=2)
    assert "does not have yet" in refused["problems"][0]["message"]
    shown = shell.json("nas", "show", "nat")["secrets"]
    assert [(secret["note"], secret["valid_until"] is None) for secret in shown] == [
        ("router of the tower", True),
        ("", False),
        ("", True),
    ]
    assert first["secret"] not in shell.run("nas", "show", "nat").output
    shell.json("nas", "secret", "delete", "nat", str(shown[0]["id"]))
    shell.json("nas", "secret", "delete", "nat", str(shown[0]["id"]), code=1)
    assert len(shell.json("nas", "show", "nat")["secrets"]) == 2


def test_a_secret_is_never_an_argument(shell: Shell) -> None:
    for words in (
        ("nas", "add", "--name", "x", "--address", "192.0.2.1", "--secret", "open"),
        ("router-admin", "add", "--name", "x", "--password", "open"),
    ):
        result = shell.run(*words)
        assert result.exit_code == 2
        assert "never an argument" in result.stderr


def test_a_nas_in_use_is_not_deleted(shell: Shell) -> None:
    shell.json("nas", "add", "--name", "bras-1", "--address", "192.0.2.1")
    shell.sql("INSERT INTO net.router (nas_id, source_address) SELECT id, '192.0.2.1' FROM net.nas")
    refused = shell.json("nas", "delete", "bras-1", "--yes", code=1)
    assert [link["thing"] for link in refused["links"]] == ["router"]
    shell.json("nas", "edit", "bras-1", "--enabled", "N")
    shell.sql("INSERT INTO erp.login (contract_id, name, password, nas_id) SELECT 1, 'ana', 'x', id FROM net.nas")
    refused = shell.json("nas", "delete", "bras-1", "--yes", code=1)
    assert [(link["thing"], link["name"]) for link in refused["links"]] == [("login", "ana")]
    shell.sql("UPDATE erp.login SET nas_id = NULL")
    shell.json("nas", "delete", "bras-1", "--yes")


def test_router_administrators(shell: Shell) -> None:
    shell.json("nas", "add", "--name", "bras-1", "--address", "192.0.2.1")
    everywhere = shell.json("router-admin", "add", "--name", "joana", "--router-group", "full")
    shell.json("router-admin", "add", "--name", "joana", "--nas", "bras-1", "--password", "-", typed="typed\n")
    assert [(row["name"], row["nas"], row["router_group"]) for row in shell.json("router-admin", "list")] == [
        ("joana", None, "full"),
        ("joana", "bras-1", "read"),
    ]
    refused = shell.json("router-admin", "add", "--name", "JOANA", code=2)
    assert refused["problems"][0]["field"] == "name"
    number = str(everywhere["router_administrator"]["id"])
    shell.json("router-admin", "edit", number, "--active", "N")
    changed = shell.json("router-admin", "password", number)
    stored = shell.sql("SELECT password, active FROM net.router_administrator WHERE id = $1", int(number))[0]
    assert (stored["password"], stored["active"]) == (changed["password"], False)
    assert changed["password"] not in json.dumps(shell.json("router-admin", "show", number))
    shell.json("router-admin", "delete", number, "--yes")
    assert len(shell.json("router-admin", "list")) == 1


def test_r10_how_wrong_each_routers_clock_is_stands_beside_it(shell: Shell) -> None:
    shell.json("nas", "add", "--name", "bras-1", "--address", "192.0.2.0/24")
    shell.sql(
        "INSERT INTO net.router (nas_id, source_address, clock_offset_s) "
        "SELECT id, told.address, told.offset_s FROM net.nas, (VALUES "
        "('192.0.2.1'::inet, -7200.4), ('192.0.2.2', 3), ('192.0.2.3', NULL)) AS told (address, offset_s)"
    )
    routers = shell.json("nas", "show", "bras-1")["routers"]
    assert [router["clock_offset_s"] for router in routers] == [-7200.4, 3, None]
    shown = shell.run("nas", "show", "bras-1", language="pt").output
    assert "relógio" in shown
    assert "-7200 s" in shown
    assert "+3 s" in shown


def test_r10_problems_are_told_of_this_nodes_routers(shell: Shell) -> None:
    shell.json("nas", "add", "--name", "bras-1", "--address", "192.0.2.1")
    assert shell.run("nas", "problems").exit_code == 1, "there is no node here"
    counters = shell.folder / "state" / "counters"
    counters.mkdir(parents=True)
    assert shell.json("nas", "problems") == []
    assert "Nothing is wrong" in shell.run("nas", "problems").output
    stranger = {"source_address": "192.0.2.77", "count": 12, "first_at_s": 1.8e9, "last_at_s": 1.8e9 + 60}
    unknown_sources_path(counters, "radius-0").write_text(json.dumps([stranger]))
    (told,) = shell.json("nas", "problems")
    assert (told["kind"], told["source_address"], told["count"]) == ("unknown_source", "192.0.2.77", 12)
    assert "192.0.2.77 is no concentrator of ours and asks: 12 datagrams since" in told["text"]
    assert "aaad nas add --name NAME --address 192.0.2.77" in " ".join(shell.run("nas", "problems").output.split())
    heard = {"nas_id": 1, "nas": "bras-1", "source_address": "192.0.2.1", "nas_identifier": "", "proven": False}
    signs = {"doubted_accepts": 7, "doubted_resent": 14, "doubted_at_s": time.time() - 40}
    rows = [{**heard, **signs, "armed": False, "last_heard_s": time.time()}]
    statistics_path(counters, "radius-0").write_text(json.dumps(rows))
    told, _stranger = shell.json("nas", "problems", code=1)
    assert (told["kind"], told["count"], told["resent"]) == ("secret_seems_wrong", 7, 14)
    sentence = "its secret seems wrong: 7 Accepts to CHAP of 192.0.2.1 without a Start, 14 resends"
    for words in (("problems",), ("show", "bras-1")):
        assert sentence in " ".join(shell.run("nas", *words).output.split())
    assert "7 Accepts a CHAP" in shell.run("nas", "problems", language="pt").output


def test_a_routers_api_is_asked_and_its_password_shown_once(shell: Shell) -> None:
    router = Router(identity="bras-1", aaad="typed secret")
    router.table("/ip/pool").put({"name": "pppoe", "ranges": "100.64.0.0/24"})
    router.connect("ana", "100.64.0.1", caller="", session="0x1", pool="pppoe")
    with RouterosServer(router) as server:
        where = ("--api-address", server.address, "--api-port", str(server.port), "--api-tls", "N")
        shell.json("nas", "add", "--name", "bras-1", "--address", "192.0.2.0/24")
        told = shell.run("nas", "pools", "bras-1")
        assert (told.exit_code, "stands for many routers" in told.stderr) == (1, True)
        shell.json("nas", "edit", "bras-1", *where)
        assert "as whom to ask" in shell.run("nas", "pools", "bras-1").stderr
        made = shell.json("nas", "api-password", "bras-1")
        assert len(made["password"]) >= 20
        assert len(made["warnings"]) == 2
        shell.json("nas", "edit", "bras-1", "--api-user", "aaad")
        refused = shell.run("nas", "pools", "bras-1")
        assert (refused.exit_code, "invalid user name or password" in refused.stderr) == (1, True)
        kept = shell.json("nas", "api-password", "bras-1", "--set", "-", typed="typed secret\n")
        assert "typed secret" not in json.dumps(kept) + shell.run("nas", "show", "bras-1").output
        seen = shell.json("nas", "pools", "bras-1")
        assert seen["pools"] == [{"name": "pppoe", "size": 256, "used": 1, "ranges": ["100.64.0.0/24"]}]
        assert (seen["router"], seen["connected"]) == ("bras-1", 1)
        assert "1 clientes" in shell.run("nas", "pools", "bras-1", language="pt").output
    assert router.changes == []


def test_certificates_are_pinned_in_any_way_of_writing_them(shell: Shell) -> None:
    shell.json("nas", "add", "--name", "bras-1", "--address", "192.0.2.1")
    shell.json("nas", "edit", "bras-1", "--api-fingerprint", ":".join(["AB"] * 32))
    assert shell.json("nas", "show", "bras-1")["api_fingerprint"] == "ab" * 32
    pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"
    shell.json("nas", "edit", "bras-1", "--api-ca", f"subject: x\n{pem}\n\n{pem}\n")
    assert shell.json("nas", "show", "bras-1")["api_ca"] == f"{pem}\n{pem}"
    for words in (("--api-fingerprint", "ab"), ("--api-ca", "none"), ("--api-port", "0")):
        assert shell.run("nas", "edit", "bras-1", *words).exit_code == 2
