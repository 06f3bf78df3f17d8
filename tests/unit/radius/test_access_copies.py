"""Copies of a request (RFC 5080, 2.2.2), lateness from the first copy (R3.3), and requests that have to wait."""

import pytest
from access_world import CLASS_KEY, NOW_S, SOURCE, World, login, nas_row
from nas_double import SECRET, access_request, chap, checked, fresh_authenticator, is_signed_with

from aaad.policy.codes import Discard, Reason
from aaad.policy.grant import Decision
from aaad.radius import copies
from aaad.radius.access import REPLY_TTL_S
from aaad.radius.request import Pending
from aaad.replica.record import Tables

OLD = b"old secret"
TWO_SECRETS = [nas_row(secret_previous=OLD, secret_previous_until_s=NOW_S + 9)]


def ask_again(world: World, data: bytes, **when: object) -> object:
    """The answer to a copy; that nothing is decided or written down anew is checked on the way."""
    before = (world.counted_in_all(), len(world.journal))
    answer = world.answer(data, **when)
    assert (world.counted_in_all(), len(world.journal)) == before
    return answer


# --- copies ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("request_", [access_request(), access_request(password=b"x"), access_request(b"mallory")])
def test_a_copy_gets_the_same_octets(request_: bytes) -> None:
    world = World()
    first = world.answer(request_)
    assert ask_again(world, request_, now_s=NOW_S + 0.3) == first
    assert ask_again(world, request_, now_s=NOW_S + REPLY_TTL_S) == first
    assert (world.router.statistics.resent, world.path.copies.resent) == (2, 2)
    assert world.router.statistics.requests == 3


def test_a_copy_of_an_answered_request_is_answered_however_late() -> None:
    world = World()
    request = access_request()
    first = world.answer(request)
    assert ask_again(world, request, arrived_s=NOW_S + 0.5, now_s=NOW_S + 5) == first


def test_a_copy_after_its_time_is_a_new_request() -> None:
    world = World()
    request = access_request()
    world.answer(request)
    world.check_decided(request, Reason.GRANTED, now_s=NOW_S + REPLY_TTL_S + 0.1)


def test_another_authenticator_on_the_same_identifier_is_a_new_request() -> None:
    world = World()
    world.check_decided(access_request(), Reason.GRANTED)
    world.check_decided(access_request(password=b"wrong"), Reason.WRONG_PASSWORD)
    world.check_decided(access_request(), Reason.GRANTED)


def test_one_identifier_at_two_ports_is_two_requests() -> None:
    world = World()
    request = access_request()
    world.check_decided(request, Reason.GRANTED)
    world.check_decided(request, Reason.GRANTED, source=(SOURCE[0], 50_001))


def test_a_forged_copy_gets_silence_and_spoils_nothing() -> None:
    world = World()
    request = access_request()
    first = world.answer(request)
    forged = request[:-1] + bytes((request[-1] ^ 1,))
    world.check_silent(forged, Discard.BAD_MESSAGE_AUTHENTICATOR)
    other = access_request(secret=b"other")
    world.check_silent(other, Discard.BAD_MESSAGE_AUTHENTICATOR)
    assert ask_again(world, request) == first


def test_all_identifiers_are_remembered_apart() -> None:
    world = World()
    requests = [access_request(identifier=number) for number in range(256)]
    replies = [world.answer(request) for request in requests]
    assert len(set(replies)) == 256
    assert [world.answer(request) for request in requests] == replies


def test_a_copy_from_a_nas_that_was_disabled_since_gets_silence() -> None:
    world = World()
    request = access_request()
    world.answer(request)
    world.load(nases=[nas_row(enabled=False)])
    world.check_silent(request, Discard.NAS_DISABLED)


# --- R2.2: which secret ---------------------------------------------------------------------------------------------


def chap_request() -> bytes:
    """A request that proves no secret."""
    authenticator = fresh_authenticator()
    return access_request(password=None, signed=False, authenticator=authenticator, attributes=chap(authenticator))


def test_r2_2_a_copy_that_proves_nothing_is_answered_with_the_other_secret() -> None:
    world = World(nases=TWO_SECRETS)
    request = chap_request()
    first = world.answer(request)
    second, third, fourth = (ask_again(world, request, now_s=NOW_S + delay_s) for delay_s in (0.3, 0.6, 0.9))
    assert is_signed_with(first, request, SECRET)
    assert is_signed_with(second, request, OLD)
    assert (third, fourth) == (first, second)
    assert checked(second, request, OLD).attributes == checked(first, request).attributes


