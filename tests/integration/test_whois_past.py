"""`aaad whois` where it is not simple: addresses that changed, records that wait, were deleted or never were."""

import asyncio
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from accounting_records import INTERIM, START, STOP, T, accounting
from drain_house import House, make_login
from whois_desk import Desk, make_desk

from aaad.db.embedded import EmbeddedPostgres
from aaad.spool.records import BindingLearned, encode

AT = "2024-03-10 12:00:00Z"


@pytest.fixture(scope="module")
def aaad(postgres: EmbeddedPostgres, _template: str, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return make_desk(postgres, _template, "past", tmp_path_factory.mktemp("past"))


def changes(*told: tuple[str, str, str | None, str | None]) -> str:
    """What `address_changes` holds: kind, value, since and until."""

    def microseconds(at: str | None) -> int | None:
        return None if at is None else round(datetime.fromisoformat(at).timestamp() * 1_000_000)

    return json.dumps(
        [
            {"kind": kind, "value": value, "since_us": microseconds(since), "until_us": microseconds(until)}
            for kind, value, since, until in told
        ]
    )


def weights(answer: dict[str, Any]) -> list[tuple[str, str]]:
    return [(found["user_name"], found["certainty"]) for found in answer["candidates"]]


# --- an address that changed ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [False, True], ids=["live", "history"])
def test_r9_1_an_address_that_changed_is_answered_for_its_own_time(aaad: Desk, kept: bool) -> None:
    first, second, third = (f"198.18.{int(kept)}.{number}" for number in (1, 2, 3))
    aaad.session(
        "2024-03-10 11:00Z",
        "2024-03-10 13:00Z",
        "2024-03-10 13:00Z",
        ipv4=third,
        kept=kept,
        address_changes=changes(
            ("ipv4", first, "2024-03-10 11:00:00Z", "2024-03-10 11:20:00Z"),
            ("ipv4", second, "2024-03-10 11:40:00Z", "2024-03-10 12:00:00Z"),
            ("ipv4", third, "2024-03-10 12:20:00.5Z", None),
        ),
    )
    expected = {
        first: {"11:00:00": "certain", "11:20:00": "certain", "11:30:00": "possible", "11:40:01": None},
        second: {
            "11:19:59": None,
            "11:20:00": "possible",
            "11:40:00": "certain",
            "12:00:00": "certain",
            "12:00:01": "possible",
            "12:20:01": None,
        },
        third: {
            "11:30:00": None,
            "11:59:59": None,
            "12:10:00": "possible",
            "12:20:00": "certain",
            "13:00:00": "certain",
            "13:00:01": None,
        },
    }
    for address, times in expected.items():
        for time, certainty in times.items():
            answer = aaad.ask(address, "--at", f"2024-03-10 {time}Z", code=int(certainty is None))
            assert weights(answer) == ([("ana@fibra", certainty)] if certainty else []), (address, time)
    answer = aaad.ask(second, "--at", "2024-03-10 11:50:00Z")
    assert answer["notes"] == ["address_changed"]
    (found,) = answer["candidates"]
    assert (found["address"]["value"], found["address"]["evidence"]) == (second, "reported")
    assert {name: instant["utc"] for name, instant in found["address"]["held"].items()} == {
        "possible_from": "2024-03-10T11:20:00Z",
        "certain_from": "2024-03-10T11:40:00Z",
        "certain_until": "2024-03-10T12:00:00Z",
        "possible_until": "2024-03-10T12:20:00.500000Z",
    }
    assert f"had {second} certainly from" in aaad("whois", second, "--at", "2024-03-10 11:50:00Z").output
    assert "2024-03-10T11:40:00Z" in aaad("whois", second, "--at", "2024-03-10 11:50:00Z", "--csv").output


@pytest.mark.parametrize("kept", [False, True], ids=["live", "history"])
def test_r9_1_a_delegated_prefix_that_changed(aaad: Desk, kept: bool) -> None:
    old, new = (f"2001:db8:{number}{int(kept)}:100::/56" for number in (1, 2))
    aaad.session(
        "2024-03-10 11:00Z",
        "2024-03-10 13:00Z",
        "2024-03-10 13:00Z",
        delegated_ipv6_prefix=new,
        delegated_ipv6_prefix_evidence="reported",
        kept=kept,
        address_changes=changes(
            ("delegated_ipv6_prefix", old, None, "2024-03-10 11:20:00Z"),
            ("delegated_ipv6_prefix", new.replace("::/", ":0:0:0:0/"), "2024-03-10 11:20:01Z", None),
        ),
    )
    inside = old.replace("100::/56", "1ff::5")
    assert weights(aaad.ask(inside, "--at", "2024-03-10 11:10:00Z")) == [("ana@fibra", "certain")]
    assert weights(aaad.ask(old, "--at", "2024-03-10 11:20:00Z")) == [("ana@fibra", "certain")]
    assert weights(aaad.ask(inside, "--at", "2024-03-10 11:30:00Z", code=1)) == []
    assert weights(aaad.ask(new, "--at", "2024-03-10 11:10:00Z", code=1)) == []
    assert weights(aaad.ask(new, "--at", "2024-03-10 12:10:00Z")) == [("ana@fibra", "certain")]


async def test_what_a_concentrator_reports_of_it_is_answered_in_any_order(dsn: str, tmp_path: Path) -> None:
    house = House(dsn, tmp_path / "spool")
    try:
        await house.database.execute("INSERT INTO net.node (name) VALUES ('node-1')")
        await house.database.execute(
            "INSERT INTO net.nas (id, name, address, secret) VALUES (1, 'n', '192.0.2.0/24', 's')"
        )
        await make_login(house, 7)
        records = [
            accounting(START, T, user="login7", ipv4="100.64.0.7"),
            accounting(INTERIM, T + 300, time_s=300, user="login7", ipv4="100.64.0.7"),
            accounting(INTERIM, T + 600, time_s=600, user="login7", ipv4="100.64.0.8"),
            accounting(STOP, T + 900, time_s=900, user="login7", ipv4="100.64.0.8"),
        ]
        for record in (records[2], records[0], records[3], records[1]):
            house.put([record])
            await house.drain_all()
    finally:
        await house.database.close()
    desk = Desk(dsn, tmp_path)

    def ask(address: str, after_s: float) -> list[tuple[str, str]]:
        at = datetime.fromtimestamp(T + after_s, UTC).isoformat()
        ran = desk("whois", address, "--at", at, as_json=True)
        return weights(json.loads(ran.output)["answers"][0])

    def all_of_them() -> None:
        assert ask("100.64.0.7", 300) == [("login7", "certain")]
        assert ask("100.64.0.7", 450) == ask("100.64.0.8", 450) == [("login7", "possible")]
        assert ask("100.64.0.8", 299) == ask("100.64.0.7", 601) == []
        assert ask("100.64.0.8", 900) == [("login7", "certain")]

    await asyncio.to_thread(all_of_them)


async def test_r9_2_a_hold_of_an_address_keeps_who_had_it_before(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("SELECT net.make_history_month('2020-03-10Z')")
        for number, change in ((1, changes(("ipv4", "198.18.3.1", None, "2020-03-10T11:20Z"))), (2, None)):
            await connection.execute(
                "INSERT INTO net.session_history (family, life, summary, acct_session_id, user_name, time_zone, "
                "nas_id, source_address, nas_identifier, ipv4, started_at, start_seen, heard_at, ended_at, "
                "ended_latest, end_evidence, records, address_changes) "
                "VALUES (gen_random_uuid(), 0, '', 's', $1, 'UTC', 1, "
                "'192.0.2.1', '', '198.18.3.2', '2020-03-10 11:00Z', true, '2020-03-10 12:00Z', "
                "'2020-03-10 12:00Z', '2020-03-10 12:00Z', 'stop', 2, $2)",
                f"u{number}",
                change,
            )
        await connection.execute("INSERT INTO net.legal_hold (address, reason) VALUES ('198.18.3.1', 'order')")
        outcome = await connection.fetchval(
            "SELECT net.expire_history_month('net.session_history_2020_03'::regclass, '365 days')"
        )
        assert outcome == "reduced"
        assert [row["user_name"] for row in await connection.fetch("SELECT user_name FROM net.session_history")] == [
            "u1"
        ]
        until = await connection.fetchval("SELECT max(until) FROM net.history_expired")
        assert until == datetime(2020, 4, 1, tzinfo=UTC)
    finally:
        await connection.close()


# --- of which time there are records --------------------------------------------------------------------------------


def test_r9_2_that_others_were_deleted_is_said_beside_who_is_left(aaad: Desk) -> None:
    aaad.session("2024-03-10 11:00Z", "2024-03-10 13:00Z", "2024-03-10 13:00Z", ipv4="198.18.9.1", kept=True)
    aaad.sql("INSERT INTO net.history_expired (until) VALUES ('2024-04-01Z')")
    try:
        answer = aaad.ask("198.18.9.1", "--at", AT)
        assert (weights(answer), answer["notes"]) == ([("ana@fibra", "certain")], ["old"])
        assert answer["deleted_before"] == "2024-04-01T00:00:00Z"
        assert "there may have been others" in aaad("whois", "198.18.9.1", "--at", AT).output
        assert aaad.ask("198.18.9.1", "--at", "2024-04-01 00:00:00Z", code=1)["notes"] == ["nobody", "before_records"]
    finally:
        aaad.sql("DELETE FROM net.history_expired")


def test_what_waits_behind_a_lock_is_not_in(aaad: Desk) -> None:
    waiting = accounting(START, T, ipv4="198.18.9.2")
    binding = BindingLearned(1, "mac", "00:00:5E:00:53:01", T - 9)
    for record in (binding, waiting):
        aaad.sql("INSERT INTO net.spool_deferred (node, record) VALUES ('n1', $1)", encode(record))
    at = datetime.fromtimestamp(T, UTC).isoformat()
    try:
        answer = aaad.ask("198.18.9.2", "--at", at, code=1)
        assert (answer["complete_until"], "incomplete" in answer["notes"]) == (at.replace("+00:00", "Z"), True)
    finally:
        aaad.sql("DELETE FROM net.spool_deferred")
    assert "incomplete" not in aaad.ask("198.18.9.2", "--at", at, code=1)["notes"]


def test_nodes_that_are_behind_are_named_and_one_that_never_said_counts(aaad: Desk) -> None:
    aaad.sql(
        "INSERT INTO net.node (name, drain_watermark, heartbeat_at) VALUES ('near', now(), now()), "
        "('dead', '2024-03-10 11:00Z', '2024-03-10 11:05Z')"
    )
    try:
        answer = aaad.ask("198.18.9.3", "--at", AT, code=1)
        assert [node["node"] for node in answer["nodes_behind"]] == ["dead"]
        assert "incomplete" in answer["notes"]
        assert aaad.ask("198.18.9.3", "--at", "2024-03-10 10:59:58Z", code=1)["nodes_behind"] == []
        told = aaad("whois", "198.18.9.3", "--at", AT).output
        assert "node dead has delivered its records up to 2024-03-10T11:00:00Z only" in told
        aaad.sql("UPDATE net.node SET drain_watermark = NULL WHERE name = 'dead'")
        answer = aaad.ask("198.18.9.3", "--at", "now", code=1)
        assert (answer["notes"], answer["nodes_behind"][0]["complete_until"]) == (["nobody", "incomplete"], None)
        assert answer["complete_until"] == answer["begin_at"]
    finally:
        aaad.sql("DELETE FROM net.node")


# --- whose it is ----------------------------------------------------------------------------------------------------


def test_a_contract_that_has_another_client_now_is_said(aaad: Desk) -> None:
    aaad.session("2024-03-10 11:00Z", "2024-03-10 13:00Z", ipv4="198.18.9.4")
    aaad.sql("UPDATE erp.contract SET client_id = 31 WHERE id = 40")
    try:
        answer = aaad.ask("198.18.9.4", "--at", AT)
        (found,) = answer["candidates"]
        assert (found["client"]["id"], found["contract"]) == (123, {"id": 40, "client_id_now": 31})
        assert answer["notes"] == ["owner_changed"]
        assert "it belongs to client 31 now" in aaad("whois", "198.18.9.4", "--at", AT).output
    finally:
        aaad.sql("UPDATE erp.contract SET client_id = 123 WHERE id = 40")


def test_a_prefix_within_that_of_another_is_told(aaad: Desk) -> None:
    for prefix, name in (("2001:db8:f000::/40", "big"), ("2001:db8:f012:100::/56", "small")):
        aaad.session("2024-03-10 11:00Z", "2024-03-10 13:00Z", delegated_ipv6_prefix=prefix, user_name=name)
    answer = aaad.ask("2001:db8:f012:1ff::1", "--at", AT)
    assert sorted(weights(answer)) == [("big", "certain"), ("small", "certain")]
    assert answer["notes"] == ["overlapping"]


def test_one_session_by_two_maps_is_no_overlap(aaad: Desk) -> None:
    common = ["--name=two", "--private=100.64.77.0/27", "--public=203.0.113.77/32", "--ports-each=2016"]
    assert aaad("cgnat", "add", *common, "--from", "2024-01-01 00:00Z").exit_code == 0
    assert aaad("cgnat", "end", "two", "--at", "2024-03-10 12:00:00Z").exit_code == 0
    assert aaad("cgnat", "add", *common, "--from", "2024-03-10 12:00:00Z").exit_code == 0
    aaad.session("2024-03-10 11:00Z", "2024-03-10 13:00Z", ipv4="100.64.77.0")
    answer = aaad.ask("203.0.113.77:1024", "--from", "2024-03-10 11:59:00Z", "--to", "2024-03-10 12:01:00Z")
    assert (len(answer["candidates"]), answer["notes"]) == (2, ["map_changed"])


def test_cpf_in_the_name_of_a_one_person_company_is_masked_too(aaad: Desk) -> None:
    aaad.session("2024-03-10 11:00Z", "2024-03-10 13:00Z", ipv4="198.18.9.5")
    aaad.sql("UPDATE erp.client SET name = 'JOSE DA SILVA 52998224725' WHERE id = 123")
    try:
        for words in ((), ("--csv",)):
            told = aaad("whois", "198.18.9.5", "--at", AT, *words).output
            assert "52998224725" not in told
            assert "JOSE DA SILVA ***.982.247-**" in told
        shown = aaad("whois", "198.18.9.5", "--at", AT, operator="juliana").output
        assert "JOSE DA SILVA 52998224725" in shown
        aaad.sql("UPDATE erp.client SET name = 'JOSE 529.982.247-25, 12345678901' WHERE id = 123")
        assert "JOSE ***.982.247-**, 12345678901" in aaad("whois", "198.18.9.5", "--at", AT).output
    finally:
        aaad.sql("UPDATE erp.client SET name = 'Ana Souza' WHERE id = 123")


# --- what was typed -------------------------------------------------------------------------------------------------


def test_an_ipv4_address_in_ipv6s_clothes_is_the_ipv4_address(aaad: Desk) -> None:
    aaad.session("2024-03-10 11:00Z", "2024-03-10 13:00Z", ipv4="198.18.9.6")
    for word in ("::ffff:198.18.9.6", "::ffff:198.18.9.6/128", "[::ffff:c612:906]:80", "198.18.9.6/32"):
        assert weights(aaad.ask(word, "--at", AT)) == [("ana@fibra", "certain")]
    assert aaad("whois", "::ffff:198.18.9.0/120", "--at", AT).exit_code == 2


@pytest.mark.parametrize("option", ["--order", "--reason"])
@pytest.mark.parametrize("word", ["\udcff", "a\x00b", "a\nb", "x" * 1001])
def test_an_order_that_cannot_be_written_down_is_refused_by_name(
    aaad: Desk, tmp_path: Path, option: str, word: str
) -> None:
    words = {"--order": "1", "--reason": "x"} | {option: word}
    said = [each for pair in words.items() for each in pair]
    before = aaad.sql("SELECT count(*) FROM net.inquiry")[0][0]
    for more in ((), ("--evidence", tmp_path / "e.json")):
        ran = aaad("whois", "198.18.9.7", "--at", AT, *said, *more)
        assert (ran.exit_code, ran.output) == (2, "")
        assert option in ran.complaint
    assert list(tmp_path.iterdir()) == []
    assert aaad.sql("SELECT count(*) FROM net.inquiry")[0][0] == before


def test_columns_that_nobody_knows_are_told(aaad: Desk, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("ip;em;Fuso (UTC);Porta TCP\n198.18.9.8;2024-03-10 12:00:00;-3;40123\n")
    ran = aaad("whois", "--file", table, "--zone", "UTC", "--csv")
    assert (ran.exit_code, ran.output) == (2, "")
    assert "Fuso (UTC)" in ran.complaint
    assert "Porta TCP" in ran.complaint
    ran = aaad("whois", "--file", table, "--zone", "UTC", "--csv", "--ignore-columns")
    assert ran.exit_code == 1
    table.write_text("ip;em\n198.18.9.8;2024-03-10 12:00:00;UTC\n")
    ran = aaad("whois", "--file", table, "--zone", "GMT-3", "--csv")
    assert ran.exit_code == 2
    assert "line 2" in ran.complaint


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("head", ["", "sep=;\r\n"])
def test_tables_of_spreadsheets(aaad: Desk, tmp_path: Path, encoding: str, head: str) -> None:
    table = tmp_path / "t.csv"
    table.write_bytes(
        f"{head}Endereço IP;Instante\r\n198.18.9.9;10/03/2024 09:00:00 horário de Brasília\r\n".encode(encoding)
    )
    ran = aaad("whois", "--file", table, "--csv")
    assert ran.exit_code == 1, ran.complaint
    assert "198.18.9.9,,2024-03-10T12:00:00Z" in ran.output


def test_what_is_no_table_is_refused(aaad: Desk, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    for content in (b"", b"\xff\xfe", b"\xff\xfea", b"sep=;\n", os.urandom(2_000), b"ip;em\n\x00;x\n"):
        table.write_bytes(content)
        assert aaad("whois", "--file", table).exit_code == 2
    assert aaad("whois", "198.18.9.9", "--at", AT, "--csv", as_json=True).exit_code == 2


def test_a_line_with_too_many_answers_is_named(aaad: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aaad.sessions.whois.CANDIDATES_MAX", 1)
    for _ in range(2):
        aaad.session("2024-03-10 11:00Z", "2024-03-10 13:00Z", ipv4="198.18.9.10")
    table = tmp_path / "t.csv"
    table.write_text(f"ip;em\n198.18.9.11;{AT}\n198.18.9.10;{AT}\n")
    ran = aaad("whois", "--file", table)
    assert ran.exit_code == 2
    assert "line 3" in ran.complaint


def test_that_postgresql_is_away_is_said_in_both_languages(tmp_path: Path) -> None:
    away = Desk("postgresql://nobody@127.0.0.1:1/none", tmp_path)
    for language, told in (("en", "PostgreSQL is away: "), ("pt", "O PostgreSQL não responde: ")):
        ran = away("whois", "198.18.9.12", "--at", AT, language=language)
        assert (ran.exit_code, ran.output) == (1, "")
        assert ran.complaint.startswith(f"aaad: {told}")
