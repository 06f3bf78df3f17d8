"""`aaad sessions`, `statement`, `usage` and `session close` on a real PostgreSQL, in both languages."""

import asyncio
import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from one_connection import connection
from session_rows import DAY, HOUR, NOW, add_session, drained, reported
from typing_person import type_line

from aaad.cli.options import Options
from aaad.db.embedded import EmbeddedPostgres
from aaad.sessions.reports import short_name

SEED = """
INSERT INTO erp.parameter (name, value) VALUES ('document_required', 'N');
INSERT INTO erp.branch (id, name, time_zone) VALUES
    (10, 'Matriz', 'America/Sao_Paulo'), (11, 'Norte', 'America/Manaus');
INSERT INTO erp.plan (id, name, upload, download) VALUES (20, 'Fibra 300', '150M', '300M'), (22, 'Lento', '1M', '2M');
INSERT INTO erp.plan (id, name, upload, download, cap_gigabytes, cap_kind, cap_plan_id) VALUES
    (21, 'Fibra 600', '300M', '600M', 10, 'M', 22);
INSERT INTO erp.client (id, branch_id, kind, name) VALUES
    (123, 10, 'F', 'Ana Souza'), (31, 11, 'J', 'Padaria Sol');
INSERT INTO erp.contract (id, client_id, branch_id, plan_id, status) VALUES
    (40, 123, 10, 20, 'A'), (41, 31, 11, 21, 'A');
INSERT INTO erp.login (id, contract_id, name, password, deleted_at) VALUES
    (50, 40, 'ana@fibra', 'senha-ana', NULL), (51, 41, 'padaria', 'senha-sol', NULL), (52, 40, 'velho', 'x', now());
INSERT INTO net.nas (id, name, address, secret) VALUES
    (1, 'bng-centro', '192.0.2.1', 'secret-1'), (2, 'bng-norte', '192.0.2.2', 'secret-2');
INSERT INTO net.router (nas_id, source_address, nas_identifier, accounting_at) VALUES (1, '192.0.2.1', '', now());
"""
ANA = {"login_id": 50, "client_id": 123, "contract_id": 40, "plan_id": 20, "branch_id": 10, "user_name": "ana@fibra"}
PADARIA = {
    "login_id": 51, "client_id": 31, "contract_id": 41, "plan_id": 21, "branch_id": 11, "user_name": "padaria",
    "time_zone": "America/Manaus", "nas_id": 2, "source_address": "192.0.2.2",
}  # fmt: skip
MARCH = datetime(2025, 3, 9, 23, 0, tzinfo=UTC)  # 20:00 in São Paulo, 19:00 in Manaus


