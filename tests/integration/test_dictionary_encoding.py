"""The dictionary in the database is that of the code, and what PostgreSQL encodes is what pyrad encodes."""

import io

import asyncpg
import pytest
from pyrad.dictionary import Dictionary
from pyrad.packet import AuthPacket

from aaad.db.connection import Database
from aaad.errors import StoreError
from aaad.radius.dictionary_data import ATTRIBUTES, KINDS, VENDORS

PYRAD_KINDS = {"tagged_string": "string", "tagged_integer": "integer"}


@pytest.fixture
async def database(dsn):
    database = Database(dsn, connect_timeout_s=5, statement_timeout_s=30, application_name="test")
    await database.execute("INSERT INTO erp.branch (id, name) VALUES (1, 'B')")
    await database.execute("INSERT INTO erp.plan (id, name, upload, download) VALUES (1, 'P', '1M', '1M')")
    await database.execute("INSERT INTO erp.client (id, branch_id, kind, name) VALUES (1, 1, 'E', 'C')")
    await database.execute("INSERT INTO erp.contract (id, client_id, branch_id, plan_id) VALUES (1, 1, 1, 1)")
    await database.execute("INSERT INTO erp.login (id, contract_id, name, password) VALUES (1, 1, 'bia', 'x')")
    yield database
    await database.close()


async def test_the_database_holds_the_dictionary_of_the_code(database: Database):
    rows = await database.fetch("SELECT name, vendor, code, kind, may_be_given FROM net.dictionary_attribute")
    assert {tuple(row) for row in rows} == {attribute[:5] for attribute in ATTRIBUTES}
    rows = await database.fetch("SELECT attribute, name, number FROM net.dictionary_value")
    values = {(attribute.name, name, number) for attribute in ATTRIBUTES for name, number in attribute.values.items()}
    assert {tuple(row) for row in rows} == values


def test_the_dictionary_is_in_order():
    assert len({attribute.name.lower() for attribute in ATTRIBUTES}) == len(ATTRIBUTES)
    assert len({(attribute.vendor, attribute.code) for attribute in ATTRIBUTES}) == len(ATTRIBUTES)
    assert {attribute.kind for attribute in ATTRIBUTES} == set(KINDS)
    assert {attribute.vendor for attribute in ATTRIBUTES} == {0, *VENDORS}
    for attribute in ATTRIBUTES:
        assert not attribute.values or attribute.kind.endswith("integer"), attribute.name
        assert 0 < attribute.code < 256


@pytest.mark.parametrize(
    "name",
    [  # set by the server, or fatal for a reply
        "User-Name", "User-Password", "CHAP-Password", "NAS-IP-Address", "Service-Type", "Framed-Protocol",
        "Framed-IP-Address", "State", "Class", "Session-Timeout", "Idle-Timeout", "Proxy-State", "Acct-Session-Id",
        "Acct-Interim-Interval", "EAP-Message", "Message-Authenticator", "Framed-Pool", "Framed-IPv6-Prefix",
        "Framed-IPv6-Pool", "Delegated-IPv6-Prefix", "Delegated-IPv6-Prefix-Pool", "Tunnel-Password", "Error-Cause",
        "Stateful-IPv6-Address-Pool", "MS-CHAP-Error", "MS-CHAP2-Success", "MS-MPPE-Send-Key", "MS-MPPE-Recv-Key",
        "MS-CHAP-MPPE-Keys", "MS-MPPE-Encryption-Policy", "MS-MPPE-Encryption-Types", "MS-Primary-DNS-Server",
        "Mikrotik-Rate-Limit", "Mikrotik-Group", "Mikrotik-Delegated-IPv6-Pool", "Mikrotik-Wireless-Enc-Key",
        "Mikrotik-Wireless-PSK", "Mikrotik-Wireless-MPKey",
    ],
)  # fmt: skip
def test_what_the_server_sets_itself_or_is_a_key_may_not_be_given(name: str):
    known = {attribute.name: attribute for attribute in ATTRIBUTES}
    assert name not in known or not known[name].may_be_given


