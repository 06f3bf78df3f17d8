"""What a line's provider is asked, and what its answers mean."""

import json

import pytest

from aaad.orders.line_driver import (
    Driver,
    Line,
    Reply,
    State,
    is_accepted,
    reading_of,
    request_to_do,
    request_to_read,
)

SECRET = "token-9f8e7d6c"
LINE = Line(7, 3, "+55@sip:1")


def driver(**changes: object) -> Driver:
    row: dict[str, object] = {
        "kind": "mvno", "method": "POST", "url": "https://p.example/api/{identifier}?k={secret}",
        "headers": {"Authorization": "Basic {secret}"}, "secret": SECRET,
        "body": '{"id": "{identifier}", "status": "{code}", "n": {line_id}}',
        "codes": {"active": "A", "blocked": 'B"T'}, "is_toggle": False, "expected_statuses": (200,),
        "expected_pointer": "", "expected_text": "", "read_method": "GET",
        "read_url": "https://p.example/api/{identifier}", "read_body": None, "read_pointer": "/rows/0/a~1b",
        "meanings": {"A": "active", "BT": "blocked", "BP": "partial_or_loss", "BR": "theft"},
        "timeout_s": 5, "settle_s": 30, "verify_tls": True, "ca": "",
    }  # fmt: skip
    return Driver(**(row | changes))  # type: ignore[arg-type]


def test_what_is_put_in_is_encoded_for_its_place():
    request = request_to_do(driver(), LINE, "blocked")
    assert request is not None
    assert request.endpoint == ("p.example", 443)
    assert request.path == f"/api/%2B55%40sip%3A1?k={SECRET}"
    assert request.headers == {"Authorization": f"Basic {SECRET}", "Content-Type": "application/json"}
    assert json.loads(request.body or b"") == {"id": "+55@sip:1", "status": 'B"T', "n": 7}
    form = driver(headers={"Content-Type": "application/x-www-form-urlencoded"}, body="id={identifier}&s={code}")
    request = request_to_do(form, LINE, "blocked")
    assert request is not None
    assert request.body == b"id=%2B55%40sip%3A1&s=B%22T"


def test_what_no_code_stands_for_is_not_asked():
    assert request_to_do(driver(), LINE, "partial") is None
    assert request_to_do(driver(is_toggle=True), LINE, "partial") is None
    assert request_to_do(driver(is_toggle=True, codes={}), LINE, "blocked") is not None
    assert request_to_read(driver(read_url=""), LINE) is None


def test_nothing_shows_a_secret():
    request = request_to_do(driver(), LINE, "active")
    for shown in (repr(driver()), repr(request)):
        assert SECRET not in shown
        assert "p.example" not in shown


@pytest.mark.parametrize(
    ("status", "body", "changes", "accepted"),
    [
        (200, b"", {}, True),
        (201, b"", {}, False),
        (302, b"", {}, False),
        (200, b'{"type": "success"}', {"expected_pointer": "/type", "expected_text": "success"}, True),
        (200, b'{"type": "error"}', {"expected_pointer": "/type", "expected_text": "success"}, False),
        (200, b"<html>success", {"expected_pointer": "/type", "expected_text": "success"}, False),
        (200, b"it was a success", {"expected_text": "success"}, True),
        (200, b'{"ok": true}', {"expected_pointer": "/ok", "expected_text": "true"}, True),
        (200, b"[" * 60_000, {"expected_pointer": "/ok", "expected_text": "true"}, False),
    ],
)
def test_whether_it_says_yes(status, body, changes, accepted):
    assert is_accepted(driver(**changes), Reply(status, body)) is accepted


@pytest.mark.parametrize(
    ("made", "status", "body", "state"),
    [
        ((), 200, {"rows": [{"a/b": "A"}]}, State.ACTIVE),
        ((), 200, {"rows": [{"a/b": "BT"}]}, State.BLOCKED),
        ((), 200, {"rows": [{"a/b": "BR"}]}, State.THEFT),
        ((), 200, {"rows": [{"a/b": "BP"}]}, State.LOSS),
        (("partial",), 200, {"rows": [{"a/b": "BP"}]}, State.PARTIAL),
        (("active",), 200, {"rows": [{"a/b": "BP"}]}, State.LOSS),
        ((), 200, {"rows": [{"a/b": "??"}]}, None),
        ((), 200, {"rows": [{"a/b": ["A"]}]}, None),
        ((), 200, {"rows": []}, None),
        ((), 200, {"rows": None}, None),
        ((), 200, [], None),
        ((), 500, {"rows": [{"a/b": "A"}]}, None),
    ],
)
def test_what_an_answer_means(made, status, body, state):
    reading = reading_of(driver(), LINE._replace(made=made), Reply(status, json.dumps(body).encode()))
    assert reading.state is state


@pytest.mark.parametrize(
    ("body", "state"),
    [
        (b" A\r\n", State.ACTIVE),
        (b"status: BT.", State.BLOCKED),
        (b"BTA", None),
        (b"A or BT", None),
        (b"\xff\x00", None),
        (b"", None),
    ],
)
def test_a_text_that_has_one_of_the_meanings(body, state):
    assert reading_of(driver(read_pointer=""), LINE, Reply(200, body)).state is state


def test_what_is_kept_of_an_answer_is_short_and_has_no_secret():
    for said in (f"no {SECRET}", f"Basic {SECRET} x" * 10, "a\x1b[31m\n" * 30):
        reading = reading_of(driver(), LINE, Reply(200, json.dumps({"rows": [{"a/b": said}]}).encode()))
        assert SECRET not in reading.text
        assert len(reading.text) <= 40
        assert reading.text.isprintable()