async def fill(db: asyncpg.Connection) -> None:
    await db.execute(SEED)
    await drained(db, NOW)
    await add_session(
        db, family=UUID("3f9a0c21be554000800000000000000a"), started=NOW - 2 * HOUR, heard=NOW - HOUR / 60,
        ipv4="100.64.0.5", ipv4_evidence="reported", delegated_ipv6_prefix="2001:db8:5::/56",
        delegated_ipv6_prefix_evidence="granted", mac="02:00:00:00:00:05", interim_s=300, octets_in=10**9,
        octets_out=5 * 10**9, acct_session_id="81a00001", called_station_id="pppoe-centro", **ANA,
    )  # fmt: skip
    await add_session(
        db, family=UUID("3f9a0c21be554000800000000000000b"), started=NOW - 3 * HOUR, heard=NOW - 2 * HOUR,
        interim_s=300, mac="02:00:00:00:00:06", ipv4="100.64.0.6", **ANA,
    )  # fmt: skip
    await add_session(db, started=NOW - HOUR, heard=NOW - HOUR, mac="02:00:00:00:00:51", **PADARIA)
    await add_session(
        db, started=NOW - HOUR, heard=NOW - HOUR, user_name="=nobody", nas_id=2, source_address="192.0.2.2"
    )
    await add_session(
        db, started=NOW - 5 * HOUR, heard=NOW - 4 * HOUR, ended=True, terminate_cause=2, mac="02:00:00:00:00:05",
        ipv4="100.64.0.9", **ANA,
    )  # fmt: skip
    await add_session(
        db, started=NOW - 9 * HOUR, heard=NOW - 8 * HOUR, ended_at=NOW - 8 * HOUR, ended_latest=NOW - 7 * HOUR,
        end_evidence="nas_restart", **PADARIA,
    )  # fmt: skip
    # Long ago, so in history: two of the same evening that are of different days in their zones.
    await add_session(
        db, started=MARCH, heard=MARCH + 5 * HOUR, ended=True, terminate_cause=1, mac="02:00:00:00:00:05",
        octets_in=100, octets_out=900, ipv4="100.64.0.5", acct_session_id="70000001",
        **reported({date(2025, 3, 9): (40, 300), date(2025, 3, 10): (100, 900)}), **ANA,
    )  # fmt: skip
    await add_session(
        db, started=MARCH + 6 * HOUR, heard=MARCH + 7 * HOUR, ended=True, mac="02:00:00:00:00:07",
        octets_in=5_000, octets_out=5_000, **reported({date(2025, 3, 10): (5_000, 5_000)}), **ANA,
    )  # fmt: skip
    await add_session(
        db, started=MARCH, heard=MARCH + HOUR, ended=True, octets_in=7, octets_out=8,
        **{**ANA, "login_id": 52, "user_name": "velho"},
    )  # fmt: skip
    await add_session(
        db, started=MARCH, heard=MARCH + HOUR, ended=True,
        **reported(
            {date(2025, 3, 2): (10**9, 6 * 10**9), date(2025, 3, 9): (10**9, 10**10),
             date(2025, 3, 20): (2 * 10**9, 10**10)}
        ), **PADARIA,
    )  # fmt: skip
    await db.execute("INSERT INTO net.session_history SELECT * FROM net.session WHERE ended_at < $1", NOW - 100 * DAY)
    await db.execute("DELETE FROM net.session WHERE ended_at < $1", NOW - 100 * DAY)
    # Late in March, of a login whose row is gone altogether.
    await add_session(db, started=NOW - 3 * DAY, heard=NOW - 2 * DAY, ended=True, **{**ANA, "login_id": 99})


class Ran:
    def __init__(self, exit_code: int, output: str, complaint: str) -> None:
        self.exit_code = exit_code
        self.output = output
        self.complaint = complaint

    @property
    def json(self) -> Any:
        return json.loads(self.output)

    @property
    def rows(self) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self.output)))


class Cli:
    """The command line of one database."""

    def __init__(self, dsn: str, config: Path) -> None:
        self.dsn = dsn
        self.config = config
        config.write_text(f'[database]\ndsn = "{dsn}"\n')

    def __call__(self, *words: str, language: str = "en", as_json: bool = False, operator: str = "maria") -> Ran:
        result = type_line(Options(self.config, language, as_json, operator), words)
        return Ran(result.exit_code, result.stdout, result.stderr)

    def sql(self, text: str, *arguments: object) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in connection(self.dsn).fetch(text, *arguments)]


