"""The command line against a living node, in both languages, with PostgreSQL and without."""

import asyncio
import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from click.testing import CliRunner
from process_node import ProcessNode, wait_until
from prometheus_client.parser import text_string_to_metric_families
from typer.main import get_command

from aaad.cli.app import build_app
from aaad.cli.options import Options
from aaad.cli.terminal import Terminal
from aaad.daemon.metric_families import FAMILIES
from aaad.db.embedded import EmbeddedPostgres

ROOT = Path(__file__).parents[2]
SEED = """
INSERT INTO erp.parameter (name, value) VALUES ('document_required', 'N');
INSERT INTO erp.branch (id, name, time_zone) VALUES (1, 'Matriz', 'America/Sao_Paulo');
INSERT INTO erp.plan (id, name, upload, download) VALUES (1, 'Fibra 100', '50M', '100M');
INSERT INTO erp.client (id, branch_id, kind, name, mobile_phone)
    SELECT n, 1, 'F', 'Cliente ' || n, '1199000' || lpad(n::text, 4, '0') FROM generate_series(1, 4) AS n;
INSERT INTO erp.contract (id, client_id, branch_id, plan_id, status, access_status, activated_on) VALUES
    (1, 1, 1, 1, 'A', 'A', current_date), (2, 2, 1, 1, 'A', 'CA', current_date), (3, 3, 1, 1, 'A', 'A', current_date),
    (4, 4, 1, 1, 'A', 'A', current_date);
INSERT INTO erp.login (id, contract_id, name, password, ipv4) VALUES
    (11, 1, 'ana', 'senha-ana', '198.18.0.1'), (12, 2, 'bruno', 'senha-bruno', NULL),
    (13, 3, 'carla', 'senha-carla', NULL), (14, 4, 'davi', 'senha-davi', NULL);
INSERT INTO net.nas (id, name, address, secret) VALUES (1, 'bras-1', '127.0.0.0/8', 'testing123');
INSERT INTO net.node (name, heartbeat_at) VALUES ('node-gone', now() - interval '3 hours');
INSERT INTO net.refusal (login_id, reason, minute, count) VALUES (12, 'blocked_automatically', now(), 7000);
"""


def sql(dsn: str, text: str) -> None:
    async def execute() -> None:
        connection = await asyncpg.connect(dsn)
        await connection.execute(text)
        await connection.close()

    asyncio.run(execute())


@pytest.fixture(scope="module")
def database(postgres: EmbeddedPostgres, _template: str) -> str:
    sql(postgres.dsn(), f"CREATE DATABASE command_line TEMPLATE {_template}")
    dsn = postgres.dsn("command_line")
    sql(dsn, SEED)
    return dsn


@pytest.fixture(scope="module")
def node(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessNode]:
    first = ProcessNode(tmp_path_factory.mktemp("n1"), database, "node-1")
    second = ProcessNode(tmp_path_factory.mktemp("n2"), database, "node-2", role="control")
    try:
        first.start()
        second.start()
        wait_until(lambda: aaad(first, "radtest", "ana", "senha-ana").exit_code == 0)
        wait_until(lambda: "node-2" in aaad(first, "why", "ana", as_json=True).json["now"])
        yield first
    finally:
        second.stop()
        first.stop()


class Ran:
    def __init__(self, exit_code: int, output: str, complaint: str) -> None:
        self.exit_code = exit_code
        self.output = output
        self.complaint = complaint

    @property
    def json(self) -> Any:
        return json.loads(self.output)


@cache
def command(options: Options) -> Any:
    """The whole command line is made once for each language and form of answer: it takes longer than a command."""
    return get_command(build_app(Terminal(options)))


def aaad(
    node: ProcessNode, *words: str, language: str = "en", as_json: bool = False, path: Path | None = None
) -> Ran:
    result = CliRunner().invoke(command(Options(path or node.config_path, language, as_json)), words)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ran(result.exit_code, result.stdout, result.stderr)


@pytest.fixture
def without_postgres(node: ProcessNode, tmp_path: Path) -> Path:
    """The node's configuration as somebody sees it who cannot reach PostgreSQL."""
    path = tmp_path / "dead.toml"
    dsn = node.dsn
    path.write_text(node.config_path.read_text().replace(dsn, "postgresql://postgres@127.0.0.1:9/aaad"))
    return path


