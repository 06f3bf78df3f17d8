"""`aaad line …`, with PostgreSQL, in both languages."""

import asyncio
import json
from types import SimpleNamespace

import pytest
from line_house import SECRET, housed
from typing_person import type_line

from aaad.cli import order_words
from aaad.cli.options import Options
from aaad.orders.line_course import LineSaid, LineStep
from aaad.orders.line_driver import State
from aaad.orders.lines import SAID


@pytest.fixture
async def house(dsn, tmp_path):
    async with housed(dsn, tmp_path) as house:
        config = tmp_path / "aaad.toml"
        config.write_text(f'[database]\ndsn = "{dsn}"\n')

        async def aaad(*words: str, language: str = "en", as_json: bool = False, operator: str = "maria", typed=None):
            result = await asyncio.to_thread(type_line, Options(config, language, as_json, operator), words, typed)
            return SimpleNamespace(exit_code=result.exit_code, output=result.stdout, complaint=result.stderr)

        house.aaad = aaad
        yield house


async def allow(house, permission: str) -> None:
    await house.db.execute("INSERT INTO erp.operator_group (id, name) VALUES (9, 'voz')")
    await house.db.execute(
        "INSERT INTO erp.operator_group_permission (group_id, permission_id) "
        "SELECT 9, id FROM erp.permission WHERE name = $1",
        permission,
    )
    await house.db.execute("INSERT INTO erp.operator (name, group_id) VALUES ('maria', 9)")


async def test_a_line_from_its_driver_to_its_report(house):
    url = house.provider.url
    ran = await house.aaad(
        *("line", "driver", "set", "sip", "--url", f"{url}/line", "--header", "Authorization=Bearer {secret}"),
        *("--body", '{"id": "{identifier}"}', "--toggle", "--read-url", f"{url}/line/{{identifier}}"),
        *("--read-pointer", "/state", "--meanings", "S=active,N=blocked", "--secret", "-", "--timeout", "2"),
        typed=f"{SECRET}\n",
    )
    assert ran.exit_code == 0, ran.complaint
    house.provider.states["2001"] = "S"
    ran = await house.aaad("line", "add", "--contract", "1", "--kind", "sip", "--identifier", "2001")
    assert ran.exit_code == 0, ran.complaint
    async with house.running():
        ran = await house.aaad("line", "report", "2001", "theft")
        assert ran.exit_code == 0, ran.complaint
        assert "blocked until it is found" in ran.output
        assert (await house.until_over(1))["state"] == "done"
    shown = await house.aaad("line", "show", "2001")
    assert "is, as its provider told last: blocked" in shown.output
    assert "reported by the customer: stolen" in shown.output
    assert "roubada" in (await house.aaad("line", "list", language="pt")).output
    listed = json.loads((await house.aaad("line", "list", as_json=True)).output)
    await allow(house, "Tarefas")
    assert [(row["identifier"], row["wanted"], row["state"]) for row in listed] == [("2001", "blocked", "blocked")]
    orders = (await house.aaad("order", "list", "--all")).output
    assert "block the line" in orders
    assert "SIP line 2001" in orders
    shown = (await house.aaad("order", "show", "1", language="pt")).output
    assert "linha SIP 2001" in shown
    again = await house.aaad("line", "report", "2001", "theft")
    assert again.exit_code == 1
    for ran in (
        await house.aaad("line", "driver", "show"),
        await house.aaad("line", "driver", "show", "sip", as_json=True),
        await house.aaad("line", "driver", "set", "sip", "--settle", "5"),
    ):
        assert ran.exit_code == 0, ran.complaint
        assert SECRET not in ran.output
        assert "Bearer" not in ran.output
    assert await house.db.fetchval("SELECT headers ->> 'Authorization' FROM net.line_driver") == "Bearer {secret}"
    assert await house.db.fetchval("SELECT secret FROM net.line_driver") == SECRET


async def test_p18_deleting_a_line_takes_its_permission(house):
    """Permission 18, "Excluir Terminal de Voz"."""
    line = await house.line()
    ran = await house.aaad("line", "delete", "2001", "--yes")
    assert ran.exit_code == 1
    assert "Excluir Terminal de Voz" in ran.complaint
    assert await house.row(line) is not None
    await allow(house, "Excluir Terminal de Voz")
    ran = await house.aaad("line", "delete", "2001", "--yes")
    assert ran.exit_code == 0, ran.complaint
    assert await house.row(line) is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("set", "tv", "--settle", "5"), "--url"),
        (("set", "tv", "--url", "http://h/x", "--toggle"), "reads the state first"),
        (("set", "tv", "--url", "ftp://h/x"), "http(s)://HOST"),
        (("set", "tv", "--url", "http://h/x", "--header", "X-Token=abc"), "{secret}"),
        (("set", "tv", "--url", "http://h/x", "--secret", "abc"), "never an argument"),
        (("set", "tv", "--url", "http://h/x", "--meanings", "A"), "NAME=VALUE"),
        (("set", "tv"), "Nothing to change"),
        (("show", "tv"), "no driver"),
    ],
)
async def test_a_driver_that_cannot_be_is_refused_in_words(house, words, said):
    ran = await house.aaad("line", "driver", *words)
    assert ran.exit_code in (1, 2)
    assert said in ran.complaint
    assert not await house.db.fetchval("SELECT count(*) FROM net.line_driver")


async def test_a_number_that_another_line_has_is_refused(house):
    await house.line()
    ran = await house.aaad("line", "add", "--contract", "1", "--kind", "sip", "--identifier", "2001")
    assert ran.exit_code == 2
    assert "no other line" in ran.complaint
    ran = await house.aaad("line", "add", "--contract", "1", "--kind", "sip", "--identifier", "20/01")
    assert ran.exit_code == 2


def test_every_step_answer_and_state_has_its_words():
    assert {str(step) for step in LineStep} <= order_words.STEPS.keys()
    assert {str(said) for said in LineSaid} <= order_words.SAID.keys() | order_words.LINE_SAID.keys()
    assert {str(state) for state in State} == order_words.LINE_STATES.keys()
    assert SAID.keys() == set(LineStep)
