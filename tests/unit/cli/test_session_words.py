"""Ends, states and amounts of sessions in words, in both languages."""

import re
from datetime import UTC, datetime

import pytest

from aaad.cli import session_words
from aaad.cli.options import Options
from aaad.cli.terminal import Terminal
from aaad.db.migrate import MIGRATIONS_DIRECTORY

ENGLISH, PORTUGUESE = (Terminal(Options(language=language), {}) for language in ("en", "pt"))
IN_ENGLISH, IN_PORTUGUESE = ENGLISH.speak, PORTUGUESE.speak


def test_every_evidence_that_the_database_knows_has_words():
    schema = (MIGRATIONS_DIRECTORY / "0009_sessions.sql").read_text()
    known = re.search(r"end_evidence IN \(([^)]*)\)", schema)
    assert known is not None
    assert set(session_words.EVIDENCE) == set(re.findall(r"'(\w+)'", known[1]))


@pytest.mark.parametrize("cause", range(1, 19))
def test_every_terminate_cause_of_rfc_2866_has_words_in_both_languages(cause):
    english, portuguese = (session_words.cause_text(speak, cause) for speak in (IN_ENGLISH, IN_PORTUGUESE))
    assert english
    assert portuguese != english
    assert english[english.index("(") :] == portuguese[portuguese.index("(") :]  # the standard's own name


def test_the_words_that_operators_use_for_causes():
    say = session_words.cause_text
    assert say(IN_PORTUGUESE, 1).startswith("desconectado pelo cliente")
    assert say(IN_PORTUGUESE, 2).startswith("perda de sinal")
    assert say(IN_PORTUGUESE, 6).startswith("derrubado pelo provedor")
    assert say(IN_PORTUGUESE, 11).startswith("concentrador reiniciou")
    assert say(IN_ENGLISH, None) == ""
    assert say(IN_ENGLISH, 99) == "cause 99"


def test_an_end_is_told_by_its_cause_or_by_what_tells_of_it():
    assert session_words.end_text(IN_ENGLISH, "stop", 2) == "signal lost (Lost-Carrier)"
    assert session_words.end_text(IN_ENGLISH, "stop", None) == "the concentrator said so (Stop)"
    assert session_words.end_text(IN_ENGLISH, "nas_restart", None) == "the concentrator restarted"
    assert session_words.end_text(IN_ENGLISH, None, None) == ""


def test_r5_1_an_instant_is_shown_in_the_sessions_zone_with_that_days_offset():
    summer, winter = datetime(2018, 12, 1, 12, 30, tzinfo=UTC), datetime(2018, 6, 1, 12, 30, tzinfo=UTC)
    assert session_words.instant_text(PORTUGUESE, summer, "America/Sao_Paulo") == "01/12/2018 10:30:00 -02:00"
    assert session_words.instant_text(PORTUGUESE, winter, "America/Sao_Paulo") == "01/06/2018 09:30:00 -03:00"
    assert session_words.instant_text(ENGLISH, winter, "America/Manaus") == "2018-06-01 08:30:00 -04:00"
    assert session_words.instant_text(ENGLISH, None, "America/Manaus") == ""


def test_amounts():
    assert session_words.octets_text(ENGLISH, 999) == "999 B"
    assert session_words.octets_text(ENGLISH, 1_500_000) == "1.50 MB"
    assert session_words.octets_text(PORTUGUESE, 10**12) == "1,00 TB"
    assert session_words.duration_text(ENGLISH, 3_599) == "00:59:59"
    assert session_words.duration_text(ENGLISH, 90_061) == "1 d 01:01:01"
