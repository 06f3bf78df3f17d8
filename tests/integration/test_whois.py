"""`aaad whois` on a real PostgreSQL: who had an address and port at a time, how sure that is, and who asked.

Sessions are written by plain SQL: the question depends on nothing but their rows.
"""

import csv
import io
import json
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from whois_desk import Desk, make_desk

from aaad.db.embedded import EmbeddedPostgres
from aaad.sessions.whois import SQL

AT = "2024-03-10 12:00:00Z"
_numbers = count(1)


@pytest.fixture(scope="module")
def aaad(postgres: EmbeddedPostgres, _template: str, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return make_desk(postgres, _template, "whois", tmp_path_factory.mktemp("whois"))


_addresses = count(1)


@pytest.fixture
def address() -> str:
    number = next(_addresses)
    return f"198.18.{number // 250}.{number % 250 + 1}"


def logins(answer: dict[str, Any]) -> list[str]:
    return [found["user_name"] for found in answer["candidates"]]


# --- one address ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [False, True], ids=["live", "history"])
def test_r9_1_an_address_of_ipv4_is_answered_with_all_that_is_known(aaad: Desk, address: str, kept: bool) -> None:
    aaad.session("2024-03-10 11:00Z", "2024-03-10 13:00Z", "2024-03-10 13:00Z", ipv4=address, kept=kept)
    answer = aaad.ask(address, "--at", "2024-03-10 09:00:00 GMT-3")
    assert answer["notes"] == []
    (found,) = answer["candidates"]
    assert (found["certainty"], found["within"], found["address_space"]) == ("certain", "asked", 1)
    assert found["address"] == {"matched": "ipv4", "value": address, "evidence": "reported", "held": None}
    assert found["login"] == {"id": 50, "name_now": "ana@fibra", "deleted_at": None}
    assert found["client"] == {"id": 123, "name_now": "Ana Souza", "document_now": "***.982.247-**"}
    assert found["contract"] == {"id": 40, "client_id_now": 123}
    assert found["session"]["started_at"] == {"utc": "2024-03-10T11:00:00Z", "local": "2024-03-10T08:00:00-03:00"}
    assert found["session"]["possible_until"] == {
        "utc": "2024-03-10T13:00:00Z",
        "local": "2024-03-10T10:00:00-03:00",
    }
    assert (found["session"]["state"], found["session"]["certain_duration_s"]) == ("closed", 7200)
    assert found["nas"] == {
        "id": 1,
        "name_now": "bras-1",
        "source_address": "192.0.2.1",
        "nas_identifier": "bras-1",
    }
    assert found["mac"] == "00:1A:2B:3C:4D:5E"


@pytest.mark.parametrize("kept", [False, True], ids=["live", "history"])
@pytest.mark.parametrize(
    ("at", "is_found"),
    [
        ("2024-03-10 10:59:59Z", False),
        ("2024-03-10 11:00:00Z", True),
        ("2024-03-10 13:00:00Z", True),
        ("2024-03-10 13:00:01Z", False),
    ],
)
def test_a_session_counts_from_its_first_second_to_its_last(
    aaad: Desk, address: str, kept: bool, at: str, is_found: bool
) -> None:
    aaad.session(
        "2024-03-10 11:00:00.4Z", "2024-03-10 13:00:00.1Z", "2024-03-10 13:00:00.1Z", ipv4=address, kept=kept
    )
    assert bool(aaad.ask(address, "--at", at, code=int(not is_found))["candidates"]) is is_found


def test_its_very_start_and_end_to_the_microsecond(aaad: Desk, address: str) -> None:
    aaad.session("2024-03-10 11:00Z", "2024-03-10 13:00Z", "2024-03-10 13:00Z", ipv4=address, kept=True)
    assert aaad.ask(address, "--at", "2024-03-10 11:00:00.000000Z")["candidates"]
    assert aaad.ask(address, "--at", "2024-03-10 13:00:00.000000Z")["candidates"]
    assert not aaad.ask(address, "--at", "2024-03-10 10:59:59.999999Z", code=1)["candidates"]
    assert not aaad.ask(address, "--at", "2024-03-10 13:00:00.000001Z", code=1)["candidates"]


def test_r9_1_the_time_after_it_was_last_heard_is_possible_only(aaad: Desk, address: str) -> None:
    aaad.session(
        "2024-03-10 11:00Z",
        "2024-03-10 12:00Z",
        "2024-03-10 12:00Z",
        "2024-03-10 12:20Z",
        ipv4=address,
        end_evidence="nas_restart",
        kept=True,
    )
    assert aaad.ask(address, "--at", "2024-03-10 12:00:00Z")["candidates"][0]["certainty"] == "certain"
    answer = aaad.ask(address, "--at", "2024-03-10 12:10:00Z")
    assert answer["candidates"][0]["certainty"] == "possible"
    assert answer["candidates"][0]["session"]["end_evidence"] == "nas_restart"
    assert answer["notes"] == ["only_possible"]
    assert aaad.ask(address, "--at", "2024-03-10 12:20:01Z", code=1)["notes"] == ["nobody", "before_records"]
    told = aaad("whois", address, "--at", "2024-03-10 12:10:00Z").output
    assert "possible: later than it was last heard" in told
    assert "Nobody certainly had it" in told


def test_a_session_that_goes_on_and_one_that_is_silent(aaad: Desk, address: str) -> None:
    aaad.session("2024-03-10 11:00Z", "2024-03-10 12:00Z", ipv4=address, interim_s=300)
    aaad.sql(
        "INSERT INTO net.router (nas_id, source_address, nas_identifier, accounting_at) "
        "VALUES (1, '192.0.2.1', '\\x627261732d31', '2024-03-10 12:05Z')"
    )
    try:
        answer = aaad.ask(address, "--at", "2024-03-10 11:30:00Z")
        assert (answer["candidates"][0]["session"]["state"], answer["notes"]) == ("open", [])
        assert answer["candidates"][0]["session"]["possible_until"] is None
        assert aaad.ask(address, "--at", "2024-03-10 12:00:01Z")["notes"] == ["only_possible"]
        for minute in (12, 19, 26):  # the router goes on being heard, the session does not
            aaad.sql(f"UPDATE net.router SET accounting_at = '2024-03-10 12:{minute}Z'")
        answer = aaad.ask(address, "--at", "2024-03-10 13:00:00Z")
        assert (answer["candidates"][0]["session"]["state"], answer["notes"]) == ("suspended", ["only_possible"])
    finally:
        aaad.sql("DELETE FROM net.router")


def test_r9_2_two_sessions_within_the_margin(aaad: Desk, address: str) -> None:
    aaad.session("2024-03-10 11:00Z", "2024-03-10 11:58Z", "2024-03-10 11:58Z", ipv4=address, kept=True)
    aaad.session(
        "2024-03-10 12:01Z",
        "2024-03-10 13:00Z",
        "2024-03-10 13:00Z",
        ipv4=address,
        kept=True,
        user_name="padaria",
        login_id=51,
        client_id=31,
        contract_id=41,
    )
    assert aaad.ask(address, "--at", AT, code=1)["notes"] == ["nobody", "before_records"]
    answer = aaad.ask(address, "--at", AT, "--margin", "5m")
    assert logins(answer) == ["ana@fibra", "padaria"]
    assert {found["within"] for found in answer["candidates"]} == {"margin"}
    assert answer["notes"] == ["only_margin", "before_records"]
    answer = aaad.ask(address, "--at", "2024-03-10 12:01:00Z", "--margin", "5m")
    assert [(found["user_name"], found["within"]) for found in answer["candidates"]] == [
        ("padaria", "asked"),
        ("ana@fibra", "margin"),
    ]


def test_r9_2_a_range_of_time(aaad: Desk, address: str) -> None:
    aaad.session("2024-03-10 11:00Z", "2024-03-10 11:58Z", "2024-03-10 11:58Z", ipv4=address, kept=True)
    aaad.session("2024-03-10 12:01Z", "2024-03-10 13:00Z", ipv4=address, user_name="padaria")
    answer = aaad.ask(address, "--from", "2024-03-10 11:50 Z", "--to", "2024-03-10 12:00 Z")
    assert logins(answer) == ["ana@fibra"]
    answer = aaad.ask(address, "--from", "2024-03-10 11:50", "--to", "2024-03-10 12:01", "--zone", "UTC")
    assert logins(answer) == ["ana@fibra", "padaria"]


def test_two_who_certainly_had_it_at_once_are_both_shown(aaad: Desk, address: str) -> None:
    aaad.session("2024-03-10 11:00Z", "2024-03-10 13:00Z", "2024-03-10 13:00Z", ipv4=address, kept=True)
    aaad.session("2024-03-10 11:30Z", "2024-03-10 12:30Z", ipv4=address, user_name="padaria", login_id=51)
    answer = aaad.ask(address, "--at", AT)
    assert logins(answer) == ["ana@fibra", "padaria"]
    assert answer["notes"] == ["overlapping"]


def test_r7_1_address_spaces_are_told_apart(aaad: Desk) -> None:
    for space, name in ((1, "ana@fibra"), (7, "padaria")):
        aaad.session(
            "2024-03-10 11:00Z", "2024-03-10 13:00Z", ipv4="100.64.200.9", address_space=space, user_name=name
        )
    answer = aaad.ask("100.64.200.9", "--at", AT)
    assert [(found["user_name"], found["address_space"]) for found in answer["candidates"]] == [
        ("ana@fibra", 1),
        ("padaria", 7),
    ]
    assert answer["notes"] == ["several_spaces"]
    answer = aaad.ask("100.64.200.9", "--at", AT, "--space", 7)
    assert (logins(answer), answer["notes"]) == (["padaria"], [])
    assert aaad.ask("100.64.200.9", "--at", AT, "--space", 2, code=1)["notes"] == ["nobody", "before_records"]


def test_the_client_is_the_one_of_that_time_and_deleted_logins_are_named(aaad: Desk, address: str) -> None:
    aaad.sql("INSERT INTO erp.login (id, contract_id, name, password) VALUES (60, 40, 'antigo', 'x')")
    aaad.sql("UPDATE erp.login SET contract_id = 41, deleted_at = now() WHERE id = 60")
    aaad.session("2024-03-10 11:00Z", "2024-03-10 13:00Z", ipv4=address, user_name="antigo", login_id=60)
    (found,) = aaad.ask(address, "--at", AT)["candidates"]
    assert (found["client"]["id"], found["contract"]["id"]) == (123, 40)
    assert found["login"]["name_now"] == "antigo"
    assert found["login"]["deleted_at"]
    told = aaad("whois", address, "--at", AT).output
    assert "the login was deleted at" in told
    assert "as registered now" in told


def test_who_is_no_customer_is_told_by_the_name_that_dialed(aaad: Desk, address: str) -> None:
    nobody = dict.fromkeys(("login_id", "client_id", "contract_id", "plan_id", "branch_id"))
    aaad.session("2024-03-10 11:00Z", "2024-03-10 13:00Z", ipv4=address, user_name="stranger", **nobody)
    told = aaad("whois", address, "--at", AT).output
    assert "stranger" in told
    assert "login: none of that name was known" in told


def test_what_is_not_drained_yet_is_said(aaad: Desk, address: str) -> None:
    aaad.sql("INSERT INTO net.node (name, drain_watermark) VALUES ('n1', '2024-03-10 11:00Z')")
    try:
        answer = aaad.ask(address, "--at", AT, code=1)
        assert (answer["notes"], answer["complete_until"]) == (
            ["nobody", "incomplete", "before_records"],
            "2024-03-10T11:00:00Z",
        )
        assert aaad.ask(address, "--at", "2024-03-10 10:59:00Z", code=1)["notes"] == ["nobody", "before_records"]
    finally:
        aaad.sql("DELETE FROM net.node")


# --- clocks ---------------------------------------------------------------------------------------------------------


def test_across_the_end_of_summer_time_of_2018(aaad: Desk, address: str) -> None:
    """In São Paulo 2018-02-17 23:00 to 23:59 came twice."""
    aaad.session("2018-02-18 01:10Z", "2018-02-18 02:10Z", "2018-02-18 02:10Z", ipv4=address, kept=True)
    answer = aaad.ask(address, "--at", "2018-02-17 23:30:00 -02:00")
    session = answer["candidates"][0]["session"]
    assert session["started_at"] == {"utc": "2018-02-18T01:10:00Z", "local": "2018-02-17T23:10:00-02:00"}
    assert session["certain_until"] == {"utc": "2018-02-18T02:10:00Z", "local": "2018-02-17T23:10:00-03:00"}
    assert session["certain_duration_s"] == 3600
    assert not aaad.ask(address, "--at", "2018-02-17 23:30:00 -03:00", code=1)["candidates"]
    assert aaad.ask(address, "--at", "2018-02-17 22:30:00 horário de Brasília", code=1)["candidates"] == []
    ran = aaad("whois", address, "--at", "2018-02-17 23:30:00 horário de Brasília")
    assert ran.exit_code == 2
    assert "that time was twice" in ran.complaint


def test_across_the_start_of_summer_time_of_2018(aaad: Desk, address: str) -> None:
    aaad.session("2018-11-04 02:30Z", "2018-11-04 03:30Z", "2018-11-04 03:30Z", ipv4=address, kept=True)
    session = aaad.ask(address, "--at", "2018-11-04 01:15:00 horário de Brasília")["candidates"][0]["session"]
    assert session["started_at"]["local"] == "2018-11-03T23:30:00-03:00"
    assert session["certain_until"]["local"] == "2018-11-04T01:30:00-02:00"
    assert aaad("whois", address, "--at", "2018-11-04 00:15:00 America/Sao_Paulo").exit_code == 2


def test_a_zone_that_changed_and_a_branch_in_another_one(aaad: Desk, address: str) -> None:
    """Acre went from UTC-4 back to UTC-5 on 2013-11-10."""
    aaad.session(
        "2013-11-10 03:30Z",
        "2013-11-10 06:00Z",
        "2013-11-10 06:00Z",
        ipv4=address,
        kept=True,
        time_zone="America/Rio_Branco",
        branch_id=11,
    )
    session = aaad.ask(address, "--at", "2013-11-10 00:45:00 horário do Acre")["candidates"][0]["session"]
    assert session["started_at"]["local"] == "2013-11-09T23:30:00-04:00"
    assert session["certain_until"]["local"] == "2013-11-10T01:00:00-05:00"


# --- IPv6 -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [False, True], ids=["live", "history"])
def test_ipv6_by_address_and_prefix_of_the_link_and_delegated(aaad: Desk, kept: bool) -> None:
    half = "a" if kept else "b"
    aaad.session(
        "2024-03-10 11:00Z",
        "2024-03-10 13:00Z",
        "2024-03-10 13:00Z",
        ipv6_prefix=f"2001:db8:{half}:7::/64",
        delegated_ipv6_prefix=f"2001:db8:{half}:1100::/56",
        kept=kept,
    )
    asked = {
        f"2001:db8:{half}:7::5": "ipv6_prefix",
        f"[2001:db8:{half}:7::5]:443": "ipv6_prefix",
        f"2001:db8:{half}:11ff:ffff::1": "delegated_ipv6_prefix",
        f"2001:db8:{half}:1100::/56": "delegated_ipv6_prefix",
        f"2001:db8:{half}:1180::/60": "delegated_ipv6_prefix",
        f"2001:db8:{half}:1000::/52": "delegated_ipv6_prefix",
    }
    for word, matched in asked.items():
        (found,) = aaad.ask(word, "--at", AT)["candidates"]
        assert found["address"]["matched"] == matched
        assert found["address"]["evidence"] == "granted"
        assert found["addresses"]["delegated_ipv6_prefix"]["value"] == f"2001:db8:{half}:1100::/56"
    assert not aaad.ask(f"2001:db8:{half}:8::5", "--at", AT, code=1)["candidates"]
    assert not aaad.ask(f"2001:db8:{half}:1200::1", "--at", AT, code=1)["candidates"]
    assert not aaad.ask(f"2001:db8:{half}:7::5", "--at", "2024-03-10 13:00:01Z", code=1)["candidates"]
    assert not aaad.ask(f"2001:db8:{half}:7::5", "--at", AT, "--space", 3, code=1)["candidates"]
    both = aaad.ask(f"2001:db8:{half}::/48", "--at", AT)["candidates"]
    assert {found["address"]["matched"] for found in both} == {"ipv6_prefix", "delegated_ipv6_prefix"}


# --- carrier NAT ----------------------------------------------------------------------------------------------------


def add_map(aaad: Desk, name: str, private: str, public: str, since: str = "2024-01-01 00:00Z", **more: Any) -> int:
    words = [f"--{key.replace('_', '-')}={value}" for key, value in more.items()]
    if "ports_each" not in more:
        words.append("--ports-each=2016")
    ran = aaad(
        "cgnat",
        "add",
        "--name",
        name,
        "--private",
        private,
        "--public",
        public,
        "--from",
        since,
        *words,
        as_json=True,
    )
    assert ran.exit_code == 0, ran.complaint
    return json.loads(ran.output)["id"]


def hold(aaad: Desk, private: str, name: str, **facts: Any) -> None:
    aaad.session("2024-03-10 11:00Z", "2024-03-10 13:00Z", ipv4=private, user_name=name, **facts)


def test_cgnat_with_a_port_leads_to_one_and_without_it_to_all(aaad: Desk) -> None:
    number = add_map(aaad, "cg1", "100.64.1.0/27", "203.0.113.1/32")
    hold(aaad, "100.64.1.0", "first")
    hold(aaad, "100.64.1.19", "twentieth")
    hold(aaad, "100.64.1.31", "last")
    answer = aaad.ask("203.0.113.1:40123", "--at", AT)
    (found,) = answer["candidates"]
    assert (found["user_name"], answer["notes"]) == ("twentieth", [])
    assert found["cgnat"] == {
        "map": number,
        "name": "cg1",
        "private": "100.64.1.19",
        "public": "203.0.113.1",
        "port_first": 39328,
        "port_last": 41343,
        "valid_from": "2024-01-01T00:00:00Z",
        "valid_until": None,
    }
    assert logins(aaad.ask("203.0.113.1:1024", "--at", AT)) == ["first"]
    assert logins(aaad.ask("203.0.113.1:65535", "--at", AT)) == ["last"]
    answer = aaad.ask("203.0.113.1", "--at", AT)
    assert sorted(logins(answer)) == ["first", "last", "twentieth"]
    assert answer["notes"] == ["no_port"]
    assert aaad.ask("203.0.113.1:80", "--at", AT, code=1)["notes"] == ["nobody", "port_unmapped", "before_records"]
    assert aaad.ask("203.0.113.1:45000", "--at", AT, code=1)["notes"] == ["nobody", "before_records"]


def test_without_carrier_nat_the_port_makes_no_difference_and_that_is_said(aaad: Desk, address: str) -> None:
    hold(aaad, address, "own")
    answer = aaad.ask(f"{address}:40123", "--at", AT)
    assert (logins(answer), answer["notes"]) == (["own"], ["port_not_needed"])


def test_r7_1_a_map_leads_into_its_own_address_space(aaad: Desk) -> None:
    add_map(aaad, "cg-space-3", "100.64.2.0/27", "203.0.113.2/32", space=3)
    hold(aaad, "100.64.2.0", "here")
    hold(aaad, "100.64.2.0", "there", address_space=3)
    assert logins(aaad.ask("203.0.113.2:1024", "--at", AT)) == ["there"]
    assert logins(aaad.ask("203.0.113.2:1024", "--at", AT, "--space", 3)) == ["there"]
    assert aaad.ask("203.0.113.2:1024", "--at", AT, "--space", 1, code=1)["candidates"] == []


def test_the_answer_for_last_march_uses_last_marchs_map(aaad: Desk) -> None:
    old = add_map(aaad, "cg3", "100.64.3.0/27", "203.0.113.3/32")
    for private, name in (("100.64.3.0", "fills"), ("100.64.3.31", "reverse")):
        aaad.session("2024-03-01 00:00Z", "2024-05-01 00:00Z", ipv4=private, user_name=name)
    ended = aaad("cgnat", "end", "cg3", "--at", "2024-04-01 00:00:00 GMT-3", as_json=True)
    assert json.loads(ended.output) == {"ended": [old]}
    new = add_map(
        aaad, "cg3", "100.64.3.16-100.64.3.31", "203.0.113.3/32", "2024-04-01 00:00:00 GMT-3", ports_each=4032
    )
    (march,) = aaad.ask("203.0.113.3:1024", "--at", "2024-03-31 23:59:59 GMT-3")["candidates"]
    (april,) = aaad.ask("203.0.113.3:65535", "--at", "2024-04-01 00:00:00 GMT-3")["candidates"]
    assert (march["user_name"], march["cgnat"]["map"]) == ("fills", old)
    assert march["cgnat"]["valid_until"] == "2024-04-01T03:00:00Z"
    assert (april["user_name"], april["cgnat"]["map"]) == ("reverse", new)
    assert not aaad.ask("203.0.113.3:1024", "--at", "2024-04-01 00:00:00 GMT-3", code=1)["candidates"]
    across = aaad.ask("203.0.113.3", "--at", "2024-04-01 00:00:00 GMT-3", "--margin", "1m")
    assert "map_changed" in across["notes"]
    assert [(found["user_name"], found["within"], found["cgnat"]["map"]) for found in across["candidates"]] == [
        ("reverse", "asked", new),
        ("fills", "margin", old),
        ("reverse", "margin", old),
    ]


def test_maps_do_not_overlap_on_either_side(aaad: Desk) -> None:
    add_map(aaad, "cg4", "100.64.4.0/27", "203.0.113.4/32")

    def refused(private: str, public: str, since: str = "2024-02-01 00:00Z", *more: str) -> str:
        ran = aaad(
            "cgnat",
            "add",
            "--name=x",
            "--private",
            private,
            "--public",
            public,
            "--ports-each=2016",
            "--from",
            since,
            *more,
        )
        assert ran.exit_code == 2, ran.output
        return ran.complaint

    assert "public addresses and ports" in refused("100.64.5.0/27", "203.0.113.4/32")
    assert "private addresses" in refused("100.64.4.31/32", "203.0.113.5/32")
    assert "public addresses and ports" in refused(
        "100.64.4.0/27", "203.0.113.4/32", "2025-12-01 00:00Z", "--space=9"
    )
    assert "do not fit" in refused("100.64.5.0/26", "203.0.113.5/32")
    assert "time zone" in refused("100.64.5.0/27", "203.0.113.5/32", "2024-02-01 00:00")
    # The same private addresses in another space, and other ports of the same public address, are no overlap.
    add_map(aaad, "cg4b", "100.64.4.0/27", "203.0.113.5/32", space=9)
    aaad("cgnat", "end", "cg4", "--mistake")
    add_map(aaad, "cg4c", "100.64.4.0/28", "203.0.113.4/32", ports="1024-33279")
    add_map(aaad, "cg4d", "100.64.4.16/28", "203.0.113.4/32", ports="33280-65535")


def test_a_map_that_never_held_answers_nothing(aaad: Desk) -> None:
    add_map(aaad, "cg6", "100.64.6.0/27", "203.0.113.6/32")
    hold(aaad, "100.64.6.0", "one")
    assert logins(aaad.ask("203.0.113.6:1024", "--at", AT)) == ["one"]
    assert aaad("cgnat", "end", "cg6", "--mistake").exit_code == 0
    assert aaad.ask("203.0.113.6:1024", "--at", AT, code=1)["candidates"] == []
    assert aaad("cgnat", "end", "cg6").exit_code == 1


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE net.cgnat_map SET ports_each = 1 WHERE id = $1",
        "UPDATE net.cgnat_map SET valid_from = now() WHERE id = $1",
        "UPDATE net.cgnat_map SET valid_until = now(), ended_at = now(), ended_by = 'x', name = 'y' WHERE id = $1",
        "DELETE FROM net.cgnat_map WHERE id = $1",
        "TRUNCATE net.cgnat_map",
    ],
)
def test_what_was_valid_is_never_edited(aaad: Desk, sql: str) -> None:
    number = next(_numbers)
    map_id = add_map(aaad, f"fixed-{number}", f"100.65.{number % 250}.0/27", f"203.0.114.{number % 250}/32")
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="ended, never changed"):
        aaad.sql(sql, *([map_id] if "$1" in sql else []))
    assert aaad("cgnat", "end", map_id, "--at", "2024-05-01 00:00Z").exit_code == 0
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        aaad.sql(
            "UPDATE net.cgnat_map SET valid_until = NULL, ended_at = NULL, ended_by = NULL WHERE id = $1", map_id
        )


