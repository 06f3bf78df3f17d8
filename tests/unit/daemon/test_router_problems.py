"""Which problem a router's counts amount to, and that it ends when it was put right (R2.2, R2.3, R10)."""

import pytest

from aaad.daemon.router_facts import RouterFacts
from aaad.daemon.router_problems import PROBLEMS_MAX, ProblemKind, find_router_problems

NOW_S = 10_000.0
SILENT_SINCE = {"last_heard_s": NOW_S - 600}


def router(**changes: object) -> RouterFacts:
    plain: dict[str, object] = {
        "slot": "radius-0",
        "nas_id": 1,
        "nas": "bras",
        "source_address": "192.0.2.1",
        "nas_identifier": "id",
        "armed": False,
        "last_heard_s": NOW_S - 1,
    }
    return RouterFacts(**{**plain, **changes})  # type: ignore[arg-type]


def bad(at_s: float, **changes: object) -> RouterFacts:
    return router(bad_authenticators=4, bad_authenticators_at_s=at_s, **changes)


def unsigned(at_s: float, **changes: object) -> RouterFacts:
    plain = {"armed": True, "unsigned_dropped": 4, "unsigned_dropped_at_s": at_s, **SILENT_SINCE}
    return router(**{**plain, **changes})


def doubted(accepts: int, resent: int, **changes: object) -> RouterFacts:
    plain: dict[str, object] = {
        "proven": False,
        "doubted_accepts": accepts,
        "doubted_resent": resent,
        "doubted_at_s": NOW_S - 40,
        "accepts_without_start": accepts,
        "without_start_at_s": NOW_S - 40,
        "granted": accepts,
    }
    return router(**{**plain, **changes})


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (router(granted=9, resent=9, late=9), None),
        (bad(NOW_S - 100, **SILENT_SINCE), ProblemKind.WRONG_SECRET),
        (bad(NOW_S - 100), None),  # put right: proven since
        (bad(NOW_S - 10), ProblemKind.WRONG_SECRET),  # good and bad side by side
        (bad(NOW_S - 100, proven=False), ProblemKind.WRONG_SECRET),  # what is heard of a mere address proves nothing
        (bad(NOW_S - 100, proven=False, proven_at_s=NOW_S - 50), None),
        (bad(NOW_S - 4000, proven=False), None),
        (unsigned(NOW_S - 100), ProblemKind.UNSIGNED),
        (unsigned(NOW_S - 100, armed=False), None),  # an operator freed it
        (unsigned(NOW_S - 100, last_heard_s=NOW_S - 1), None),  # it signs again
        (doubted(3, 6), ProblemKind.SECRET_SEEMS_WRONG),
        (doubted(2, 6), None),
        (doubted(0, 0, unreadable_passwords=1, accepts_without_start=0), ProblemKind.SECRET_SEEMS_WRONG),
        (doubted(0, 0, unreadable_passwords=1, proven_at_s=NOW_S - 5), None),
        (doubted(0, 0, unreadable_passwords=1, proven=True), None),  # heard since: a forger, or another router
        (doubted(3, 0), ProblemKind.NO_ACCOUNTING),
        (doubted(3, 0, accounting_bad_authenticators=2), ProblemKind.SECRET_SEEMS_WRONG),
        (doubted(3, 6, proven_at_s=NOW_S - 5, accounting_heard=1), None),
        (doubted(3, 6, doubted_at_s=NOW_S - 4000, without_start_at_s=NOW_S - 4000), None),
        (doubted(0, 0, accepts_without_start=3, starts_unmatched=2), None),
        (doubted(0, 0, accepts_without_start=10, accounting_heard=5), ProblemKind.SESSIONS_MISSING),
        (doubted(0, 0, accepts_without_start=10, accounting_heard=5, granted=500), None),
        (doubted(0, 0, accepts_without_start=9, accounting_heard=5), None),
        (
            router(accounting_bad_authenticators=4, bad_authenticators_at_s=NOW_S - 99, **SILENT_SINCE),
            ProblemKind.WRONG_SECRET,
        ),
    ],
)
def test_r10_the_problem_that_the_counts_amount_to(found: RouterFacts, kind: ProblemKind | None) -> None:
    assert [problem.kind for problem in find_router_problems([found], NOW_S)] == ([kind] if kind else [])


def test_r10_the_slots_of_a_node_are_one_witness() -> None:
    heard_here = doubted(5, 10, proven=True, last_heard_s=NOW_S - 300)
    heard_there = router(slot="radius-1", accounting_heard=9, starts_unmatched=5, last_heard_s=NOW_S - 1)
    assert find_router_problems([heard_here, heard_there], NOW_S) == []
    (told,) = find_router_problems([heard_here], NOW_S)
    assert (told.count, told.resent) == (5, 10)


def test_the_worst_of_each_kind_are_told() -> None:
    many = [bad(NOW_S - 5, source_address=f"192.0.2.{number}") for number in range(50)]
    worst = router(bad_authenticators=99, bad_authenticators_at_s=NOW_S - 5, source_address="198.51.100.1")
    told = find_router_problems([*many, unsigned(NOW_S - 5, source_address="203.0.113.1"), worst], NOW_S)
    assert [problem.kind for problem in told].count(ProblemKind.WRONG_SECRET) == PROBLEMS_MAX
    assert told[0].source_address == "198.51.100.1"
    assert told[-1].kind is ProblemKind.UNSIGNED