EXAMPLES = {
    "string": ["x", "vlan 10", "ção", "a" * 247],
    "integer": ["0", "1", "4294967295"],
    "ipaddr": ["192.0.2.1", "255.255.255.252", "0.0.0.0"],
    "ipv6addr": ["2001:db8::1", "::"],
    "octets": ["00", "0xdeadBEEF", "ff" * 247],
    "ifid": ["0:0:0:1", "FE80:1:02:003"],
    "tagged_integer": ["1", "16777215"],
    "tagged_string": ["x", "100"],
}
REFUSED = {
    "string": ["", "a" * 254],
    "integer": ["", "-1", "4294967296", "1.0", "0x1", "No-Such-Value", " 1"],
    "ipaddr": ["", "192.0.2", "192.0.2.256", "192.0.2.1/24", "2001:db8::1", "192.0.2.01"],
    "ipv6addr": ["", "192.0.2.1", "2001:db8::/64", "2001:db8:::"],
    "ipv6prefix": ["", "2001:db8::", "2001:db8::1/64", "10.0.0.0/8", "2001:db8::/129"],
    "octets": ["", "0x", "f", "gg", "ff" * 254],
    "ifid": ["", "1", "0:0:0:12345", "0:0:0", "0:0:0:0:1"],
    "tagged_integer": ["16777216", "-1", "x"],
    "tagged_string": ["", "a" * 254],
}


def pyrad_dictionary() -> Dictionary:
    """The same attributes as pyrad reads them."""
    lines = [f"VENDOR {name} {number}" for number, name in VENDORS.items()]
    for vendor in (0, *VENDORS):
        if vendor:
            lines.append(f"BEGIN-VENDOR {VENDORS[vendor]}")
        for attribute in ATTRIBUTES:
            if attribute.vendor == vendor:
                kind = PYRAD_KINDS.get(attribute.kind, attribute.kind)
                tagged = " has_tag" if attribute.kind != kind else ""
                lines.append(f"ATTRIBUTE {attribute.name} {attribute.code} {kind}{tagged}")
                lines += (f"VALUE {attribute.name} {name} {number}" for name, number in attribute.values.items())
        if vendor:
            lines.append(f"END-VENDOR {VENDORS[vendor]}")
    return Dictionary(io.StringIO("\n".join(lines)))


def by_pyrad(dictionary: Dictionary, name: str, kind: str, value: str) -> bytes:
    """What pyrad makes of a name and a value: the attributes of a packet without its header."""
    packet = AuthPacket(dict=dictionary, secret=b"x", authenticator=bytes(16))
    if kind == "octets":
        given: object = bytes.fromhex(value.removeprefix("0x"))
    elif kind.endswith("integer") and value.isdecimal():
        given = int(value)
    else:
        given = value
    packet[name] = given
    return packet._PktEncodeAttributes()


async def test_what_is_encoded_equals_pyrad(database: Database):
    dictionary = pyrad_dictionary()
    compared = 0
    for attribute in (attribute for attribute in ATTRIBUTES if attribute.may_be_given):
        for value in [*EXAMPLES.get(attribute.kind, []), *attribute.values]:
            names = [f"{attribute.name}:7"] if attribute.kind.startswith("tagged") else [attribute.name]
            if attribute.kind == "ifid":
                continue  # by hand below: pyrad has no such kind
            for name in names:
                row = await database.fetchrow("SELECT net.encode_attribute($1, $2) AS encoded", name.upper(), value)
                assert row["encoded"] == by_pyrad(dictionary, name, attribute.kind, value), (name, value)
                compared += 1
    assert compared > 500


SINGLE = [
    ("Framed-Interface-Id", "FE80:1:02:003", "600afe80000100020003"),
    ("Route-IPv6-Information", "2001:db8:1::/48", "aa14003020010db8000100000000000000000000"),  # RFC 6911, 3.3
    ("Route-IPv6-Information", "::/0", "aa140000" + "00" * 16),
    ("Tunnel-Type", "VLAN", "40060000000d"),  # RFC 2868, 3.1: without a tag its octet is zero
    ("Tunnel-Private-Group-Id", "100", "5105313030"),  # and of a text it may be left out
    ("tunnel-type:31", "vlan", "40061f00000d"),
    ("mikrotik-address-list", "vip", "1a0b00003a8c1305766970"),
]