@pytest.fixture(scope="module")
def aaad(postgres: EmbeddedPostgres, _template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    async def make() -> None:
        maker = await asyncpg.connect(postgres.dsn("postgres"))
        await maker.execute(f"CREATE DATABASE session_commands TEMPLATE {_template}")
        await maker.close()
        db = await asyncpg.connect(postgres.dsn("session_commands"))
        await fill(db)
        await db.close()

    asyncio.run(make())
    yield Cli(postgres.dsn("session_commands"), tmp_path_factory.mktemp("sessions") / "aaad.toml")


def names(ran: Ran) -> list[str]:
    return sorted(f"{row['user_name']} {row['state']}" for row in ran.json)


# --- sessions -------------------------------------------------------------------------------------------------------


def test_r5_3_what_is_not_closed_with_the_state_that_the_view_tells(aaad: Cli) -> None:
    ran = aaad("sessions", as_json=True)
    assert ran.exit_code == 0
    assert names(ran) == ["=nobody open", "ana@fibra open", "ana@fibra suspended", "padaria open"]
    first = next(row for row in ran.json if row["ipv4"] == "100.64.0.5")
    assert first["session"] == "3f9a0c21be55-0"
    assert (first["nas"], first["plan"], first["login"], first["client"]) == (
        "bng-centro", "Fibra 300", "ana@fibra", "Ana Souza",
    )  # fmt: skip
    assert datetime.fromisoformat(first["started_at"]) == NOW - 2 * HOUR
    assert datetime.fromisoformat(first["started_at"]).utcoffset() == timedelta(hours=-3)
    assert first["certain_duration_s"] == 2 * 3600 - 60
    assert first["possible_duration_s"] >= 2 * 3600
    assert (first["ipv4_evidence"], first["delegated_ipv6_prefix_evidence"]) == ("reported", "granted")
    assert first["mac"] == "02:00:00:00:00:05"
    assert "summary" not in first


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("--login", "ANA@FIBRA"), ["ana@fibra open", "ana@fibra suspended"]),
        (("--login", "50", "--state", "open"), ["ana@fibra open"]),
        (("--login", "=nobody"), ["=nobody open"]),
        (("--login", "nobody-at-all"), []),
        (("--nas", "bng-norte"), ["=nobody open", "padaria open"]),
        (("--plan", "fibra 600"), ["padaria open"]),
        (("--client", "Ana Souza"), ["ana@fibra open", "ana@fibra suspended"]),
        (("--contract", "41"), ["padaria open"]),
        (("--address", "100.64.0.5"), ["ana@fibra open"]),
        (("--address", "100.64.0.0/29"), ["ana@fibra open", "ana@fibra suspended"]),
        (("--address", "2001:db8:5:100::1"), []),
        (("--address", "2001:db8:5:ff::1"), ["ana@fibra open"]),
        (("--address", "2001:db8::/32"), ["ana@fibra open"]),
        (("--address", "100.64.0.9", "--state", "closed"), ["ana@fibra closed"]),
        (("--mac", "0200.0000.0006"), ["ana@fibra suspended"]),
        (("--mac", "02-00-00-00-00-05", "--state", "closed"), ["ana@fibra closed", "ana@fibra closed"]),
        (("--state", "suspended"), ["ana@fibra suspended"]),
        (("--state", "closed"), ["ana@fibra closed", "padaria closed"]),  # of the last 24 hours
        (("--state", "closed", "--nas", "bng-norte", "--since", "10h"), ["padaria closed"]),
        (("--state", "closed", "--nas", "bng-norte", "--since", "6h"), []),
        (("--state", "closed", "--login", "velho"), ["velho closed"]),
        (("--state", "closed", "--login", "99"), ["ana@fibra closed"]),
        (("--since", "90min"), ["=nobody open", "padaria open"]),
        (("--cause", "Lost-Carrier"), ["ana@fibra closed"]),
        (("--cause", "2"), ["ana@fibra closed"]),
        (("--cause", "nas-reboot"), ["padaria closed"]),
        (("--cause", "nas_restart", "--since", "6h"), []),
        (("--cause", "stop", "--login", "velho"), ["velho closed"]),
        (("--cause", "2", "--state", "open"), []),
    ],
)
def test_filters(aaad: Cli, words: tuple[str, ...], found: list[str]) -> None:
    ran = aaad("sessions", *words, as_json=True)
    assert ran.exit_code == 0, ran.complaint
    assert names(ran) == found


