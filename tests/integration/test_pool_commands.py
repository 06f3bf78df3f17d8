"""`aaad pool …` on a real PostgreSQL, in both languages: rule R7 as operators meet it."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from one_connection import connection
from test_session_commands import Cli

from aaad.db.embedded import EmbeddedPostgres
from aaad.erp import complaints

SEED = """
INSERT INTO erp.parameter (name, value) VALUES ('document_required', 'N');
INSERT INTO erp.branch (id, name) VALUES (10, 'Matriz');
INSERT INTO erp.plan (id, name, upload, download) VALUES (20, 'Fibra 300', '150M', '300M');
INSERT INTO erp.client (id, branch_id, kind, name) VALUES (123, 10, 'F', 'Ana Souza'), (31, 10, 'J', 'Padaria Sol');
INSERT INTO erp.contract (id, client_id, branch_id, plan_id, status) VALUES
    (40, 123, 10, 20, 'A'), (41, 31, 10, 20, 'A');
INSERT INTO net.nas (id, name, address, secret) VALUES (1, 'bng-centro', '192.0.2.1', 'secret-1');
INSERT INTO erp.operator_group (id, name, all_permissions) VALUES (80, 'Direção', true);
INSERT INTO erp.operator (name, group_id) VALUES ('maria', 80);
"""
LOGINS = """
INSERT INTO erp.login (id, contract_id, name, password) VALUES (50, 40, 'ana@fibra', 'x'), (51, 41, 'padaria', 'x');
"""
CLEAN = """
DELETE FROM net.session;
DELETE FROM erp.login;
DELETE FROM net.lease;
DELETE FROM net.reserve;
DELETE FROM net.pool_range;
DELETE FROM net.pool WHERE kind = 'dualstack';
DELETE FROM net.pool;
DELETE FROM net.node;
UPDATE net.nas SET secondary_pool = NULL;
"""


class House(Cli):
    """The command line, and what processes of nodes do to the ledger."""

    def execute(self, script: str) -> None:
        connection(self.dsn).execute(script)

    def ok(self, *words: str, **options: Any) -> Any:
        done = self(*words, as_json=True, **options)
        assert done.exit_code == 0, done.output + done.complaint
        return json.loads(done.output)

    def no(self, *words: str, code: int = 1, **options: Any) -> Any:
        done = self(*words, as_json=True, **options)
        assert done.exit_code == code, done.output + done.complaint
        return json.loads(done.output)

    def told(self, *words: str, code: int = 1, **options: Any) -> str:
        done = self(*words, **options)
        assert done.exit_code == code, done.output + done.complaint
        return " ".join(done.complaint.split())

    def pool(self, name: str, *words: str) -> int:
        family = [] if "--family" in words else ["--family", "ipv4"]
        added = self.ok("pool", "add", "--name", name, "--kind", "radius", *family, *words)
        return int(added["pool"]["id"])

    def node(self, name: str = "n1", snapshot: str = "NULL") -> int:
        sql = f"INSERT INTO net.node (name, heartbeat_at, snapshot) VALUES ($1, now(), {snapshot}) RETURNING id"
        return int(self.sql(sql, name)[0][0])

    def hears(self, name: str = "n1") -> None:
        self.sql("UPDATE net.node SET snapshot = pg_current_snapshot() WHERE name = $1", name)

    def claim(self, pool_id: int, how_many: int, node_id: int) -> int:
        found = self.sql("SELECT net.claim_units($1, $2, 0, $3, $4)", pool_id, node_id, uuid4(), how_many)
        return int(found[0][0])

    def bound(self, pool_id: int, address: str, login_id: int, space: int = 1) -> None:
        """Let a login have an address that is beyond everything given out."""
        self.sql(
            "INSERT INTO net.lease (address_space, address, pool_id, state, login_id, nas_id, offered_at, "
            "valid_until) VALUES ($4, $2::text::cidr, $1, 'bound', $3, 1, now(), now() + interval '1 day')",
            pool_id,
            address,
            login_id,
            space,
        )

    def released(self, pool_id: int, address: str, login_id: int) -> None:
        """Let a login have had an address so long ago that nobody remembers."""
        self.sql(
            "INSERT INTO net.lease (address_space, address, pool_id, state, login_id, offered_at, valid_until, "
            "released_at, free_from) VALUES (1, $2::text::cidr, $1, 'released', $3, now() - interval '2 days', "
            "now() - interval '1 day', now() - interval '1 day', now() - interval '1 day')",
            pool_id,
            address,
            login_id,
        )

    def session(self, address: str, login_id: int, name: str, *, ended: bool = False) -> str:
        """Let a login be connected, or have been; returns the session's short name."""
        family = uuid4()
        column, kind = ("ipv4", "inet") if "." in address else ("delegated_ipv6_prefix", "cidr")
        end = "now(), now(), 'stop'" if ended else "NULL, NULL, NULL"
        self.sql(
            "INSERT INTO net.session (family, life, summary, acct_session_id, user_name, login_id, time_zone, "
            f"nas_id, source_address, nas_identifier, started_at, start_seen, heard_at, records, {column}, ended_at, "
            "ended_latest, end_evidence) VALUES ($1, 0, '', '81a0', $2, $3, 'America/Sao_Paulo', 1, '192.0.2.1', "
            f"'', now() - interval '2 hours', true, now() - interval '1 hour', 2, $4::text::{kind}, {end})",
            family,
            name,
            login_id,
            address,
        )
        return f"{family.hex[:12]}-0"