def test_radtest_is_accepted_with_verified_signatures(node: ProcessNode) -> None:
    ran = aaad(node, "radtest", "ana", "senha-ana", as_json=True)
    assert ran.exit_code == 0
    assert ran.json["code"] == "Access-Accept"
    assert ran.json["problem"] is None
    assert ran.json["is_message_authenticator_first"]
    attributes = dict(ran.json["attributes"])
    assert attributes["Framed-IP-Address"] == "198.18.0.1"
    assert attributes["Mikrotik-Rate-Limit"] == "50M/100M"


def test_radtest_in_portuguese_with_a_wrong_password(node: ProcessNode) -> None:
    ran = aaad(node, "radtest", "ana", "errada", language="pt")
    assert ran.exit_code == 1
    assert "Access-Reject" in ran.output
    assert "estão corretos" in ran.output


def test_r3_5_an_unknown_login_hears_what_a_wrong_password_hears(node: ProcessNode) -> None:
    told = [
        dict(aaad(node, "radtest", login, "errada", as_json=True).json["attributes"]).get("Reply-Message")
        for login in ("ana", "nobody-of-this-name", "bruno")
    ]
    assert told[0] == told[1] == told[2]


def test_radtest_with_a_wrong_secret_is_told_from_a_closed_port(node: ProcessNode) -> None:
    silent = aaad(node, "radtest", "ana", "senha-ana", "--secret", "wrong-secret", as_json=True)
    assert (silent.exit_code, silent.json["problem"]) == (1, "silent")
    closed = aaad(node, "radtest", "ana", "senha-ana", "--port", "9", as_json=True)
    assert (closed.exit_code, closed.json["problem"]) == (1, "port_closed")


def test_why_tells_past_and_present_of_a_login_that_connects(node: ProcessNode) -> None:
    aaad(node, "radtest", "ana", "wrong")
    ran = aaad(node, "why", "ANA", as_json=True)
    assert ran.exit_code == 1, "node-2 has no replica, so not every node that was heard would let it in"
    assert ran.json["now"]["node-1"]["reason"] == "granted"
    assert ran.json["now"]["node-2"] is None
    past = ran.json["past"]
    assert [decision["reason"] for decision in past][:1] == ["wrong_password"]
    assert "granted" in [decision["reason"] for decision in past]
    assert past[0]["node"] == "node-1"
    assert past[0]["nas"] == "bras-1"
    assert past[0]["source_address"] == "127.0.0.1"
    assert past[0]["nas_identifier"] == "aaad-radtest"
    assert past[0]["account"]["contract_id"] == 1
    assert [unheard["node"] for unheard in ran.json["unheard"]] == ["node-gone"]
    assert "senha" not in ran.output
    assert sorted(decision["at_s"] for decision in past) == [decision["at_s"] for decision in reversed(past)]


def test_r9_3_why_shows_reason_hint_counts_and_who_was_not_asked(node: ProcessNode) -> None:
    aaad(node, "radtest", "bruno", "senha-bruno")
    ran = aaad(node, "why", "bruno")
    assert ran.exit_code == 1
    assert "The contract is blocked for late payment." in ran.output
    assert "aaad contract trust-unlock" in ran.output
    assert "A/CA" in ran.output
    assert "Node node-gone could not be asked; it last showed itself: 3 h" in ran.output
    assert "Refusals counted" in ran.output
    assert re.search(r" 70\d\d ", ran.output), "those of this test may be counted already"
    assert "node-2: no complete copy" in ran.output


def test_why_in_portuguese(node: ProcessNode) -> None:
    aaad(node, "radtest", "bruno", "senha-bruno")
    ran = aaad(node, "why", "bruno", language="pt")
    assert "bloqueado por falta de pagamento" in ran.output
    assert "aaad contract trust-unlock" in ran.output
    assert "não pôde ser consultado" in ran.output


def test_r9_3_why_says_when_no_request_is_known_and_of_whom_that_is_true(node: ProcessNode) -> None:
    aaad(node, "radtest", "carla", "senha-carla", "--secret", "wrong-secret")
    wait_until(lambda: "do not fit" in aaad(node, "why", "davi").output)
    ran = aaad(node, "why", "davi")
    assert "No request of this login arrived" not in ran.output
    assert "is known at node-1, but some of what arrived could not be:" in " ".join(ran.output.split())
    assert "node-1: NAS bras-1: " in ran.output
    assert "Node node-2 could not search its journal" in ran.output
    assert "node-gone could not be asked" in ran.output
    assert "would be let in with the right password" in ran.output