def test_a_time_without_a_zone_is_of_each_sessions_own_zone(aaad: Cli) -> None:
    """The same instant is 01:00 on the 10th in São Paulo and midnight in Manaus."""
    aaad_of = ("sessions", "--state", "closed", "--login", "ana@fibra", "--since")
    local_end = "2025-03-10 01:00"  # of the first session of March in São Paulo
    assert len(aaad(*aaad_of, local_end, as_json=True).json) == 3
    assert len(aaad(*aaad_of, "2025-03-10 01:01", as_json=True).json) == 2
    assert len(aaad(*aaad_of, "2025-03-10 01:01 -02:00", as_json=True).json) == 3
    padaria = ("sessions", "--state", "closed", "--login", "padaria", "--since")
    assert len(aaad(*padaria, "2025-03-09 20:00", as_json=True).json) == 2
    assert len(aaad(*padaria, "2025-03-09 20:01", as_json=True).json) == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--since", "yesterday"), "--since: 'yesterday' is not valid. Allowed:"),
        (("--address", "100.64.0"), "--address: '100.64.0' is not valid. Allowed: an IPv4 or IPv6 address"),
        (("--mac", "G0:00:00:00:00:00"), "MAC"),
        (("--state", "asleep"), "'--state'"),
        (("--cause", "bad weather"), "--cause: 'bad weather' is not valid. Allowed: a number"),
        (("--limit", "0"), "'--limit'"),
    ],
)
def test_what_is_typed_wrong_names_the_option_and_what_is_allowed(
    aaad: Cli, words: tuple[str, ...], told: str
) -> None:
    ran = aaad("sessions", *words)
    assert ran.exit_code == 2
    assert told in ran.complaint


def test_a_concentrator_that_is_not_there_is_said(aaad: Cli) -> None:
    ran = aaad("sessions", "--nas", "nowhere")
    assert (ran.exit_code, ran.output) == (1, "")
    assert "nowhere" in ran.complaint


def test_a_table_for_people_in_both_languages(aaad: Cli) -> None:
    english, portuguese = (aaad("sessions", language=language).output for language in ("en", "pt"))
    assert "suspended" in english
    assert "suspensa" in portuguese
    assert "5,00 GB" in portuguese
    assert "5.00 GB" in english
    assert "-03:00" in english
    assert "-04:00" in english
    closed = " ".join(aaad("sessions", "--state", "closed", language="pt").output.split())
    assert "perda de" in closed
    assert "talvez" in closed


def test_more_than_the_limit_is_said(aaad: Cli) -> None:
    ran = aaad("sessions", "--limit", "2", as_json=True)
    assert len(ran.json) == 2
    assert "--limit" in ran.complaint


def test_counts_by_concentrator_plan_and_end(aaad: Cli) -> None:
    counted = aaad("sessions", "--count", as_json=True).json
    assert [(row["open"], row["suspended"], row["closed"]) for row in counted["all"]] == [(3, 1, 0)]
    assert {row["name"]: (row["open"], row["suspended"]) for row in counted["nas"]} == {
        "bng-centro": (1, 1),
        "bng-norte": (2, 0),
    }
    assert {row["name"]: row["open"] for row in counted["plan"]} == {"Fibra 300": 1, "Fibra 600": 1, None: 1}
    assert counted["end"] == []
    closed = aaad("sessions", "--count", "--state", "closed", as_json=True).json
    assert sorted((row["end_evidence"], row["terminate_cause"], row["closed"]) for row in closed["end"]) == [
        ("nas_restart", None, 1),
        ("stop", 2, 1),
    ]
    assert "3 open, 1 suspended, 0 closed" in aaad("sessions", "--count").output
    assert {row["by"] for row in aaad("sessions", "--count", "--csv").rows} == {"all", "nas", "plan"}


def test_csv_has_the_names_of_json_and_no_formulas(aaad: Cli) -> None:
    rows = aaad("sessions", "--csv").rows
    assert {row["user_name"] for row in rows} == {"ana@fibra", "padaria", "'=nobody"}
    assert rows[0].keys() == aaad("sessions", as_json=True).json[0].keys()
    both = aaad("sessions", "--csv", as_json=True)
    assert (both.exit_code, both.output) == (2, "")


# --- statement ------------------------------------------------------------------------------------------------------

OF_MARCH = ("--from", "2025-03", "--to", "2025-03")


