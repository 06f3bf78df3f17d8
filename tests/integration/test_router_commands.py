"""`aaad nas doctor` and `aaad nas reconcile` on a real PostgreSQL, before simulated routers."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone

import pytest
from test_nas_commands import SEED, Shell

from aaad.cli.doctor_words import TEXTS
from aaad.db.embedded import EmbeddedPostgres
from aaad.mikrotik.doctor import Kind
from aaad.simulator.routeros import Router, RouterosServer

API_PASSWORD, SECRET = "api-secret", "radius-secret"
SESSION = """
INSERT INTO net.session (family, life, summary, acct_session_id, user_name, time_zone, nas_id, source_address,
    nas_identifier, ipv4, mac, started_at, start_seen, heard_at, records)
SELECT md5($1 || $2)::uuid, 0, '', $2, $1, 'UTC', id, '127.0.0.1', 'bras-1', $3::text::inet, $4::text::macaddr,
    now() - interval '1 hour', true, now() - $5::integer * interval '1 second', 1
FROM net.nas
"""


@pytest.fixture(scope="module")
def database(postgres: EmbeddedPostgres, _template: str, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    Shell(postgres.dsn("postgres"), tmp_path_factory.mktemp("shell")).sql(
        f"CREATE DATABASE router_commands TEMPLATE {_template}"
    )
    made = Shell(postgres.dsn("router_commands"), tmp_path_factory.mktemp("shell"))
    for statement in SEED.strip().split(";\n"):
        made.sql(statement)
    made.sql("INSERT INTO erp.login (contract_id, plan_id, name, password) VALUES (1, 1, 'Ana', 'x')")
    return made


@pytest.fixture
def shell(database: Shell) -> Shell:
    for table in ("net.session", "net.nas"):
        database.sql(f"DELETE FROM {table}")
    database.sql("DELETE FROM erp.parameter WHERE name <> 'document_required'")
    database.sql(
        "INSERT INTO net.nas (name, address, secret, api_address, api_tls, api_user, api_password) "
        "VALUES ('bras-1', '127.0.0.1', $1, '127.0.0.1', false, 'aaad', $2)",
        SECRET,
        API_PASSWORD,
    )
    return database


def a_router() -> Router:
    made = Router(identity="bras-1", aaad=API_PASSWORD)
    entry = {"address": "127.0.0.1", "service": "ppp", "secret": SECRET, "timeout": "1100ms"}
    made.run("/radius/add", entry, [])
    made.run("/radius/incoming/set", {"accept": "yes"}, [])
    made.run("/ppp/aaa/set", {"use-radius": "yes", "interim-update": "5m", "enable-ipv6-accounting": "yes"}, [])
    made.run("/interface/pppoe-server/server/add", {"interface": "vlan100", "disabled": "no"}, [])
    made.run("/system/ntp/client/set", {"enabled": "yes"}, [])
    clock = made.table("/system/clock")
    clock.rows.clear()

    def now() -> Iterator[dict[str, str]]:
        at = datetime.now(UTC).astimezone(timezone(timedelta(hours=-3)))
        yield {"date": at.strftime("%Y-%m-%d"), "time": at.strftime("%H:%M:%S"), "gmt-offset": "-03:00"}

    clock.source = now
    return made


@contextmanager
def asked(shell: Shell, router: Router) -> Iterator[None]:
    with RouterosServer(router) as server:
        shell.sql("UPDATE net.nas SET api_port = $1", server.port)
        yield


def test_a_router_that_is_well_is_well(shell: Shell) -> None:
    with asked(shell, a_router()):
        assert shell.json("nas", "doctor", "bras-1")["findings"] == []
        assert "Nothing is wrong" in shell.run("nas", "doctor", "bras-1").output
        assert "Nada está errado" in shell.run("nas", "doctor", "bras-1", language="pt").output


def test_what_is_wrong_is_said_with_what_mends_it_in_both_languages(shell: Shell) -> None:
    shell.sql("INSERT INTO erp.parameter (name, value) VALUES ('blocked_address_list_ipv6', 'bloqueados')")
    router = a_router()
    router.run("/radius/incoming/set", {"accept": "no"}, [])
    router.run("/ppp/secret/add", {"name": "ana"}, [])
    router.table("/radius").all_rows()[0]["secret"] = "another"
    with asked(shell, router):
        found = shell.json("nas", "doctor", "bras-1", code=1)
        english = shell.run("nas", "doctor", "bras-1")
        portuguese = shell.run("nas", "doctor", "bras-1", language="pt")
    assert {finding["kind"] for finding in found["findings"]} == {
        "secret_differs",
        "incoming_off",
        "local_secrets",
        "no_rule_for_list",
    }
    assert (english.exit_code, portuguese.exit_code) == (1, 1)
    for finding in found["findings"]:
        assert finding["text"] in " ".join(english.output.split())
        assert finding["text"] not in " ".join(portuguese.output.split())
        assert finding["command"] in english.output
        assert finding["command"] in portuguese.output
    assert "/ipv6 firewall filter add chain=forward src-address-list=bloqueados action=drop" in english.output
    for secret in (SECRET, API_PASSWORD, "another"):
        assert secret not in english.output + portuguese.output + str(found)
    assert not [change for change in router.changes if change.endswith("/remove")]


def test_every_kind_has_its_sentence() -> None:
    assert set(Kind) == set(TEXTS) | {Kind.CLOCK}


def test_what_cannot_be_asked_is_refused(shell: Shell) -> None:
    shell.sql("UPDATE net.nas SET api_port = 9")
    assert shell.run("nas", "doctor", "bras-1").exit_code != 0
    with asked(shell, a_router()):
        shell.sql("UPDATE net.nas SET kind = 'accel_ppp'")
        refused = shell.run("nas", "doctor", "bras-1")
    assert refused.exit_code == 1
    assert "no RouterOS" in refused.stderr


def connected(router: Router, name: str, session: str, address: str, mac: str = "02:00:00:00:00:01") -> None:
    router.connect(name, address, caller=mac, session=f"0x{session}")


def differing(shell: Shell, *words: str, code: int = 1) -> dict[str, list[str]]:
    told = shell.json("nas", "reconcile", "bras-1", *words, code=code)
    found: dict[str, list[str]] = {}
    for one in told["differences"]:
        found.setdefault(one["difference"], []).append(one["user_name"])
    return {kind: sorted(names) for kind, names in found.items()}


def test_both_ways_are_compared_and_nothing_is_written(shell: Shell) -> None:
    router = a_router()
    connected(router, "ana", "81000001", "100.64.0.1")
    connected(router, "ivo", "81000002", "100.64.0.2")
    connected(router, "eva", "81000003", "100.64.0.3", "02:00:00:00:00:99")
    mac = "02:00:00:00:00:01"
    shell.sql(SESSION, "ana", "81000001", "100.64.0.1", mac, 60)
    shell.sql(SESSION, "eva", "81000003", "100.64.0.33", mac, 60)
    shell.sql(SESSION, "zoe", "81000004", "100.64.0.4", mac, 60)
    with asked(shell, router):
        assert differing(shell) == {
            "not_here": ["ivo"],
            "not_there": ["zoe"],
            "other_address": ["eva"],
            "other_mac": ["eva"],
        }
        shown = shell.run("nas", "reconcile", "bras-1", language="pt").output
    assert "zoe" in shown
    assert shell.sql("SELECT FROM net.session WHERE ended_at IS NOT NULL") == []
    assert router.changes == [change for change in router.changes if not change.startswith("/ppp/active")]


def test_what_is_gone_is_closed_where_it_was_not_heard_since(shell: Shell) -> None:
    router = a_router()
    mac = "02:00:00:00:00:01"
    shell.sql(SESSION, "zoe", "81000004", "100.64.0.4", mac, 60)
    shell.sql(SESSION, "léo", "81000005", "100.64.0.5", mac, -60)  # was heard just now, by its router's clock
    with asked(shell, router):
        assert differing(shell, "--write") == {"not_there": ["léo", "zoe"]}
        assert differing(shell) == {"not_there": ["léo"]}
    (closed,) = shell.sql(
        "SELECT user_name, end_evidence, ended_at = heard_at AS certain FROM net.session WHERE ended_at IS NOT NULL"
    )
    assert tuple(closed) == ("zoe", "gone", True)
    told = shell.sql("SELECT text FROM erp.history WHERE kind = 'session_closed'")
    assert "bras-1" in told[-1]["text"]


def test_sessions_of_another_router_behind_the_entry_are_not_closed(shell: Shell) -> None:
    """Routers that nobody named are all called MikroTik (rule R2.1)."""
    shell.sql("UPDATE net.nas SET address = '127.0.0.0/8'")
    for number in (4, 5):
        shell.sql(SESSION, f"user{number}", f"8100000{number}", f"100.64.0.{number}", "02:00:00:00:00:01", 60)
    shell.sql("UPDATE net.session SET nas_identifier = convert_to('São João', 'UTF8')")
    shell.sql("UPDATE net.session SET source_address = '127.0.0.2' WHERE user_name = 'user5'")
    router = a_router()
    router.run("/system/identity/set", {"name": "São João"}, [])
    with asked(shell, router):
        assert differing(shell, "--write", code=0) == {"not_there": ["user4"]}
    assert [row["user_name"] for row in shell.sql("SELECT user_name FROM net.session WHERE ended_at IS NULL")] == [
        "user5"
    ]


def test_whatever_the_router_is_called(shell: Shell) -> None:
    shell.sql(SESSION, "zoe", "81000004", "100.64.0.4", "02:00:00:00:00:01", 60)
    shell.sql("UPDATE net.session SET nas_identifier = ''")
    router = a_router()
    router.run("/system/identity/set", {"name": "\x1b[2J\n"}, [])
    with asked(shell, router):
        assert differing(shell, "--write", code=0) == {"not_there": ["zoe"]}


def test_names_of_another_encoding_are_shown_and_are_no_login(shell: Shell) -> None:
    """Winbox writes the encoding of the machine on which it runs."""
    latin = "Jo\udce3o"
    router = a_router()
    router.run("/system/identity/set", {"name": latin}, [])
    router.run("/ppp/secret/add", {"name": latin}, [])
    router.run("/ppp/secret/add", {"name": "ana"}, [])
    connected(router, latin, "81000001", "100.64.0.1")
    with asked(shell, router):
        found = shell.json("nas", "doctor", "bras-1", code=1)
        assert [finding["facts"]["names"] for finding in found["findings"]] == ["ana"]
        assert shell.run("nas", "doctor", "bras-1").exit_code == 1
        assert differing(shell).keys() == {"not_here"}
        assert shell.run("nas", "reconcile", "bras-1", "--write").exit_code == 1


def test_more_than_expected_is_closed_only_on_a_word(shell: Shell) -> None:
    for number in range(5):
        shell.sql(SESSION, f"user{number}", f"8100000{number}", f"100.64.0.{number}", "02:00:00:00:00:01", 60)
    with asked(shell, a_router()):
        refused = shell.run("nas", "reconcile", "bras-1", "--write", "--at-most", "4")
        assert refused.exit_code == 1
        assert "--at-most 5" in refused.stderr
        assert shell.sql("SELECT FROM net.session WHERE ended_at IS NOT NULL") == []
        assert len(shell.json("nas", "reconcile", "bras-1", "--write", "--at-most", "5")["differences"]) == 5
    assert len(shell.sql("SELECT FROM net.session WHERE end_evidence = 'gone'")) == 5