def make_house(postgres: EmbeddedPostgres, template: str, tmp: pytest.TempPathFactory, name: str) -> House:
    House(postgres.dsn("postgres"), tmp.mktemp("made") / "a.toml").execute(
        f"CREATE DATABASE {name} TEMPLATE {template}"
    )
    house = House(postgres.dsn(name), tmp.mktemp(name) / "aaad.toml")
    house.execute(SEED)
    return house


@pytest.fixture(scope="module")
def database(postgres: EmbeddedPostgres, _template: str, tmp_path_factory: pytest.TempPathFactory) -> House:
    return make_house(postgres, _template, tmp_path_factory, "pool_commands")


@pytest.fixture
def aaad(database: House) -> Iterator[House]:
    database.execute(CLEAN + LOGINS)
    yield database


# --- adding, changing, showing --------------------------------------------------------------------------------------


def test_a_pool_is_written_with_ranges_exclusions_and_gateway_in_one_go(aaad: House) -> None:
    words = ["--range", "100.64.0.0/24", "--range", "100.64.2.10-100.64.2.19", "--exclude", "100.64.0.255"]
    added = aaad.ok(
        "pool", "add", "--name", "centro", "--kind", "RAD", "--family", "ipv4", "--gateway", "100.64.0.1", *words
    )
    pool = added["pool"]
    assert (pool["kind"], pool["prefix_length"], pool["state"], pool["gateway"]) == (
        "radius",
        32,
        "active",
        "100.64.0.1",
    )
    assert [(one["first"], one["last"], one["units"]) for one in pool["ranges"]] == [
        ("100.64.0.0", "100.64.0.255", 256),
        ("100.64.2.10", "100.64.2.19", 10),
    ]
    assert [(one["first"], one["why"]) for one in pool["exclusions"]] == [
        ("100.64.0.1", "gateway"),
        ("100.64.0.255", None),
    ]
    shown = aaad("pool", "show", "centro", language="pt").output
    assert "100.64.2.10-100.64.2.19" in shown
    assert "RAD" in shown
    assert aaad.ok("pool", "show", "CENTRO")["id"] == pool["id"]


def test_each_family_has_its_usual_length_and_another_if_it_is_said(aaad: House) -> None:
    for family, length in (("ipv4", 32), ("ipv6", 64), ("delegated", 56)):
        aaad.pool(family, "--family", family)
        assert aaad.ok("pool", "show", family)["prefix_length"] == length
    aaad.pool("redes", "--prefix-length", "30", "--range", "203.0.113.0/24")
    assert aaad.ok("pool", "show", "redes")["ranges"][0]["units"] == 64