def test_s2_204_the_statement_by_time_has_the_titles_that_people_know(aaad: Cli) -> None:
    ran = aaad("statement", "ana@fibra", *OF_MARCH, language="pt")
    assert ran.exit_code == 0, ran.complaint
    shown = " ".join(ran.output.split())
    for title in ("Login", "MAC", "IP", "Concentrador", "Hotspot/PPPOE", "Conexão final", "Motivo", "Framed IPv6"):
        assert title in shown
    assert "09/03/2025" in shown
    assert "desconectado" in shown
    assert "2 conexões, 06:00:00 de tempo conectado" in shown


def test_a_statement_by_time_has_sums_of_all(aaad: Cli) -> None:
    told = aaad("statement", "ana@fibra", *OF_MARCH, "--limit", "1", as_json=True)
    assert [row["acct_session_id"] for row in told.json["rows"]] == ["70000001"]
    assert told.json["rows"][0]["started_at"] == "2025-03-09T20:00:00-03:00"
    assert told.json["totals"] == {
        "sessions": 2, "connected_s": 6 * 3600, "octets_in": 5_100, "octets_out": 5_900,
    }  # fmt: skip
    assert "--limit" in told.complaint


def test_a_statement_by_device_and_by_traffic(aaad: Cli) -> None:
    by_device = aaad("statement", "ana@fibra", "--by", "mac", *OF_MARCH, as_json=True).json
    assert [(row["device"], row["sessions"], row["octets_in"]) for row in by_device["rows"]] == [
        ("02:00:00:00:00:07", 1, 5_000),
        ("02:00:00:00:00:05", 1, 100),
    ]
    assert by_device["totals"]["octets_out"] == 5_900
    first = aaad("statement", "ana@fibra", "--by", "mac", *OF_MARCH, "--limit", "1", as_json=True).json
    assert (len(first["rows"]), first["totals"]) == (1, by_device["totals"])
    by_traffic = aaad("statement", "ana@fibra", "--by", "traffic", *OF_MARCH, as_json=True).json
    assert [row["octets_out"] for row in by_traffic["rows"]] == [5_000, 900]
    assert "MAC" in aaad("statement", "ana@fibra", "--by", "mac", *OF_MARCH).output
    assert "10.00 kB" in aaad("statement", "ana@fibra", "--by", "traffic", *OF_MARCH).output
    assert len(aaad("statement", "ana@fibra", "--by", "mac", *OF_MARCH, "--csv").rows) == 2


def test_a_session_is_in_the_period_if_it_was_or_may_have_been_connected(aaad: Cli) -> None:
    def found(since: str, until: str) -> int:
        ran = aaad("statement", "ana@fibra", "--from", since, "--to", until, as_json=True)
        return len(ran.json["rows"])

    assert found("2025-03-10", "2025-03-10") == 2  # one went on into the 10th in São Paulo
    assert found("2025-03-09", "2025-03-09") == 1
    assert found("2025-03-10 01:00", "2025-03-10 01:00") == 1
    assert found("2025-03-10 01:01", "2025-03-10 01:59") == 0
    assert found("2025-03-08", "2025-03-08") == 0


def test_the_last_thirty_days_by_default_and_open_sessions_too(aaad: Cli) -> None:
    told = aaad("statement", "ana@fibra", as_json=True).json
    assert [row["state"] for row in told["rows"]] == ["closed", "suspended", "open"]


def test_deleted_logins_have_their_statement(aaad: Cli) -> None:
    assert len(aaad("statement", "velho", *OF_MARCH, as_json=True).json["rows"]) == 1
    assert len(aaad("statement", "99", as_json=True).json["rows"]) == 1
    nobody = aaad("statement", "nobody-at-all")
    assert nobody.exit_code == 1
    assert "nobody-at-all" in nobody.complaint
    none = aaad("statement", "velho")
    assert none.exit_code == 0


def test_a_wrong_period_names_the_option(aaad: Cli) -> None:
    ran = aaad("statement", "ana@fibra", "--to", "32/01/2025", language="pt")
    assert ran.exit_code == 2
    assert ran.complaint.startswith("aaad: --to: '32/01/2025' não é válido. Permitido:")


# --- usage ----------------------------------------------------------------------------------------------------------


