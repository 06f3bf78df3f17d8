"""The log: its shape, its limits, and that no secret, no whole CPF and no blocking ever comes out of it."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from aaad import log


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(log, "_limit", log.RateLimit())
    yield
    log.configure_log("info", "console")


def written(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_an_event_is_one_json_line_with_its_context(capsys):
    log.configure_log("info", "json", role="radius", slot=0)
    log.get_logger("radius").warning("request.dropped", cause="late", count=3)
    (event,) = written(capsys)
    assert event.pop("timestamp").endswith("Z")
    assert event == {
        "event": "request.dropped",
        "level": "warning",
        "room": "radius",
        "cause": "late",
        "count": 3,
        "role": "radius",
        "slot": 0,
    }


def test_the_level_holds_for_loggers_that_were_used_before_it_was_set(capsys):
    logger = log.get_logger("x")
    logger.info("a.b")
    log.configure_log("error", "json")
    logger.warning("a.c")
    logger.error("a.d")
    assert "a.b" in (text := capsys.readouterr().err)
    assert "a.c" not in text
    assert "a.d" in text


def test_text_for_people_is_one_line(capsys):
    log.configure_log("info", "console")
    log.get_logger("x").info("socket.opened", address="192.0.2.1", port=1812)
    assert capsys.readouterr().err.rstrip().endswith("info    socket.opened room='x' address='192.0.2.1' port=1812")


def test_our_bugs_are_logged_with_traceback(capsys):
    log.configure_log("info", "json")
    try:
        raise KeyError("boom")
    except KeyError:
        log.get_logger("x").exception("bug.found")
    (event,) = written(capsys)
    assert "Traceback" in str(event["exception"])
    assert event["level"] == "error"


@pytest.mark.parametrize(
    "keys",
    [
        {"password": "zyx"},
        {"User_Password": b"zyx"},
        {"secret_previous": "zyx"},
        {"dsn": "postgresql://aaad:zyx@db/x"},
        {"url": "postgresql://aaad:zyx@db/x"},
        {"error": "cannot connect to host=db password=zyx dbname=x"},
        {"nested": {"login": {"senha": "zyx"}}},
        {"request_authenticator": "zyx"},
        {"several": [{"token": "zyx"}]},
        {"deep": {"a": {"b": {"c": {"d": {"password": "zyx"}}}}}},
    ],
    ids=str,
)
@pytest.mark.parametrize("form", ["json", "console"])
def test_what_may_be_a_secret_is_blanked(capsys, keys, form):
    log.configure_log("info", form)
    log.get_logger("x").info("a.b", **keys)
    text = capsys.readouterr().err
    assert "a.b" in text
    assert "zyx" not in text


def test_an_exception_that_quotes_a_dsn_is_cleaned(capsys):
    log.configure_log("info", "json")
    try:
        raise OSError("cannot reach postgresql://aaad:zyx@db/x")
    except OSError:
        log.get_logger("x").exception("bug.found")
    assert "zyx" not in capsys.readouterr().err


def test_documents_are_masked(capsys):
    log.configure_log("info", "json")
    log.get_logger("x").info("a.b", document="52998224725", text="CPF 529.982.247-25 duplicado", client_cnpj=None)
    (event,) = written(capsys)
    assert event["document"] == "***982247**"
    assert event["text"] == "CPF ***.982.247-** duplicado"
    assert event["client_cnpj"] is None


def test_a_storm_of_one_event_is_limited_counted_and_told():
    now_s = 0.0
    limit = log.RateLimit(events_per_window=3, window_s=10.0, clock=lambda: now_s)
    assert [limit.admit("storm") for _ in range(5)] == [0, 0, 0, None, None]
    assert limit.admit("other") == 0
    now_s = 10.0
    assert limit.admit("storm") == 2
    assert limit.admit("storm") == 0
    assert limit.suppressed_total == 2


def test_what_was_left_out_before_a_silence_is_told_too():
    now_s = 0.0
    limit = log.RateLimit(events_per_window=1, window_s=10.0, clock=lambda: now_s)
    for _ in range(4):
        limit.admit("storm")
    assert limit.take_suppressed() == {}
    now_s = 11.0
    assert limit.take_suppressed() == {"storm": 3}
    assert limit.take_suppressed() == {}


def test_the_limiter_remembers_a_bounded_number_of_names():
    limit = log.RateLimit(events_per_window=1, names_max=4, clock=lambda: 0.0)
    admitted = [limit.admit(f"name{number}") for number in range(100)]
    assert admitted == [0, 0, 0, 0, 0, *[None] * 95]


def test_suppressed_events_are_said_in_the_log(capsys, monkeypatch):
    now_s = 0.0
    monkeypatch.setattr(log, "_limit", log.RateLimit(events_per_window=2, clock=lambda: now_s))
    log.configure_log("info", "json")
    for _ in range(7):
        log.get_logger("x").info("a.b")
    now_s = 60.0
    log.report_suppressed()
    events = written(capsys)
    assert [event["event"] for event in events] == ["a.b", "a.b", "log.suppressed"]
    assert (events[-1]["suppressed_event"], events[-1]["suppressed"]) == ("a.b", 5)


def test_libraries_are_heard(capsys):
    kept, level = logging.getLogger().handlers[:], logging.getLogger().level
    try:
        log.configure_log("info", "json")
        log.adopt_standard_logging()
        logging.getLogger("asyncio.x").error("Task was destroyed: %s", "dsn postgresql://a:zyx@b/c")
    finally:
        logging.getLogger().handlers[:] = kept
        logging.getLogger().setLevel(level)
    (event,) = [item for item in written(capsys) if item["room"] == "log"]
    assert event["event"] == "library.asyncio"
    assert event["message"] == "Task was destroyed: dsn postgresql://a:(blanked)@b/c"


FULL_PIPE = """
import sys
from aaad import log
log.configure_log("info", "json")
log._limit = log.RateLimit(events_per_window=10**6)
for number in range(2000):
    log.get_logger("x").info("a.b", text="y" * 200)
print(log._standard_error.dropped_total)
"""


def test_a_reader_that_stands_still_does_not_stop_us():
    read, write = os.pipe()
    try:
        done = subprocess.run(
            [sys.executable, "-c", FULL_PIPE], stdout=subprocess.PIPE, stderr=write, timeout=20, check=True
        )
        os.close(write)
        write = -1
        lines = b"".join(iter(lambda: os.read(read, 65536), b"")).splitlines()
    finally:
        os.close(read)
        if write >= 0:
            os.close(write)
    assert len(lines) + int(done.stdout) == 2000
    assert int(done.stdout) > 1000
    assert all(json.loads(line)["event"] == "a.b" for line in lines)