@pytest.mark.parametrize(
    ("words", "field", "said"),
    [
        (["--kind", "radius", "--family", "ipv4"], "name", "required"),
        (["--name", "x", "--kind", "radius"], "family", "required"),
        (["--name", "x", "--kind", "other", "--family", "ipv4"], "kind", "dualstack"),
        (["--name", "x", "--kind", "radius", "--family", "ipv4", "--prefix-length", "7"], "prefix_length", "8 to 32"),
        (
            ["--name", "x", "--kind", "radius", "--family", "ipv4", "--prefix-length", "64"],
            "prefix_length",
            "8 to 32",
        ),
        (
            ["--name", "x", "--kind", "nas", "--family", "ipv4", "--prefix-length", "32"],
            "prefix_length",
            "kind radius",
        ),
        (["--name", "x", "--kind", "nas", "--family", "ipv4", "--range", "10.0.0.0/24"], "range", "kind radius"),
        (["--name", "x", "--kind", "dualstack"], "ipv4_pool_id", "one to three"),
        (["--name", "x", "--kind", "dualstack", "--family", "ipv4"], "family", "dualstack"),
        (["--name", "x", "--kind", "radius", "--family", "ipv4", "--valid-s", "299"], "valid_s", "300 to 2592000"),
        (["--name", "x", "--kind", "radius", "--family", "ipv4", "--reserve-size", "5000"], "reserve_size", "4096"),
        (["--name", "x", "--kind", "radius", "--family", "ipv4", "--gateway", "10.0.0.0/8"], "gateway", "address"),
        (["--name", "x", "--kind", "radius", "--family", "ipv4", "--gateway", "2001:db8::1"], "gateway", "family"),
        (["--name", "x", "--kind", "radius", "--family", "ipv4", "--range", "10.0.0.0/33"], "range", "no range"),
        (["--name", "x", "--kind", "radius", "--family", "ipv4", "--range", "2001:db8::/40"], "range", "not IPv4"),
        (
            ["--name", "x", "--kind", "radius", "--family", "ipv4", "--range", "127.0.0.0/24"],
            "range",
            "a session may have",
        ),
        (
            [
                "--name",
                "x",
                "--kind",
                "radius",
                "--family",
                "ipv4",
                "--range",
                "10.0.0.0/24",
                "--exclude",
                "10.0.1.0",
            ],
            "exclude",
            "not in pool",
        ),
        (
            ["--name", "x", "--kind", "radius", "--family", "delegated", "--range", "2001:db8::/57"],
            "range",
            "/56",
        ),
    ],
)
def test_bad_input_names_the_field_and_what_is_allowed_and_nothing_is_written(
    aaad: House, words: list[str], field: str, said: str
) -> None:
    refused = aaad.no("pool", "add", *words, code=2)
    told = {problem["field"]: problem["message"] for problem in refused["problems"]}
    assert field in told
    assert said in told[field]
    assert aaad.sql("SELECT FROM net.pool") == []
    assert aaad.sql("SELECT FROM net.pool_range") == []


def test_all_complaints_come_at_once_in_portuguese_too(aaad: House) -> None:
    told = aaad.told("pool", "add", "--kind", "radius", "--valid-s", "x", code=2, language="pt")
    assert "--name" in told
    assert "--valid-s" in told
    assert "--family" in told
    assert "segundos" in told


def test_two_pools_of_a_space_never_overlap_and_it_says_which(aaad: House) -> None:
    aaad.pool("centro", "--range", "100.64.0.0/22")
    refused = aaad.no(
        "pool", "add", "--name", "norte", "--kind", "radius", "--family", "ipv4", "--range", "100.64.3.0/24", code=2
    )
    assert "100.64.0.0-100.64.3.255 (centro)" in refused["problems"][0]["message"]
    assert aaad.sql("SELECT name FROM net.pool") == [("centro",)]


def test_r7_1_two_address_spaces_have_the_same_range(aaad: House) -> None:
    aaad.pool("centro", "--range", "100.64.0.0/22")
    aaad.pool("centro", "--range", "100.64.0.0/22", "--address-space", "2")
    both = aaad.told("pool", "show", "centro")
    assert "centro (1)" in both
    assert "centro (2)" in both


def test_who_has_an_address_of_a_new_range_is_told(aaad: House) -> None:
    aaad.sql("UPDATE erp.login SET routes = '{100.64.0.128/25}' WHERE id = 50")
    refused = aaad.no(
        "pool", "add", "--name", "centro", "--kind", "radius", "--family", "ipv4", "--range", "100.64.0.0/24", code=2
    )
    assert "100.64.0.128/25 (ana@fibra, Ana Souza)" in refused["problems"][0]["message"]