def test_r5_5_usage_by_day_is_the_highest_of_the_day_less_the_highest_before(aaad: Cli) -> None:
    told = aaad("usage", "ana@fibra", "--from", "2025-03-01", "--to", "2025-03-31", as_json=True).json
    assert [(row["day"], row["octets_in"], row["octets_out"]) for row in told["rows"]] == [
        ("2025-03-09", 40, 300),
        ("2025-03-10", 5_060, 5_600),
    ]
    assert told["totals"] == {"octets_in": 5_100, "octets_out": 5_900, "octets": 11_000}
    assert told["cap"] is None
    by_month = aaad("usage", "ana@fibra", "--by", "month", "--from", "2025-01", "--to", "2025-12", as_json=True).json
    assert [(row["month"], row["octets"]) for row in by_month["rows"]] == [("2025-03", 11_000)]
    shown = aaad("usage", "ana@fibra", "--from", "2025-03", "--to", "2025-03", language="pt").output
    assert "10/03/2025" in shown
    assert "ao todo 11,00 kB" in shown


def test_usage_of_a_cap_says_what_is_left_and_when_it_was_reached(aaad: Cli) -> None:
    of_march = ("--by", "cap", "--from", "2025-02-10", "--to", "2025-03-31")
    told = aaad("usage", "padaria", *of_march, as_json=True).json
    assert [(row["first_day"], row["octets"], row["left_octets"], row["reached_on"]) for row in told["rows"]] == [
        ("2025-02-01", 0, 10**10, None),
        ("2025-03-01", 12 * 10**9, 0, "2025-03-09"),
    ]
    assert told["cap"]["gigabytes"] == 10
    assert (told["cap"]["cap_plan"], told["cap"]["is_reached"], told["cap"]["reached_at"]) == ("Lento", False, None)
    now = aaad("usage", "padaria", "--by", "cap", as_json=True).json
    assert [(row["octets"], row["reached_on"]) for row in now["rows"]] == [(0, None)]
    none = aaad("usage", "ana@fibra", "--by", "cap")
    assert none.exit_code == 1
    assert "no cap" in none.complaint


def test_since_when_the_cap_is_reached_is_what_the_history_says(aaad: Cli) -> None:
    aaad.sql("UPDATE erp.login SET cap_reached = true WHERE id = 51")
    (reached_at,) = aaad.sql("SELECT max(at) FROM erp.history WHERE login_id = 51")[0]
    try:
        cap = aaad("usage", "padaria", "--by", "cap", as_json=True).json["cap"]
        assert cap["is_reached"]
        assert datetime.fromisoformat(cap["reached_at"]) == reached_at
        assert "atingida desde" in aaad("usage", "padaria", "--by", "cap", language="pt").output
    finally:
        aaad.sql("UPDATE erp.login SET cap_reached = false WHERE id = 51")


def test_usage_of_logins_that_are_gone_and_of_nobody(aaad: Cli) -> None:
    assert aaad("usage", "velho", as_json=True).json["rows"] == []
    assert aaad("usage", "99", as_json=True).exit_code == 0
    assert aaad("usage", "nobody-at-all").exit_code == 1
    wrong = aaad("usage", "ana@fibra", "--from", "2025-03-02", "--to", "2025-03-01")
    assert wrong.exit_code == 2
    assert wrong.complaint.startswith("aaad: --to:")
    assert aaad("usage", "ana@fibra", "--from", "10:00").exit_code == 2


# --- closing by hand ------------------------------------------------------------------------------------------------


def add(aaad: Cli, family: str, **columns: Any) -> UUID:
    async def write() -> UUID:
        db = await asyncpg.connect(aaad.dsn)
        try:
            row = {
                "started": NOW - 2 * HOUR,
                "heard": NOW - HOUR,
                **ANA,
                "login_id": 52,
                "user_name": "velho",
                **columns,
            }
            return await add_session(db, family=UUID(family.ljust(32, "7")), **row)
        finally:
            await db.close()

    return asyncio.run(write())