def test_generators_tables_are_imported_and_shown_again(aaad: Desk, tmp_path: Path) -> None:
    table = tmp_path / "netx.csv"
    table.write_text(
        "private_ip,public_ip,port_start,port_end\n100.64.7.1,203.0.113.7,1024,2047\n100.64.7.2,203.0.113.7,2048,3071\n"
        "100.64.7.2,203.0.113.7,2048,3071\n100.64.7.1,203.0.113.7,5000,5999\n"
    )
    ran = aaad("cgnat", "import", table, "--name", "netx", "--from", "2024-01-01 00:00Z", as_json=True)
    assert json.loads(ran.output) == {"saved": True, "name": "netx", "count": 3}
    hold(aaad, "100.64.7.1", "seven-one")
    hold(aaad, "100.64.7.2", "seven-two")
    assert logins(aaad.ask("203.0.113.7:2047", "--at", AT)) == ["seven-one"]
    assert logins(aaad.ask("203.0.113.7:2048", "--at", AT)) == ["seven-two"]
    assert logins(aaad.ask("203.0.113.7:5000", "--at", AT)) == ["seven-one"]
    assert aaad.ask("203.0.113.7:4000", "--at", AT, code=1)["candidates"] == []
    assert sorted(logins(aaad.ask("203.0.113.7", "--at", AT))) == ["seven-one", "seven-one", "seven-two"]
    listed = json.loads(aaad("cgnat", "list", "netx", as_json=True).output)
    assert len(listed) == 3
    shown = aaad("cgnat", "show", listed[0]["id"], "--csv").output.splitlines()
    assert shown == ["private_ip,public_ip,port_start,port_end", "100.64.7.1,203.0.113.7,1024,2047"]
    assert "100.64.7.2" in aaad("cgnat", "list").output
    assert aaad("cgnat", "end", "netx", "--at", "2024-06-01 00:00Z").exit_code == 0
    assert aaad("cgnat", "list", "netx", "--all").output.count("203.0.113.7") == 3