def test_a_dualstack_pool_stands_for_others_of_the_right_family(aaad: House) -> None:
    aaad.pool("v4")
    aaad.pool("v6", "--family", "ipv6")
    words = ["--name", "tudo", "--kind", "dualstack", "--ipv4-pool", "v4"]
    pool = aaad.ok("pool", "add", *words, "--ipv6-pool", "v6")["pool"]
    assert (pool["ipv4_pool"], pool["ipv6_pool"], pool["delegated_pool"]) == ("v4", "v6", None)
    refused = aaad.no("pool", "add", *[*words[:1], "outra", *words[2:]], "--delegated-pool", "v6", code=2)
    assert refused["problems"][0]["field"] == "delegated_pool_id"
    refused = aaad.no("pool", "delete", "v4", "--yes")
    assert [(link["thing"], link["name"]) for link in refused["links"]] == [("pool", "tudo")]
    aaad.no("pool", "edit", "v4", "--family", "ipv6", code=1)


def test_a_pool_with_ranges_keeps_its_form(aaad: House) -> None:
    aaad.pool("centro", "--range", "100.64.0.0/24")
    for words in (["--prefix-length", "30"], ["--address-space", "2"], ["--kind", "nas", "--prefix-length", ""]):
        assert "ranges" in aaad.no("pool", "edit", "centro", *words)["problem"]
    assert aaad.ok("pool", "edit", "centro", "--alarm-percent", "80", "--valid-s", "900")["pool"]["valid_s"] == 900


def test_a_new_gateway_is_excluded(aaad: House) -> None:
    aaad.pool("centro", "--range", "100.64.0.0/24")
    pool = aaad.ok("pool", "edit", "centro", "--gateway", "100.64.0.254")["pool"]
    assert [(one["first"], one["why"]) for one in pool["exclusions"]] == [("100.64.0.254", "gateway")]


def test_who_names_a_pool_by_its_old_name_is_told(aaad: House) -> None:
    aaad.pool("centro")
    aaad.sql("UPDATE erp.login SET ipv4_pool = 'centro'")
    renamed = aaad.ok("pool", "edit", "centro", "--name", "norte")
    assert "2" in renamed["warnings"][0]
    assert "centro" in renamed["warnings"][0]


def test_a_pool_that_somebody_names_or_uses_is_not_deleted(aaad: House) -> None:
    pool_id = aaad.pool("centro", "--range", "100.64.0.0/24")
    aaad.sql("UPDATE erp.login SET ipv4_pool = 'centro' WHERE id = 50")
    aaad.bound(pool_id, "100.64.0.9/32", 51)
    refused = aaad.no("pool", "delete", "centro", "--yes")
    assert {(link["thing"], link["name"]) for link in refused["links"]} == {
        ("lease", "100.64.0.9/32 padaria"),
        ("login", "ana@fibra"),
    }
    aaad.sql("UPDATE erp.login SET ipv4_pool = NULL")
    aaad.sql("DELETE FROM net.lease")
    aaad.released(pool_id, "100.64.0.9/32", 51)
    aaad.ok("pool", "delete", "centro", "--yes")
    assert aaad.sql("SELECT FROM net.pool_range") == []
    assert aaad.sql("SELECT FROM net.lease") == []


# --- ranges and exclusions ------------------------------------------------------------------------------------------


