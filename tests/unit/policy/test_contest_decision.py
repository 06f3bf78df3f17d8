"""R5.4: of devices that were pushing each other out only the one that was first gets in, for a while."""

from math import inf

from policy_facts import MAC, NOON_S, POLICY, Request, decided, login, with_extras

from aaad.policy.codes import AccessStatus, LoginFlag, Reason

UNTIL_S = int(NOON_S) + 600
CONTESTED = with_extras(contest_until_s=UNTIL_S, contest_mac=MAC)
OTHER, UNNAMED = Request(mac=MAC + 1), Request(mac=0)


def test_r5_4_the_first_device_gets_in_and_others_do_not() -> None:
    granted = decided(facts=login(extras=CONTESTED), asked=Request(mac=MAC))
    assert (granted.reason, granted.until_s) == (Reason.GRANTED, UNTIL_S)
    for other in (OTHER, UNNAMED):
        refused = decided(facts=login(extras=CONTESTED), asked=other)
        assert (refused.reason, refused.grant, refused.until_s) == (Reason.IN_USE_ELSEWHERE, None, UNTIL_S)


def test_r5_4_it_ends_by_itself() -> None:
    over = with_extras(contest_until_s=int(NOON_S), contest_mac=MAC)
    decision = decided(facts=login(extras=over), asked=OTHER)
    assert (decision.reason, decision.until_s) == (Reason.GRANTED, inf)


def test_r5_4_who_is_blocked_is_told_so_and_let_into_the_blocked_state() -> None:
    blocked = login(extras=CONTESTED, access_status=AccessStatus.BLOCKED_MANUALLY)
    assert decided(facts=blocked, asked=OTHER).reason is Reason.BLOCKED_MANUALLY
    policy = POLICY._replace(blocked_state=True)
    assert decided(facts=blocked, asked=OTHER, policy=policy).reason is Reason.GRANTED_BLOCKED


def test_a_binding_to_another_device_is_told_first() -> None:
    bound = login(extras=CONTESTED, mac=MAC)
    bound = bound._replace(flags=bound.flags | LoginFlag.MAC_BIND)
    assert decided(facts=bound, asked=OTHER).reason is Reason.DEVICE_NOT_ALLOWED
