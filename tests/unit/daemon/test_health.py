"""The verdict on the roles: tables of evidence over time, one line a round."""

from aaad.daemon.health import Health, Verdict, Witness, mirrors_away

BEAT = "aaad_role_heartbeat_seconds"
ANSWERED = "aaad_radius_answered_total"
LACKED = "aaad_radius_discarded_total|cause=no_replica"
LATE = "aaad_radius_discarded_total|cause=late"


def radius(pid: int = 1, *, beat: int = 0, answered: int = 0, lacked: int = 0, late: int = 0) -> Witness:
    counters = {BEAT: beat, ANSWERED: answered, LACKED: lacked, LATE: late}
    return Witness(slot="radius-0", pid=pid, serves_radius=True, silence_limit_s=5.0, counters=counters)


def sync(pid: int = 2, *, beat: int = 0) -> Witness:
    return Witness(slot="sync-0", pid=pid, serves_radius=False, silence_limit_s=60.0, counters={BEAT: beat})


def judge(health: Health, now_s: float, *witnesses: Witness, unanswered: int = 0, asked: int = 1) -> Verdict:
    return health.judge(witnesses, asked=asked, unanswered=unanswered, now_s=now_s)


def test_answers_to_our_questions_make_a_healthy_node():
    verdict = judge(Health(), 0.0, radius(), sync())
    assert verdict.is_healthy
    assert verdict.is_answering


def test_no_answer_is_no_health():
    assert not judge(Health(), 0.0, radius(), unanswered=1).is_healthy


def test_nobody_was_asked_and_nobody_lives():
    assert not judge(Health(), 0.0, asked=0).is_healthy


def test_answers_to_others_count_while_our_questions_drown_in_a_flood():
    health = Health()
    judge(health, 0.0, radius(beat=1, answered=10), unanswered=1)
    assert judge(health, 1.0, radius(beat=2, answered=5000), unanswered=1).is_answering


def test_silence_for_want_of_a_replica_is_healthy_and_told():
    """Rule R3.1 keeps radius silent then; killing it would bring no replica."""
    health = Health()
    for second in range(200):
        verdict = judge(health, second, radius(beat=second, lacked=second), unanswered=1)
        assert verdict.hung == ()
    assert verdict.is_healthy
    assert verdict.lacks_replica
    assert not verdict.is_answering


def hung_after_s(health: Health, witnesses) -> int | None:
    """Return the second in which something is first found hung; `witnesses(second)` gives the evidence."""
    for second in range(300):
        found, unanswered = witnesses(second)
        if judge(health, float(second), *found, unanswered=unanswered).hung:
            return second
    return None


def test_a_stopped_process_is_found_by_its_loop():
    assert hung_after_s(Health(), lambda second: ([radius(beat=min(second, 10), answered=min(second, 10))], 1)) == 16


def test_a_process_that_never_began_has_the_grace_of_a_start():
    assert hung_after_s(Health(), lambda second: ([radius(beat=77)], 1)) == 16


def test_a_process_that_turns_and_reads_nothing_is_found_by_our_questions():
    def deaf(second: int):
        return [radius(beat=second, answered=min(second, 20))], int(second > 20)

    assert hung_after_s(Health(), deaf) == 27


def test_a_flooded_process_that_works_hard_is_not_hung():
    assert hung_after_s(Health(), lambda second: ([radius(beat=second, late=second * 1000)], 1)) is None


def test_a_slow_start_after_the_first_sign_of_life_is_not_hung_at_once():
    def slow(second: int):
        return [radius(beat=max(0, second - 10), answered=max(0, second - 14))], int(second < 15)

    assert hung_after_s(Health(), slow) is None


def test_a_pause_of_the_whole_machine_proves_nothing():
    """A virtual machine that was stopped for minutes finds everybody silent, ourselves included."""
    health = Health()
    for second in range(5):
        judge(health, second, radius(beat=second, answered=second))
    assert judge(health, 600.0, radius(beat=4, answered=4), unanswered=1).hung == ()
    assert judge(health, 601.0, radius(beat=600, answered=5)).hung == ()


def test_another_role_has_its_own_patience():
    assert hung_after_s(Health(), lambda second: ([radius(beat=second), sync(beat=min(second, 3))], 0)) == 64


def test_a_new_process_begins_with_a_clean_record():
    def restarted(second: int):
        return [radius(pid=second // 5, beat=second if second % 5 else 0)], 1

    assert hung_after_s(Health(), restarted) is None


def test_a_role_that_is_not_running_is_not_judged():
    health = Health()
    judge(health, 0.0, radius(beat=1), sync(beat=1))
    verdict = judge(health, 500.0, radius(beat=500))
    assert verdict.hung == ()
    assert verdict.is_healthy


def test_a_mirror_that_is_away_is_told_and_makes_nobody_unhealthy() -> None:
    wanted, stage = "aaad_spool_mirror_wanted", "aaad_spool_mirror_stage"
    away, near, none = (
        Witness(slot=slot, pid=1, serves_radius=True, silence_limit_s=5.0, counters=counters)
        for slot, counters in (
            ("radius-0", {BEAT: 1, wanted: 1, stage: 0}),
            ("radius-1", {BEAT: 1, wanted: 1, stage: 1}),
            ("radius-2", {BEAT: 1, stage: 0}),
        )
    )
    assert mirrors_away([away, near, none]) == ["radius-0"]
    assert judge(Health(), 0.0, away).is_healthy