def test_why_of_an_unknown_name_finds_its_refusals(node: ProcessNode) -> None:
    aaad(node, "radtest", "joao.ninguem", "x")
    ran = aaad(node, "why", "Joao.Ninguem", as_json=True)
    assert ran.exit_code == 1
    assert ran.json["now"]["node-1"] is None
    assert [decision["reason"] for decision in ran.json["past"]] == ["unknown_login"]
    assert ran.json["past"][0]["user_name"].startswith("jo***")
    text = aaad(node, "why", "joao.ninguem").output
    assert "There is no login of this name." in text


def test_why_goes_on_with_postgresql_dead_and_says_so(node: ProcessNode, without_postgres: Path) -> None:
    aaad(node, "radtest", "ana", "senha-ana")
    ran = aaad(node, "why", "ana", path=without_postgres)
    assert ran.exit_code == 0
    assert "PostgreSQL could not be asked" in ran.output
    assert "Only this machine's node was asked" in ran.output
    assert "Connected: everything is in order." in ran.output


def test_a_change_is_told_as_the_present_and_the_past_stays(node: ProcessNode, database: str) -> None:
    aaad(node, "radtest", "carla", "senha-carla")
    sql(database, "UPDATE erp.contract SET access_status = 'CM' WHERE id = 3")
    wait_until(lambda: aaad(node, "why", "carla", as_json=True).json["now"]["node-1"]["reason"] == "blocked_manually")
    ran = aaad(node, "why", "carla", as_json=True)
    assert ran.json["past"][0]["reason"] == "granted"
    assert ran.json["past"][0]["account"]["access_status"] != ran.json["now"]["node-1"]["account"]["access_status"]
    sql(database, "UPDATE erp.contract SET access_status = 'A' WHERE id = 3")


def test_simulate_login_shows_decision_and_attributes_without_a_request(node: ProcessNode) -> None:
    ran = aaad(node, "simulate-login", "ANA", "--nas", "bras-1", as_json=True)
    assert ran.exit_code == 0
    assert (ran.json["decision"]["reason"], ran.json["decision"]["state"]) == ("granted", "full")
    asked = aaad(node, "radtest", "ana", "senha-ana", as_json=True).json["attributes"]
    left_out = {"Message-Authenticator", "Class"}
    assert ran.json["decision"]["reply"] == [pair for pair in asked if pair[0] not in left_out]
    text = aaad(node, "simulate-login", "bruno", language="pt")
    assert text.exit_code == 1
    assert "Access-Reject" in text.output
    assert "bloqueado por falta de pagamento" in text.output


def test_simulate_login_names_what_is_wrong_and_what_is_allowed(node: ProcessNode) -> None:
    for words, told in (
        (("--nas", "bras-9"), "existem: bras-1"),
        (("--kind", "toaster"), "'toaster' não é conhecido; existem: mikrotik"),
        (("--mac", "zz"), "AA:BB:CC:DD:EE:FF"),
    ):
        wrong = aaad(node, "simulate-login", "ana", *words, language="pt")
        assert (wrong.exit_code, told in wrong.complaint) == (2, True), wrong.complaint
    unknown = aaad(node, "simulate-login", "nobody.here")
    assert (unknown.exit_code, "There is no login of this name." in unknown.output) == (1, True)


def test_status_with_everything(node: ProcessNode) -> None:
    wait_until(lambda: aaad(node, "status", as_json=True).json["is_serving"])
    ran = aaad(node, "status", as_json=True)
    assert ran.exit_code == 0
    document = ran.json
    assert document["source"] == "control"
    assert document["node"]["replica"]["is_complete"]
    assert document["node"]["replica"]["logins_count"] == 4
    assert document["node"]["replica"]["age_s"] < 5
    assert {row["name"] for row in document["cluster"]["nodes"]} == {"node-1", "node-2", "node-gone"}
    assert document["cluster"]["routers"][0]["nas"] == "bras-1"
    assert "testing123" not in ran.output
    assert any("node-gone" in problem for problem in document["problems"])
    text = aaad(node, "status", language="pt").output
    assert "! O nó node-gone não dá sinal: 3 h." in text
    assert "cópia dos logins: completa, 4 logins" in text
    assert "radius_received_total" in text