@pytest.mark.parametrize("session", [b"", b"\x2c\x0a81a00001"])
@pytest.mark.parametrize(("secret", "is_refused"), [(SECRET, False), (OLD, False), (OLD, True)])
def test_r2_2_a_copy_whose_password_proved_the_secret_gets_the_same_octets(
    secret: bytes, session: bytes, is_refused: bool
) -> None:
    world = World({b"alice": login(flags=0) if is_refused else login()}, nases=TWO_SECRETS)
    request = access_request(secret=secret, signed=False, attributes=session)
    first = world.answer(request)
    assert is_signed_with(first, request, secret)
    assert [ask_again(world, request, now_s=NOW_S + delay_s) for delay_s in (0.3, 0.6, 0.9)] == [first] * 3
    assert world.router.statistics.doubted_resent == 0


def test_r2_2_a_signed_copy_gets_the_secret_that_it_proves() -> None:
    world = World(nases=TWO_SECRETS)
    request = access_request(secret=OLD)
    first = world.answer(request)
    assert ask_again(world, request) == first
    assert is_signed_with(first, request, OLD)


@pytest.mark.parametrize("secret", [SECRET, OLD])
def test_r2_2_what_proves_nothing_is_answered_with_the_secret_proven_last(secret: bytes) -> None:
    world = World(nases=TWO_SECRETS)
    assert world.reply(access_request(secret=secret, signed=False), secret=secret).code == 2
    assert world.reply(chap_request(), secret=secret).code == 2
    assert world.reply(access_request(password=b"wrong", signed=False), secret=secret).code == 3


def test_r2_2_a_signature_proves_the_secret_for_what_comes_after() -> None:
    world = World(nases=[nas_row(message_authenticator="no", secret_previous=OLD, secret_previous_until_s=NOW_S + 9)])
    assert world.reply(access_request(secret=OLD), secret=OLD).code == 2
    assert world.reply(chap_request(), secret=OLD).code == 2


def test_an_ended_secret_is_tried_no_more() -> None:
    world = World(nases=TWO_SECRETS)
    world.reply(access_request(secret=OLD), secret=OLD)
    world.load(nases=TWO_SECRETS, now_s=NOW_S + 9)
    world.check_silent(access_request(secret=OLD), Discard.BAD_MESSAGE_AUTHENTICATOR)


# --- R3.3: late -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age_s", "deadline_ms", "is_late"), [(0.89, 900, False), (0.91, 900, True), (2, 3300, False)]
)
def test_r3_3_what_is_older_than_its_nas_waits_is_dropped(age_s: float, deadline_ms: int, is_late: bool) -> None:
    world = World(nases=[nas_row(deadline_ms=deadline_ms)])
    if is_late:
        world.check_silent(access_request(), Discard.LATE, arrived_s=NOW_S - age_s)
    else:
        world.check_decided(access_request(), Reason.GRANTED, arrived_s=NOW_S - age_s)


def test_r3_3_the_deadline_runs_from_the_first_copy() -> None:
    world = World()
    request = access_request()
    world.check_silent(request, Discard.LATE, arrived_s=NOW_S - 1)
    world.check_silent(request, Discard.LATE, arrived_s=NOW_S, now_s=NOW_S)
    world.check_decided(access_request(), Reason.GRANTED, arrived_s=NOW_S, now_s=NOW_S)


def test_r3_3_that_a_request_was_late_is_remembered() -> None:
    world = World()
    request = access_request()
    world.check_silent(request, Discard.LATE, arrived_s=NOW_S - 1)
    world.path.tick(NOW_S + 0.5)
    world.check_silent(request, Discard.LATE, now_s=NOW_S + 0.6)


def test_late_requests_are_counted_at_their_router() -> None:
    world = World()
    world.answer(access_request())
    world.answer(access_request(), arrived_s=NOW_S - 1)
    assert world.router.statistics.late == 1


def test_a_clock_that_was_set_back_makes_nothing_late() -> None:
    World().check_decided(access_request(), Reason.GRANTED, arrived_s=NOW_S + 3600)