def test_a_range_is_shortened_or_taken_out_only_without_anybody_in_it(aaad: House) -> None:
    pool_id = aaad.pool("centro", "--range", "100.64.0.0/22", "--exclude", "100.64.1.250-100.64.2.5")
    aaad.bound(pool_id, "100.64.2.9/32", 50)
    aaad.bound(pool_id, "100.64.2.10/32", 51)
    refused = aaad.no("pool", "range", "remove", "centro", "100.64.2.0/23", "--yes")
    assert (
        "2 are in use: 100.64.2.9/32 (ana@fibra, Ana Souza); 100.64.2.10/32 (padaria, Padaria Sol)"
        in refused["problem"]
    )
    assert refused["count"] == 2
    aaad.ok("pool", "range", "remove", "centro", "100.64.3.0/24", "--yes")
    assert aaad.ok("pool", "show", "centro")["ranges"][0]["last"] == "100.64.2.255"
    aaad.sql("DELETE FROM net.lease")
    aaad.released(pool_id, "100.64.2.9/32", 50)
    aaad.ok("pool", "range", "remove", "centro", "100.64.2.0/24", "--yes")
    pool = aaad.ok("pool", "show", "centro")
    assert [(one["first"], one["last"]) for one in pool["exclusions"]] == [("100.64.1.250", "100.64.1.255")]
    assert aaad.sql("SELECT FROM net.lease") == []
    aaad.ok("pool", "range", "remove", "centro", "100.64.0.0/23", "--yes")
    assert aaad.ok("pool", "show", "centro")["ranges"] == []
    aaad.ok("pool", "range", "add", "centro", "100.64.8.0/24", "100.64.10.0/24")
    assert len(aaad.ok("pool", "show", "centro")["ranges"]) == 2


def test_only_the_end_of_a_range_goes(aaad: House) -> None:
    aaad.pool("centro", "--range", "100.64.0.0/22")
    told = aaad.told("pool", "range", "remove", "centro", "100.64.0.0/24", "--yes", code=2)
    assert "only a whole range or its end" in told
    assert "not in pool" in aaad.told("pool", "range", "remove", "centro", "100.65.0.0/24", "--yes", code=2)


def test_what_a_process_has_set_aside_keeps_its_range_until_the_pool_is_drained(aaad: House) -> None:
    pool_id, node_id = aaad.pool("centro", "--range", "100.64.0.0/24"), aaad.node()
    aaad.claim(pool_id, 16, node_id)
    refused = aaad.no("pool", "range", "remove", "centro", "100.64.0.0/24", "--yes")
    assert "16 of n1 process 0" in refused["problem"]
    aaad.ok("pool", "drain", "centro")
    aaad.no("pool", "range", "remove", "centro", "100.64.0.0/24", "--yes")  # n1 has not heard of it
    aaad.hears()
    aaad.ok("pool", "range", "remove", "centro", "100.64.0.0/24", "--yes")
    assert aaad.sql("SELECT FROM net.reserve") == []


def test_an_excluded_address_that_is_in_use_or_set_aside_says_what_becomes_of_it(aaad: House) -> None:
    pool_id, node_id = aaad.pool("centro", "--range", "100.64.0.0/24"), aaad.node()
    reserve = aaad.claim(pool_id, 16, node_id)
    aaad.bound(pool_id, "100.64.0.40/32", 50)
    done = aaad("pool", "exclude", "centro", "100.64.0.8-100.64.0.47", "--why", "routers")
    assert done.exit_code == 0
    assert "40 more are excluded" in done.output
    assert "1 of them are in use" in done.complaint
    assert "100.64.0.40/32 (ana@fibra, Ana Souza)" in done.complaint
    assert "8 of n1 process 0" in done.complaint
    assert aaad.sql("SELECT id FROM net.reserve WHERE abandoned_at IS NOT NULL") == [(reserve,)]
    assert aaad.sql("SELECT state FROM net.lease") == [("bound",)]
    again = aaad.ok("pool", "exclude", "centro", "100.64.0.0/26")
    assert again["count"] == 24  # what was excluded already is not counted anew
    assert aaad.ok("pool", "show", "centro")["exclusions"][1]["why"] == "routers"


def test_what_was_excluded_is_given_out_again(aaad: House) -> None:
    pool_id, node_id = (
        aaad.pool("centro", "--range", "100.64.0.0/28", "--exclude", "100.64.0.4-100.64.0.11"),
        aaad.node(),
    )
    aaad.claim(pool_id, 16, node_id)
    aaad.sql("DELETE FROM net.reserve")  # it was used up
    assert aaad.sql("SELECT next FROM net.pool_range") == [(16,)]
    assert aaad.ok("pool", "include", "centro", "100.64.0.6-100.64.0.7")["count"] == 2
    found = aaad.sql("SELECT address::text, state FROM net.lease ORDER BY address")
    assert found == [("100.64.0.6/32", "released"), ("100.64.0.7/32", "released")]
    excluded = aaad.ok("pool", "show", "centro")["exclusions"]
    assert [(one["first"], one["last"]) for one in excluded] == [
        ("100.64.0.4", "100.64.0.5"),
        ("100.64.0.8", "100.64.0.11"),
    ]
    assert "None of them" in aaad.no("pool", "include", "centro", "100.64.0.0")["problem"]


