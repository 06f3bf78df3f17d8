"""The connection to a router's API against the simulated router: words, logins, limits, certificates, faults."""

import asyncio
import logging
import traceback
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from router_world import PASSWORD, access, certificate, connection, router

from aaad.errors import RouterError, RouterLoginRefused, RouterTrap, RouterUntrusted
from aaad.mikrotik.connection import Limits, RouterConnection
from aaad.simulator.routeros import Faults, RouterosServer
from aaad.simulator.routeros_words import Garbage, Reader, encode_length, encode_sentence


async def names(asked: RouterConnection) -> list[str]:
    return [row["name"] for row in await asked.rows("/ppp/active", ["name"])]


@pytest.mark.parametrize("version", [(6, 42), (6, 43), (7, 17), (7, 18), (7, 20)])
async def test_both_forms_of_login_and_user_names_stay_text(version: tuple[int, int]) -> None:
    with RouterosServer(router(version)) as server:
        asked = connection(server)
        assert await names(asked) == ["ana", "007", "yes"]
        assert await asked.rows("/ppp/secret") == []  # !empty from 7.18 on
        assert await names(asked) == ["ana", "007", "yes"]
        assert server.logins_count == 1
        await asked.close()


@pytest.mark.parametrize("version", [(6, 42), (7, 20)])
async def test_a_wrong_password_is_told_and_neither_is_shown(version: tuple[int, int]) -> None:
    with RouterosServer(router(version)) as server:
        asked = connection(server, password="wrong " + PASSWORD)
        with pytest.raises(RouterLoginRefused, match=r"invalid user name or password|cannot log in") as caught:
            await names(asked)
        assert PASSWORD not in "".join(traceback.format_exception(caught.value))
        with pytest.raises(RouterError, match=r"invalid user name|cannot log in"):
            await names(asked)  # at once: it is not tried again so soon
        assert server.logins_count == 0
        assert PASSWORD not in repr(access(server))


async def test_no_word_of_the_password_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with RouterosServer(router()) as server:
        asked = connection(server)
        await names(asked)
        await asked.close()
    assert PASSWORD not in caplog.text


async def test_rows_are_added_changed_and_removed_and_a_refusal_leaves_the_connection_open() -> None:
    with RouterosServer(router()) as server:
        asked = connection(server)
        values = {"list": "blocked", "address": "100.64.0.10", "comment": "a=b = ção \udcff"}
        row_id = await asked.command("/ip/firewall/address-list/add", values)
        with pytest.raises(RouterTrap, match=r"already have such entry"):
            await asked.command("/ip/firewall/address-list/add", values)
        await asked.command("/ip/firewall/address-list/set", {".id": row_id, "disabled": "true"})
        (row,) = await asked.rows("/ip/firewall/address-list", where=["?list=blocked", "?disabled=true"])
        assert (row["comment"], row[".id"]) == ("a=b = ção \udcff", row_id)
        await asked.command("/ip/firewall/address-list/remove", {".id": row_id})
        with pytest.raises(RouterTrap, match=r"no such item") as caught:
            await asked.command("/ip/firewall/address-list/remove", {".id": row_id})
        assert caught.value.category == 0
        with pytest.raises(RouterTrap, match=r"no such command"):
            await asked.rows("/no/such")
        assert server.logins_count == 1
        await asked.close()


async def test_any_segmentation_and_every_form_of_a_length() -> None:
    with RouterosServer(router()) as server:
        for octets, form in ((1, 1), (1, 5), (3, 2), (7, 3), (0, 4), (0, 5)):
            server.faults = Faults(segment_octets=octets, length_octets=form)
            asked = connection(server)
            assert await names(asked) == ["ana", "007", "yes"]
            await asked.close()
        server.faults = Faults()
        asked = connection(server)
        for size in (0x7F, 0x80, 0x3FFF, 0x4000, 0x1FFFFF - 9, 0x200000 - 8):  # with `=comment=`
            row_id = await asked.command("/ip/firewall/address-list/add", {"list": str(size), "address": "x"})
            arguments = {".id": row_id, "comment": "x" * size}
            await asked.command("/ip/firewall/address-list/set", arguments)
        with pytest.raises(RouterError, match=r"a word of"):
            await asked.rows("/ip/firewall/address-list")  # longer than what anybody needs
        assert not asked.is_connected


@pytest.mark.parametrize(
    ("faults", "told"),
    [
        (Faults(rows_max=1), "silent for 0.4 s"),
        (Faults(rows_max=1, is_reset=True), "reset|ended"),
        (Faults(rows_max=1, fatal="session terminated by admin"), "session terminated by admin"),
        (Faults(rows_max=1, garbage=b"\xff\xff\xff"), "control octet 0xff"),
        (Faults(rows_max=1, garbage=b"\xe0\xff"), "silent|ended"),
        (Faults(rows_max=1, garbage=b"\x07!oddity\x00"), "an answer that is none"),
    ],
)
async def test_what_ends_an_answer_closes_the_connection_and_the_next_call_opens_another(
    faults: Faults, told: str
) -> None:
    with RouterosServer(router(), faults=faults) as server:
        asked = connection(server)
        with pytest.raises(RouterError, match=told):
            await names(asked)
        assert not asked.is_connected
        server.faults = Faults()
        assert await names(asked) == ["ana", "007", "yes"]
        assert server.logins_count == 2
        await asked.close()