def test_in_a_backlog_each_source_has_its_share_and_all_strangers_together_have_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(copies, "_BACKLOG_ANSWERS_PER_S", 10)
    world = World(nases=[nas_row(address="192.0.2.0/24")])
    piled_up = {"arrived_s": NOW_S - 0.5}
    forged = access_request(b"mallory", signed=False, secret=b"other")

    def decided(times: int, source: tuple = SOURCE) -> None:
        for _ in range(times):
            world.check_decided(access_request(), Reason.GRANTED, source=source, **piled_up)

    world.check_decided(access_request(), Reason.GRANTED)
    decided(1)
    dropped = [
        world.answer(forged, source=(f"192.0.2.{n}", 1), **piled_up) is Discard.OVERLOAD for n in range(50, 90)
    ]
    assert dropped == [False] * 9 + [True] * 31
    decided(4)
    world.check_silent(forged, Discard.OVERLOAD, source=("192.0.2.90", 1), **piled_up)
    assert [world.answer(access_request(), **piled_up) for _ in range(9)][-1] is Discard.OVERLOAD
    world.check_decided(access_request(), Reason.GRANTED)
    world.path.tick(NOW_S + 1)
    decided(12)


# --- waiting --------------------------------------------------------------------------------------------------------


def waiting_world() -> World:
    """A world where alice's grants have to be claimed and bob's not."""
    logins = {b"alice": login(), b"bob": login(login_id=8, contract_id=9)}
    return World(logins, must_wait=lambda facts, _: facts.login_id == 1)


def finish(world: World, pending: Pending, decision: Decision | None = None, now_s: float = NOW_S + 0.2) -> object:
    """The reply to a request that waited, by its own decision or by another."""
    decided = pending if decision is None else pending._replace(decision=decision)
    return world.path.finish(*decided, now_s)


def test_only_what_has_to_wait_waits() -> None:
    world = waiting_world()
    world.check_decided(access_request(b"bob"), Reason.GRANTED, subject=8)
    world.check_decided(access_request(password=b"wrong"), Reason.WRONG_PASSWORD)
    before = (world.counted_in_all(), len(world.journal))
    pending = world.pending(access_request())
    assert (world.counted_in_all(), len(world.journal)) == before
    assert pending.decision.reason is Reason.GRANTED


def test_what_waited_ends_like_what_did_not() -> None:
    world = waiting_world()
    request = access_request()
    reply = checked(finish(world, world.pending(request)), request)
    assert reply.code == 2
    assert world.counted(Reason.GRANTED) == 1
    assert world.explained().queued_s == pytest.approx(0.2, abs=1e-5)
    assert ask_again(world, request) == world.answer(request)


def test_what_waited_may_be_refused_in_the_end() -> None:
    world = waiting_world()
    request = access_request()
    refusal = Decision(Reason.PLAN_MISSING, None, 0.0)
    assert checked(finish(world, world.pending(request), refusal), request).code == 3
    assert world.explained().reason is Reason.PLAN_MISSING


def test_a_plan_that_goes_while_its_login_waits_is_a_refusal_with_its_reason() -> None:
    world = waiting_world()
    request = access_request()
    pending = world.pending(request)
    world.path.load(Tables(2, [nas_row()], [], [], [], CLASS_KEY, 1), NOW_S)
    assert checked(finish(world, pending), request).code == 3
    assert world.explained().reason is Reason.PLAN_MISSING


def test_copies_join_the_one_in_work() -> None:
    world = waiting_world()
    request = access_request()
    pending = world.pending(request)
    for delay_s in (0.1, 0.3, 0.8):
        assert ask_again(world, request, now_s=NOW_S + delay_s) is Discard.DUPLICATE_IN_WORK
    reply = finish(world, pending)
    assert ask_again(world, request, now_s=NOW_S + 0.9) == reply


def test_r3_1_when_a_claim_was_impossible_the_next_copy_tries_again_within_the_same_deadline() -> None:
    world = waiting_world()
    request = access_request()
    world.path.copies.give_up(world.pending(request).request)
    again = world.pending(request, now_s=NOW_S + 0.3)
    assert again.request.arrived_s == NOW_S, "the deadline still runs from the first copy"
    world.path.copies.give_up(again.request)
    world.check_silent(request, Discard.LATE, now_s=NOW_S + 0.95)


def test_an_identifier_that_was_used_anew_is_awaited_no_more() -> None:
    world = waiting_world()
    pending = world.pending(access_request(identifier=7))
    assert world.path.copies.is_awaited(pending.request)
    other = access_request(b"bob", identifier=7)
    reply = world.answer(other)
    assert not world.path.copies.is_awaited(pending.request)
    world.path.copies.give_up(pending.request)
    assert ask_again(world, other) == reply