def test_an_imported_map_of_many_blocks_is_ended_whole(aaad: Desk, tmp_path: Path) -> None:
    table, count = tmp_path / "many.csv", 1_001
    lines = (
        f"100.66.{n // 250}.{n % 250},203.0.115.{n // 32},{1024 + n % 32 * 2016},{3039 + n % 32 * 2016}"
        for n in range(count)
    )
    table.write_text(
        "\n".join(["IP privado;IP público;Porta inicial;Porta final", *(line.replace(",", ";") for line in lines)])
    )
    ran = aaad("cgnat", "import", table, "--name", "many", "--from", "2024-01-01 00:00Z", as_json=True)
    assert json.loads(ran.output)["count"] == count
    again = aaad("cgnat", "import", table, "--name", "many", "--from", "2024-03-01 00:00Z")
    assert (again.exit_code, aaad.sql("SELECT count(*) FROM net.cgnat_map WHERE name = 'many'")[0][0]) == (2, count)
    assert (
        len(json.loads(aaad("cgnat", "end", "many", "--at", "2024-03-01 00:00Z", as_json=True).output)["ended"])
        == count
    )
    assert aaad("cgnat", "import", table, "--name", "many", "--from", "2024-03-01 00:00Z").exit_code == 0


def test_a_wrong_table_is_refused_whole(aaad: Desk, tmp_path: Path) -> None:
    table = tmp_path / "wrong.csv"
    table.write_text(
        "private_ip,public_ip,port_start,port_end\n100.64.8.1,203.0.113.8,1024,2047\n100.64.8.2,203.0.113.8,2047,3071\n"
        "host,203.0.113.8,1,2\n"
    )
    ran = aaad("cgnat", "import", table, "--name", "wrong", "--from", "2024-01-01 00:00Z")
    assert ran.exit_code == 2
    assert "line 4" in ran.complaint
    assert "line 3: a port is given to another one in line 2" in ran.complaint
    assert aaad.sql("SELECT 1 FROM net.cgnat_map WHERE name = 'wrong'") == []
    missing = aaad("cgnat", "import", tmp_path / "none.csv", "--name", "w", "--from", "now")
    assert missing.exit_code == 2