async def test_a_late_answer_is_never_taken_for_the_next_ones() -> None:
    with RouterosServer(router(), faults=Faults(row_pause_s=0.2)) as server:
        asked = connection(server, Limits(silence_s=2.0, command_s=0.3))
        with pytest.raises(RouterError, match=r"within 0.3 s"):
            await names(asked)
        server.faults = Faults()
        assert (await asked.rows("/system/identity"))[0]["name"] == "bras-1"
        with pytest.raises(TimeoutError):
            server.faults = Faults(row_pause_s=0.2)
            async with asyncio.timeout(0.1):
                await names(asked)
        assert not asked.is_connected  # cancelled from outside
        server.faults = Faults()
        assert (await asked.rows("/system/identity"))[0]["name"] == "bras-1"
        await asked.close()


async def test_rows_and_words_are_bounded() -> None:
    with RouterosServer(router()) as server:
        asked = connection(server, Limits(rows=2))
        with pytest.raises(RouterError, match=r"more than 2 rows"):
            await names(asked)
        server.faults = Faults(rows_max=0, garbage=encode_sentence(["!re", *["=a=b"] * 300]))
        with pytest.raises(RouterError, match=r"more than 256 words"):
            await names(connection(server))
        with pytest.raises(RouterError, match=r"more than 40 octets"):
            await names(connection(server, Limits(answer_octets=40)))


async def test_commands_of_one_connection_wait_for_each_other() -> None:
    with RouterosServer(router()) as server:
        asked = connection(server)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(names(asked)) for _ in range(5)]
        assert [task.result() for task in tasks] == [["ana", "007", "yes"]] * 5
        assert server.logins_count == 1
        await asked.close()


async def test_nobody_there_silence_and_too_many_sessions_are_told() -> None:
    with (
        RouterosServer(router(), faults=Faults(is_silent=True)) as server,
        pytest.raises(RouterError, match=r"silent"),
    ):
        await names(connection(server))
    with pytest.raises(RouterError, match=r"refused"):
        await names(connection(server))
    with RouterosServer(router(), sessions_max=1) as server:
        asked = connection(server)
        await names(asked)
        with pytest.raises(RouterError, match=r"ended|reset"):
            await names(connection(server))
        await asked.close()


async def test_tls_believes_the_pinned_issuer_or_fingerprint_and_else_tells_nothing(tmp_path: Path) -> None:
    context, pem, fingerprint = certificate(tmp_path)
    _, other_pem, other = certificate(tmp_path)
    with RouterosServer(router(), tls=context) as server:
        for more in ({"authorities": pem}, {"fingerprint": fingerprint}):
            asked = connection(server, is_tls=True, **more)
            assert await names(asked) == ["ana", "007", "yes"]
            await asked.close()
        assert server.logins_count == 2
        for more in ({}, {"authorities": other_pem}, {"fingerprint": other}, {"authorities": "no certificate"}):
            with pytest.raises(RouterUntrusted):
                await names(connection(server, is_tls=True, **more))
    elsewhere, pem, _ = certificate(tmp_path, "192.0.2.1")
    with RouterosServer(router(), tls=elsewhere) as server:
        with pytest.raises(RouterUntrusted, match=r"127.0.0.1"):
            await names(connection(server, is_tls=True, authorities=pem))
        assert server.logins_count == 0
    with RouterosServer(router()) as server, pytest.raises(RouterError):
        await names(connection(server, is_tls=True, authorities=pem))


# --- the simulated router's own words -------------------------------------------------------------------------------

WORDS = st.lists(st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=300), min_size=1)


@given(st.lists(WORDS, min_size=1, max_size=3), st.integers(1, 5), st.integers(1, 50))
def test_sentences_come_back_however_they_are_cut(sentences: list[list[str]], form: int, piece: int) -> None:
    octets = b"\x00".join(encode_sentence(words, form) for words in sentences)  # with empty ones between
    reader, came = Reader(), []
    for place in range(0, len(octets), piece):
        came += reader.feed(octets[place : place + piece])
    assert came == sentences


def test_lengths_are_those_of_the_documentation() -> None:
    known = {0: "00", 0x7F: "7f", 0x80: "8080", 0x3FFF: "bfff", 0x4000: "c04000", 0x1FFFFF: "dfffff"}
    known |= {0x200000: "e0200000", 0xFFFFFFF: "efffffff", 0x10000000: "f010000000"}
    assert {length: encode_length(length).hex() for length in known} == known
    for octets in (b"\xf8", b"\xff\x00"):
        with pytest.raises(Garbage):
            Reader().feed(octets)