def test_r9_1_an_operator_closes_a_session_certain_until_heard_and_possible_until_now(aaad: Cli) -> None:
    family = add(aaad, "c10", life=3)
    name = short_name(family, 3)
    ran = aaad("session", "close", name, "--reason", "ghost: router says it is gone", as_json=True, operator="joana")
    assert ran.exit_code == 0, ran.complaint
    assert ran.json["session"] == name
    ((ended, latest, evidence, version),) = aaad.sql(
        "SELECT ended_at, ended_latest, end_evidence, version FROM net.session WHERE family = $1", family
    )
    assert (ended, evidence, version) == (NOW - HOUR, "operator", 2)
    assert latest >= NOW
    assert aaad.sql("SELECT state FROM net.every_session WHERE family = $1", family) == [("closed",)]
    ((operator, source, kind, text, login_id, contract_id, client_id),) = aaad.sql(
        "SELECT operator, source, kind, text, login_id, contract_id, client_id FROM erp.history WHERE text LIKE $1",
        f"%{name}%",
    )
    assert (operator, source, kind) == ("joana", "api", "session_closed")
    assert (login_id, contract_id, client_id) == (52, 40, 123)
    assert text.endswith(": ghost: router says it is gone")
    again = aaad("session", "close", name, "--reason", "x")
    assert again.exit_code == 1
    assert "closed already: closed by an operator" in again.complaint
    assert "encerrada por um operador" in aaad("session", "close", name, "--reason", "x", language="pt").complaint


def test_what_is_said_of_a_session_that_was_heard_just_now(aaad: Cli) -> None:
    family = add(aaad, "c20", heard=NOW, interim_s=300)
    ran = aaad("session", "close", short_name(family, 0), "--reason", "by mistake")
    assert ran.exit_code == 0
    assert "Nobody was disconnected. A later record of it opens it again." in ran.output
    assert "may live" in ran.complaint


def test_a_login_names_its_only_session_and_nothing_is_guessed(aaad: Cli) -> None:
    several = aaad("session", "close", "ana@fibra", "--reason", "x")
    assert several.exit_code == 1
    assert "3f9a0c21be55-0" in several.complaint
    family = add(aaad, "c30", user_name="alone", login_id=None)
    ran = aaad("session", "close", "ALONE", "--reason", "x", as_json=True)
    assert ran.json["session"] == short_name(family, 0)
    gone = aaad("session", "close", "alone", "--reason", "x")
    assert gone.exit_code == 1


def test_a_short_name_that_two_sessions_share_is_told_with_the_whole_names(aaad: Cli) -> None:
    ran = aaad("session", "close", "3f9a0c21be55-0", "--reason", "x")
    assert ran.exit_code == 1
    assert "3f9a0c21be554000800000000000000a-0" in ran.complaint
    assert aaad("session", "close", "3f9a0c21be55-1", "--reason", "x").exit_code == 1
    assert aaad.sql(
        "SELECT count(*) FROM net.session WHERE family::text LIKE '3f9a0c21%' AND ended_at IS NOT NULL"
    ) == [(0,)]


def test_a_session_is_called_by_its_number_however_long_that_is(aaad: Cli) -> None:
    family = add(aaad, "c40", life=2**31 - 1)
    ran = aaad("session", "close", short_name(family, 2**31 - 1), "--reason", "x", as_json=True)
    assert ran.json["session"] == short_name(family, 2**31 - 1)
    assert aaad("session", "close", f"{short_name(family, 2**31)}", "--reason", "x").exit_code == 1


@pytest.mark.parametrize("reason", ["", "   ", "two\nlines", "x" * 501])
def test_a_reason_is_one_line(aaad: Cli, reason: str) -> None:
    ran = aaad("session", "close", "ana@fibra", "--reason", reason)
    assert ran.exit_code == 2
    assert "--reason" in ran.complaint


def test_a_session_of_history_is_closed_already(aaad: Cli) -> None:
    ((family, life),) = aaad.sql("SELECT family, life FROM net.session_history WHERE acct_session_id = '70000001'")
    ran = aaad("session", "close", short_name(family, life), "--reason", "x", as_json=True)
    assert ran.exit_code == 1
    assert ran.json["saved"] is False