def test_show_tells_which_ports_a_private_address_has(aaad: Desk) -> None:
    number = add_map(aaad, "cg9", "100.64.9.0/27", "203.0.113.9/32", layout="spread")
    shown = json.loads(aaad("cgnat", "show", number, "--address", "100.64.9.1", as_json=True).output)
    assert shown["blocks"] == [
        {"private_ip": "100.64.9.1", "public_ip": "203.0.113.9", "port_start": 3040, "port_end": 5055}
    ]
    assert aaad("cgnat", "show", number).output.count("203.0.113.9") == 32
    assert aaad("cgnat", "show", number, "--address", "100.64.10.1").exit_code == 1
    assert aaad("cgnat", "show", number, "--address", "x").exit_code == 2
    assert aaad("cgnat", "show", 999_999).exit_code == 1


# --- many, and what is wrong ----------------------------------------------------------------------------------------


def test_r9_2_a_table_of_questions_is_answered_as_csv(aaad: Desk, address: str, tmp_path: Path) -> None:
    aaad.session("2024-03-10 11:00Z", "2024-03-10 13:00Z", ipv4=address, user_name="=1+1")
    table = tmp_path / "requests.csv"
    table.write_text(
        f"id;ip;porta;data;hora\n1;{address};40123;10/03/2024;09:00:00\n2;{address};;10/03/2024;12:00:00\n"
    )
    before = aaad.sql("SELECT count(*) FROM net.inquiry")[0][0]
    ran = aaad("whois", "--file", table, "--zone", "GMT-3", "--csv")
    assert ran.exit_code == 0, ran.complaint
    first, second = csv.DictReader(io.StringIO(ran.output))
    assert (first["reference"], first["certainty"], first["started_at_local"]) == (
        "1",
        "certain",
        "2024-03-10T08:00:00-03:00",
    )
    assert first["user_name"] == "'=1+1"
    assert first["client_document_now"] == "***.982.247-**"
    assert (second["reference"], second["certainty"]) == ("2", "possible")
    assert aaad.sql("SELECT count(*) FROM net.inquiry")[0][0] == before + 2
    table.write_text(f"id;ip;em\n1;{address};10/03/2024 09:00:00\n2;{address};10/03/2024 09:00:00 GMT-3\n")
    ran = aaad("whois", "--file", table)
    assert ran.exit_code == 2
    assert "requests.csv, line 2: " in ran.complaint
    assert "time zone is missing" in ran.complaint
    assert aaad.sql("SELECT count(*) FROM net.inquiry")[0][0] == before + 2