async def test_single_encodings(database: Database):
    for name, value, encoded in SINGLE:
        row = await database.fetchrow("SELECT net.encode_attribute($1, $2) AS encoded", name, value)
        assert row["encoded"].hex() == encoded


async def test_a_value_that_is_none_is_refused_and_the_message_says_what_is_allowed(database: Database):
    tried = {attribute.kind: attribute for attribute in ATTRIBUTES if attribute.may_be_given and not attribute.vendor}
    assert set(tried) == set(KINDS) - {"date"}
    for kind, values in REFUSED.items():
        for value in values:
            with pytest.raises(StoreError) as caught:
                await database.fetchrow("SELECT net.encode_attribute($1, $2)", tried[kind].name, value)
            assert (caught.value.sqlstate, caught.value.constraint) == ("23514", "attribute_value_form"), (
                kind,
                value,
            )
            assert tried[kind].name in str(caught.value)
    with pytest.raises(StoreError) as caught:
        await database.fetchrow("SELECT net.encode_attribute('Framed-Compression', 'x')")
    assert "Van-Jacobson-TCP-IP" in str(caught.value)
    for name, size in (
        ("Filter-Id", 253), ("Cisco-AVPair", 247), ("Tunnel-Assignment-Id", 253), ("Tunnel-Assignment-Id:1", 252),
    ):  # fmt: skip
        await database.fetchrow("SELECT net.encode_attribute($1, $2)", name, "x" * size)
        with pytest.raises(StoreError, match=f"a text of 1 to {size} octets"):
            await database.fetchrow("SELECT net.encode_attribute($1, $2)", name, "x" * (size + 1))


async def test_a_vendors_value_must_fit_into_one_attribute(database: Database):
    for size, fits in ((247, True), (248, False)):
        query = database.fetchrow("SELECT net.encode_attribute('Cisco-AVPair', $1) AS encoded", "x" * size)
        if fits:
            assert len((await query)["encoded"]) == 255
        else:
            with pytest.raises(StoreError):
                await query


@pytest.mark.parametrize("table", ["plan", "login"])
async def test_the_octets_are_kept_and_bounded(database: Database, table: str):
    insert = f"INSERT INTO erp.{table}_attribute ({table}_id, name, value) VALUES (1, 'Filter-Id', $1)"
    await database.execute(insert, "x")
    await database.execute(f"UPDATE erp.{table}_attribute SET encoded = 'forged'")
    assert (await database.fetchrow(f"SELECT encoded FROM erp.{table}_attribute"))["encoded"] == b"\x0b\x03x"
    for _ in range(4):
        await database.execute(insert, "y" * 250)
    with pytest.raises(StoreError) as caught:  # 3 + 4 * 252 + 14 octets
        await database.execute(insert, "z" * 12)
    assert caught.value.constraint == f"{table}_attributes_fit"
    await database.execute(insert, "z" * 11)


async def test_two_who_add_at_once_do_not_pass_the_bound_together(database: Database, dsn: str):
    insert = "INSERT INTO erp.plan_attribute (plan_id, name, value) VALUES (1, 'Filter-Id', $1)"
    for _ in range(4):
        await database.execute(insert, "y" * 240)
    first, second = [await asyncpg.connect(dsn) for _ in range(2)]
    try:
        opened = first.transaction()
        await opened.start()
        await first.execute(insert, "a" * 50)
        await second.execute("SET lock_timeout = '100ms'")
        with pytest.raises(asyncpg.LockNotAvailableError):
            await second.execute(insert, "b" * 50)
        await opened.commit()
        with pytest.raises(asyncpg.CheckViolationError):
            await second.execute(insert, "b" * 50)
    finally:
        await first.close()
        await second.close()