# --- states ---------------------------------------------------------------------------------------------------------


def test_a_pool_is_drained_and_retired_when_nobody_has_an_address_and_every_node_knows(aaad: House) -> None:
    pool_id, node_id = aaad.pool("centro", "--range", "100.64.0.0/24"), aaad.node()
    aaad.claim(pool_id, 16, node_id)
    aaad.bound(pool_id, "100.64.0.40/32", 50)
    aaad.sql("UPDATE erp.login SET ipv4_pool = 'centro'")
    assert "drain it first" in aaad.no("pool", "retire", "centro")["problem"]
    drained = aaad.ok("pool", "drain", "centro")
    assert "100.64.0.40/32 (ana@fibra, Ana Souza)" in drained["warnings"][0]
    assert "2 logins" in drained["warnings"][1]
    assert aaad.sql("SELECT net.claim_units($1, $2, 0, $3, 8)", pool_id, node_id, uuid4()) == [(None,)]
    assert "1 still have an address" in aaad.no("pool", "retire", "centro")["problem"]
    aaad.sql("DELETE FROM net.lease")
    assert "n1 (last heard" in aaad.no("pool", "retire", "centro")["problem"]
    aaad.hears()
    assert aaad.ok("pool", "retire", "centro")["pool"]["state"] == "retired"
    assert aaad.sql("SELECT count(*), min(state) FROM net.lease") == [(16, "released")]
    assert aaad.sql("SELECT FROM net.reserve") == []
    assert "retired" in aaad.no("pool", "drain", "centro")["problem"]
    assert aaad.ok("pool", "resume", "centro")["pool"]["state"] == "active"


def test_r7_3_a_pool_is_adopting_until_an_operator_ends_it(aaad: House) -> None:
    aaad.pool("centro", "--range", "100.64.0.0/24")
    assert aaad.ok("pool", "adopt", "centro")["pool"]["adopting_since"] is not None
    aaad.no("pool", "adopt", "centro")
    assert "em adoção" in aaad("pool", "show", "centro", language="pt").output
    asked = aaad("pool", "adopt-end", "centro")
    assert asked.exit_code == 2
    assert "--yes" in asked.complaint
    assert aaad.ok("pool", "adopt-end", "centro", "--yes")["pool"]["adopting_since"] is None
    aaad.no("pool", "adopt-end", "centro", "--yes")


def test_what_operators_change_stands_in_the_history(aaad: House) -> None:
    aaad.pool("outra")
    pool_id = aaad.pool("centro", "--range", "100.64.0.0/24")
    aaad.ok("pool", "exclude", "centro", "100.64.0.7", "--why", "printer")
    aaad.ok("pool", "drain", "centro", operator="joana")
    found = aaad.ok("pool", "history", "centro")
    assert found[0]["text"] == f"pool {pool_id} centro: state: active → draining"
    assert found[0]["operator"] == "joana"
    assert found[1]["text"] == f"pool {pool_id} centro: exclusion added 100.64.0.7 to 100.64.0.7 (printer)"
    assert [row["text"].rpartition(": ")[2] for row in found[2:4]] == [
        "range added 100.64.0.0 to 100.64.0.255",
        "added",
    ]
    assert "joana" in aaad("pool", "history", language="pt").output
    assert aaad.sql("SELECT count(*) FROM erp.history WHERE kind = 'pool_changed' AND operator = 'maria'")[0][0] > 3


def test_every_rule_of_pools_has_its_words(aaad: House) -> None:
    rows = aaad.sql(
        "SELECT conname FROM pg_constraint WHERE conrelid = ANY('{net.pool,net.pool_range}'::regclass[]) "
        "AND contype = ANY('{c,u,x,f}'::\"char\"[])"
    )
    kept_by_the_database = {"pool_range_ascends", "pool_range_next_range", "pool_range_pool_id_fkey"}
    nameless = {
        name for (name,) in rows if complaints.explain(name) is None and not name.endswith("_id_range")
    } - kept_by_the_database
    assert nameless == set()