@pytest.mark.parametrize(
    "words",
    [
        ["203.0.113.9"],
        ["203.0.113.9", "--at", "2024-03-10 12:00:00"],
        ["203.0.113.9", "--at", "2999-03-10 12:00:00Z"],
        ["203.0.113.0/24", "--at", AT],
        ["203.0.113.9:99999", "--at", AT],
        ["203.0.113.9", "--at", AT, "--margin", "8d"],
        ["203.0.113.9", "--at", AT, "--space", "a"],
        ["--at", AT],
        ["203.0.113.9", "--at", AT, "--file", "x.csv"],
        ["--file", "/nowhere/x.csv", "--at", AT],
        ["203.0.113.9", "--from", AT],
    ],
)
def test_what_asks_nothing_is_refused_and_not_recorded(aaad: Desk, words: list[str]) -> None:
    before = aaad.sql("SELECT count(*) FROM net.inquiry")[0][0]
    ran = aaad("whois", *words)
    assert ran.exit_code == 2
    assert ran.complaint.startswith("aaad: ")
    assert ran.output == ""
    assert aaad.sql("SELECT count(*) FROM net.inquiry")[0][0] == before


def test_many_candidates_become_a_table(aaad: Desk, address: str) -> None:
    for number in range(6):
        aaad.session("2024-03-10 11:00Z", "2024-03-10 13:00Z", ipv4=address, user_name=f"u{number}")
    told = aaad("whois", address, "--at", AT, language="pt").output
    assert "u5" in told
    assert "contrato" in told