def test_status_with_postgresql_dead(node: ProcessNode, without_postgres: Path) -> None:
    wait_until(lambda: aaad(node, "status", as_json=True).json["is_serving"])
    ran = aaad(node, "status", path=without_postgres)
    assert ran.exit_code == 0
    assert "! PostgreSQL could not be asked" in ran.output
    assert "bras-1" in ran.output or "Message-Authenticator" in ran.output


def test_what_asks_the_node_alone_works_where_the_dsn_is_out_of_reach(
    node: ProcessNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AAAD_DATABASE_DSN", raising=False)
    path = tmp_path / "a.toml"
    text = node.config_path.read_text().replace(f'dsn = "{node.dsn}"', f'dsn_file = "{tmp_path}/secret"')
    path.write_text(text)
    assert aaad(node, "radtest", "ana", "senha-ana", path=path).exit_code == 0
    wait_until(lambda: aaad(node, "status", path=path).exit_code == 0)
    assert f"! PostgreSQL could not be asked: database.dsn_file: '{tmp_path}/secret'" in (
        aaad(node, "status", path=path).output
    )
    assert "Only this machine's node was asked" in aaad(node, "why", "ana", path=path).output
    for words in (("check",), ("migrate",), ("replica", "status"), ("nas", "message-auth", "bras-1", "reset")):
        ran = aaad(node, *words, path=path)
        assert (ran.exit_code, "database.dsn_file" in ran.complaint) == (2, True), words
    (tmp_path / "secret").touch(mode=0o600)
    (tmp_path / "secret").write_text(node.dsn)
    command.cache_clear()  # what it has read of the configuration it keeps
    assert aaad(node, "check", path=path).exit_code == 0
    assert "could not be asked:" not in aaad(node, "status", path=path).output


def test_status_and_why_from_the_files_of_a_node_that_does_not_answer(
    node: ProcessNode, without_postgres: Path, tmp_path: Path
) -> None:
    aaad(node, "radtest", "ana", "senha-ana")
    text = without_postgres.read_text().replace(f'run_dir = "{node.run_dir}"', f'run_dir = "{tmp_path}"')
    without_postgres.write_text(text)
    script = [sys.executable, "-m", "aaad", "--config", str(without_postgres), "--language", "en"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    status = subprocess.run([*script, "status"], env=environment, capture_output=True, text=True, timeout=30)
    assert "this is what its files say" in status.stdout, status.stderr
    why = subprocess.run(
        [*script, "why", "ana", "--json"], env=environment, capture_output=True, text=True, timeout=30
    )
    assert why.returncode == 0, why.stderr
    assert json.loads(why.stdout)["past"][0]["reason"] == "granted"


def test_no_node_at_all_is_an_error_that_says_so(node: ProcessNode, without_postgres: Path, tmp_path: Path) -> None:
    text = without_postgres.read_text()
    for number, folder in enumerate((str(node.state_dir), str(node.run_dir))):
        text = text.replace(folder, str(tmp_path / f"nothing{number}"))
    without_postgres.write_text(text)
    ran = aaad(node, "status", path=without_postgres)
    assert ran.exit_code == 1
    assert "control.sock" in ran.complaint
    assert ran.output == ""


def test_the_brake_holds_and_an_operator_lets_it_through(node: ProcessNode, database: str) -> None:
    assert aaad(node, "replica", "status").exit_code == 0
    assert aaad(node, "replica", "accept").exit_code == 1
    sql(database, "UPDATE erp.contract SET access_status = 'D' WHERE id IN (1, 3, 4)")
    wait_until(lambda: aaad(node, "replica", "status").exit_code == 1)
    told = aaad(node, "replica", "status", language="pt")
    assert "de 4 logins" in told.output
    assert any("brake holds back" in problem for problem in aaad(node, "status", as_json=True).json["problems"])
    hold = aaad(node, "replica", "status", as_json=True).json["hold"]
    shown = f"aaad replica accept {hold['hold_id']} --count {hold['cut_off_count']}"
    assert shown in told.output
    sql(database, f"UPDATE net.hold SET built_meanwhile = '{{outro}}' WHERE id = {hold['hold_id']}")
    refused = aaad(node, "replica", "accept", str(hold["hold_id"]), "--count", "2", language="pt")
    assert refused.exit_code == 1
    assert "cortaria 3 de 4" in refused.output
    assert "outro" in refused.output
    assert aaad(node, "replica", "accept", str(hold["hold_id"] + 1)).exit_code == 1
    assert aaad(node, *shown.split()[1:], as_json=True).json["accepted"]["state"] == "accepted"
    wait_until(lambda: aaad(node, "radtest", "davi", "senha-davi").exit_code == 1)
    sql(database, "UPDATE erp.contract SET access_status = 'A' WHERE id IN (1, 3, 4)")
    wait_until(lambda: aaad(node, "radtest", "ana", "senha-ana").exit_code == 0)


def test_metrics_and_health_over_http(node: ProcessNode) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{node.metrics_port}/metrics", timeout=5) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        families = list(text_string_to_metric_families(answer.read().decode()))
    names = {sample.name.removesuffix("_bucket").removesuffix("_count") for f in families for sample in f.samples}
    assert names <= set(FAMILIES), names - set(FAMILIES)
    assert {"aaad_radius_decisions_total", "aaad_udp_dropped_total", "aaad_role_up"} <= names
    with urllib.request.urlopen(f"http://127.0.0.1:{node.metrics_port}/healthz", timeout=5) as answer:
        assert answer.read() == b"ok\n"


def metric(node: ProcessNode, name: str, **labels: str) -> float:
    """Return the sum of a metric's samples that have these labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{node.metrics_port}/metrics", timeout=5) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    return sum(
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def test_r2_3_r10_routers_and_the_alarm_of_a_downgrade_reach_metrics_and_status(
    node: ProcessNode, database: str
) -> None:
    aaad(node, "radtest", "ana", "senha-ana")
    wait_until(lambda: metric(node, "aaad_router_requests_total", nas="bras-1", proven="true") > 0)
    sql(database, "UPDATE net.nas SET message_authenticator = 'yes'")
    wait_until(
        lambda: aaad(node, "radtest", "ana", "senha-ana", "--no-message-authenticator", "--port", "0").exit_code == 1
    )
    wait_until(lambda: metric(node, "aaad_router_unsigned_dropped_total", nas="bras-1") > 0)
    assert "! NAS bras-1 stopped sending Message-Authenticator" in aaad(node, "status").output
    sql(database, "UPDATE net.nas SET message_authenticator = 'auto'")
    aaad(node, "radtest", "davi", "senha-davi", "--secret", "wrong-secret")
    wait_until(lambda: metric(node, "aaad_router_bad_authenticators_total", nas="bras-1") > 0)
    # Of one router's problems the one that explains the others is told.
    assert "stopped sending Message-Authenticator" in aaad(node, "why", "nobody-yet-asked").output


def test_the_heartbeat_and_answers_stand_in_postgresql(node: ProcessNode, database: str) -> None:
    async def read() -> Any:
        connection = await asyncpg.connect(database)
        row = await connection.fetchrow(
            "SELECT version, now() - heartbeat_at < interval '10 s' AS fresh, state FROM net.node"
            " WHERE name = 'node-1'"
        )
        await connection.close()
        return row

    row = asyncio.run(read())
    assert row["version"]
    assert row["fresh"]
    wait_until(lambda: json.loads(asyncio.run(read())["state"])["replica"]["is_complete"])


def test_r2_3_an_operator_frees_routers_from_message_authenticator(node: ProcessNode) -> None:
    wait_until(lambda: bool(aaad(node, "nas", "message-auth", "bras-1", "reset", as_json=True).json["freed"]))
    freed = aaad(node, "nas", "message-auth", "bras-1", "reset", as_json=True)
    assert freed.exit_code == 0
    assert freed.json["freed"][0]["source_address"] == "127.0.0.1"
    absent = aaad(node, "nas", "message-auth", "bras-9", "reset", language="pt")
    assert (absent.exit_code, absent.complaint) == (1, "aaad: Não existe concentrador com o nome bras-9.\n")
    assert aaad(node, "nas", "message-auth", "bras-1", "forget").exit_code == 2


def test_migrate_says_what_is_missing_and_then_applies_it(node: ProcessNode, empty_dsn: str, tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text(f'[database]\ndsn = "{empty_dsn}"\n')
    missing = aaad(node, "migrate", "--dry-run", path=path, as_json=True)
    assert (missing.exit_code, missing.json["pending"][0]) == (1, "0001_erp")
    applied = aaad(node, "migrate", path=path, language="pt")
    assert applied.exit_code == 0
    assert "o banco de dados está atualizado" in applied.output
    assert aaad(node, "migrate", "--dry-run", path=path, as_json=True).json["pending"] == []
