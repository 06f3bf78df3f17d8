"""Parameters: PostgreSQL and the program know the same list and the same values."""

import re
from pathlib import Path

import asyncpg
import pytest

import aaad
from aaad.policy.parameters import GENERAL, PARAMETERS, BranchPolicy, ParameterKind, is_valid

PROGRAM = [
    path
    for path in Path(aaad.__file__).parent.rglob("*")
    if path.suffix in (".py", ".sql") and path.name not in ("parameters.py", "0001_erp.sql", "demo_data.sql")
]
BRANCH = 1
VALUES = [
    *("", "S", "N", "P", "s", "SN", "*", ";", "P ", " S", "á"),
    *("64k", "1M", "0k", "10000000k", "1G", "1m", "064k", "9999999M"),
    *(
        "0",
        "1",
        "3",
        "12",
        "16",
        "30",
        "31",
        "59",
        "60",
        "64",
        "65",
        "364",
        "365",
        "366",
        "720",
        "721",
        "3660",
        "3661",
        "86400",
        "31536000",
        "31536001",
    ),
    *("-1", "012", "1.5", "999999999", "9999999999", "\u0661\u0662"),
    *("pool", "pool two", "pool  two", "-", "a" * 128, "a" * 129, "tab\tin", "isp.example", "a" * 62, "a" * 63),
    *(";".join(["isp"] * 16), ";".join(["isp"] * 17), "sunday;" * 17 + "saturday", "sunday;" * 17 + "holidays"),
    *("isp.example;other", "isp.example;", ";isp.example", "a;*", "@isp", "a b"),
    *("1.1.1.1", "1.1.1.1;8.8.8.8", "1.1.1.1; 8.8.8.8", "1.1.1.1;1.1.1.1", "01.1.1.1", "1.1.1", "1.1.1.1/32"),
    *("0.0.0.0", "127.0.0.1", "169.254.1.1", "224.0.0.1", "255.255.255.255", "10.0.0.1", "100.64.0.1"),
    *("2001:db8::1", "2001:DB8::1", "2001:db8:0::1", "::1", "::", "fe80::1", "ff02::1", "fd00::1", "::ffff:1.1.1.1"),
    *(";".join(["1.1.1.1"] * 8), ";".join(["1.1.1.1"] * 9)),
    *("monday", "monday;holiday_eve", "monday;monday", "monday, friday", "segunda", "Monday", "sunday;"),
]


@pytest.fixture
async def connection(dsn):
    connection = await asyncpg.connect(dsn)
    await connection.execute("INSERT INTO erp.branch (id, name) VALUES (1, 'Matriz')")
    yield connection
    await connection.close()


async def kind_in_database(connection: asyncpg.Connection, name: str) -> str | None:
    return await connection.fetchval("SELECT erp.parameter_kind($1)", name)


async def test_both_know_the_same_parameters_of_the_same_kinds(connection: asyncpg.Connection):
    for parameter in PARAMETERS.values():
        is_number = parameter.kind is ParameterKind.NUMBER
        kind = f"{parameter.minimum} to {parameter.maximum}" if is_number else parameter.kind
        assert await kind_in_database(connection, parameter.name) == kind
    body = await connection.fetchval("SELECT pg_get_function_sqlbody('erp.parameter_kind'::regproc)")
    written = set(re.findall(r"'(\w+)'", body))
    assert {word for word in written if await kind_in_database(connection, word)} == PARAMETERS.keys()
    assert await kind_in_database(connection, "no_such_parameter") is None


def test_every_parameter_is_read():
    program = "".join(path.read_text() for path in PROGRAM)
    named = re.findall(r"\w+", re.sub(r"FUNCTION erp\.parameter_kind\(.*?END;", "", program, flags=re.DOTALL))
    for parameter in PARAMETERS.values():
        # By name in a statement or in the program, but for the list of the kinds; or resolved for the decision.
        assert parameter.name in BranchPolicy._fields or parameter.name in named, parameter.name


async def accepts(connection: asyncpg.Connection, name: str, branch_id: int, value: str) -> bool:
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(
            "INSERT INTO erp.parameter (name, branch_id, value) VALUES ($1, nullif($2, 0), $3)",
            name,
            branch_id,
            value,
        )
    except asyncpg.CheckViolationError:
        return False
    finally:
        await transaction.rollback()
    return True


@pytest.mark.parametrize("branch_id", [GENERAL, BRANCH])
async def test_both_accept_the_same_values(connection: asyncpg.Connection, branch_id: int):
    one_of_each_rule = {
        (parameter.kind, parameter.minimum, parameter.maximum, parameter.is_general): parameter
        for parameter in PARAMETERS.values()
    }
    differing = [
        (parameter.name, value)
        for parameter in one_of_each_rule.values()
        for value in VALUES
        if is_valid(parameter, value, branch_id) != await accepts(connection, parameter.name, branch_id, value)
    ]
    assert differing == []


async def test_every_default_may_be_written(connection: asyncpg.Connection):
    for parameter in PARAMETERS.values():
        branch_id = GENERAL if parameter.is_general else BRANCH
        assert await accepts(connection, parameter.name, branch_id, parameter.default), parameter.name