def test_portuguese(aaad: Desk, address: str) -> None:
    aaad.session("2024-03-10 11:00Z", "2024-03-10 13:00Z", ipv4=address)
    told = aaad("whois", address, "--at", AT, language="pt").output
    assert "Quem tinha" in told
    assert "certo" in told
    assert "falta o fuso" in aaad("whois", address, "--at", "2024-03-10 12:00:00", language="pt").complaint


# --- who asked ------------------------------------------------------------------------------------------------------


def test_every_question_is_recorded_and_the_record_never_changes(aaad: Desk, address: str) -> None:
    aaad.session("2024-03-10 11:00Z", "2024-03-10 13:00Z", ipv4=address)
    answer = aaad.ask(address, "--at", AT, "--order", "0801234-55", "--reason", "ofício", operator="juliana")
    assert answer["candidates"][0]["client"]["document_now"] == "52998224725"
    row = aaad.sql("SELECT * FROM net.inquiry ORDER BY id DESC LIMIT 1")[0]
    assert (row["operator"], row["order_number"], row["reason"]) == ("juliana", "0801234-55", "ofício")
    assert (row["candidates"], row["logins"], row["documents_shown"]) == (1, [50], True)
    assert json.loads(row["question"])["address"] == address
    assert row["account"]
    for sql in ("UPDATE net.inquiry SET operator = 'x'", "DELETE FROM net.inquiry", "TRUNCATE net.inquiry"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
            aaad.sql(sql)


@pytest.mark.parametrize(
    ("operator", "document"),
    [
        ("maria", "***.982.247-**"),
        ("juliana", "52998224725"),
        ("JULIANA", "52998224725"),
        ("nobody", "***.982.247-**"),
    ],
)
def test_cpf_is_masked_unless_the_operator_has_the_permission(
    aaad: Desk, address: str, operator: str, document: str
) -> None:
    aaad.session("2024-03-10 11:00Z", "2024-03-10 13:00Z", ipv4=address)
    for words in (("--at", AT), ("--at", AT, "--csv")):
        told = aaad("whois", address, *words, operator=operator).output
        assert document in told
        assert ("52998224725" in told) == (document == "52998224725")


# --- speed ----------------------------------------------------------------------------------------------------------

MANY = """
INSERT INTO net.session_history (family, life, summary, acct_session_id, user_name, time_zone, nas_id, source_address,
    nas_identifier, ipv4, ipv6_prefix, delegated_ipv6_prefix, started_at, start_seen, heard_at, ended_at,
    ended_latest, end_evidence, records)
SELECT gen_random_uuid(), 0, '', 's' || i, 'u' || i, 'America/Sao_Paulo', 1, '192.0.2.1',
    '', inet '100.70.0.0' + i % 500, set_masklen(inet '2001:db8:100::' + ((i % 500)::bigint << 32), 64)::cidr,
    set_masklen(inet '2001:db8:200::' + ((i % 500)::bigint << 40), 56)::cidr, at, true, at, at,
    at, 'stop', 1
FROM (SELECT i, timestamptz '2024-01-02Z' + i * interval '12 minutes' AS at FROM generate_series(1, 12000) AS i) AS r;
"""


async def plan_of(connection: asyncpg.Connection, sql: str, arguments: list[str]) -> list[dict[str, Any]]:
    await connection.execute(f"PREPARE asked AS {sql}")
    rows = await connection.fetch(f"EXPLAIN (FORMAT json) EXECUTE asked ({', '.join(arguments)})")
    await connection.execute("DEALLOCATE asked")
    found, pending = [], [json.loads(rows[0][0])[0]["Plan"]]
    while pending:
        node = pending.pop()
        found.append(node)
        pending += node.get("Plans", [])
    return found


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
async def test_no_question_reads_history_from_end_to_end(dsn: str, mode: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        for month in range(1, 4):
            await connection.execute(
                f"CREATE TABLE net.month_{month} PARTITION OF net.session_history "
                f"FOR VALUES FROM ('2024-0{month}-01Z') TO ('2024-0{month + 1}-01Z')"
            )
        await connection.execute(MANY)
        await connection.execute("ANALYZE")
        await connection.execute(f"SET plan_cache_mode = {mode}")
        times = ["'{2024-02-01Z}'", "'{2024-02-01 00:00:01Z}'", "100"]
        plans = {
            "ipv4": await plan_of(connection, SQL.sessions_with_ipv4, ["'{100.70.0.9}'", "'{1}'", *times]),
            "ipv6": await plan_of(
                connection,
                SQL.sessions_with_ipv6,
                ["'2001:db8:100:9::5'", "NULL", "'2024-02-01Z'", "'2024-02-01 00:00:01Z'", "100"],
            ),
            "earlier": await plan_of(
                connection, SQL.sessions_with_earlier_address, ["'{100.70.0.9}'", "'{1}'", *times]
            ),
        }
        for name, nodes in plans.items():
            places = [
                node for node in nodes if node.get("Relation Name", "").startswith(("month_", "session_history"))
            ]
            by_time = [node for node in places if "tstzrange" in node.get("Index Cond", "")]
            assert all("Seq Scan" not in node["Node Type"] for node in places), name
            # Address and time in one condition, for each month and kind of address; here none changed.
            assert len(by_time) == {"ipv4": 4, "ipv6": 8, "earlier": 0}[name], name
    finally:
        await connection.close()
