"""Batches and resyncs against a model: whatever changes in whatever order, the store's sums and names stay true."""

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aaad.policy.codes import AccessStatus, ContractStatus, LoginFlag
from aaad.policy.facts import LoginFacts, PhaseFacts, PlanFacts, Speed
from aaad.replica.apply import Access, apply_logins, keep_named_plans, merge_nases, recent_cut_offs
from aaad.replica.batch import Batch, write_batch
from aaad.replica.brake import Acceptance, BrakeLimits, gives_access, terms_of
from aaad.replica.compile import CompiledLogin, LoginChange, facts_of
from aaad.replica.layout import LostNas, ReplicaMeta
from aaad.replica.rebuild import Exemptions, Rebuild
from aaad.replica.record import NasRow, Tables, encode, login_id_of
from aaad.replica.store import Generation, ReplicaWriter

MAP_SIZE = 1 << 26
NO_BRAKE = BrakeLimits(minimum_count=10**6)
TIGHT = BrakeLimits(share=0.0, minimum_count=2)
TABLES = Tables(1, [], [], [PlanFacts(1, "plan", Speed("1M", "1M"), 0, 0, 0)], [], b"k" * 16, 1)
TERMS = terms_of(TABLES, 1000.0)
ACCESS = Access(TERMS, TERMS)
ACCEPTED = Acceptance(changed_logins=frozenset(), has_nas_changes=False, has_term_changes=False, covers_unseen=False)


def compiled(login_id: int, name: str, *, has_access: bool = True, password: bytes = b"p") -> CompiledLogin:
    status = AccessStatus.ACTIVE if has_access else AccessStatus.DISABLED
    flags = LoginFlag.LOGIN_ACTIVE | LoginFlag.CLIENT_ACTIVE
    facts = LoginFacts(
        login_id, 1, 1, 1, 1, flags, ContractStatus.ACTIVE, status, 0, nt_hash=b"n" * 16, password=password
    )
    digest = hash((login_id, name, has_access, password)) & (2**64 - 1)
    return CompiledLogin(login_id, digest, name.encode(), encode(facts), "")


rows = st.builds(
    compiled,
    st.integers(1, 6),
    st.sampled_from("abcdefgh"),
    has_access=st.booleans(),
    password=st.sampled_from([b"p", b"q"]),
)
own_names = st.builds(
    lambda login_id, letter, has_access, password: compiled(
        login_id, f"{letter}{login_id}", has_access=has_access, password=password
    ),
    st.integers(1, 6),
    st.sampled_from("ab"),
    st.booleans(),
    st.sampled_from([b"p", b"q"]),
)


def batches_of(some_rows: st.SearchStrategy[CompiledLogin]) -> st.SearchStrategy[list[list[LoginChange]]]:
    changes = st.one_of(
        st.builds(lambda row, is_exempt: LoginChange(row.login_id, row, is_exempt), some_rows, st.booleans()),
        st.builds(LoginChange, st.integers(1, 6), st.none(), st.booleans()),
    )
    return st.lists(st.lists(changes, max_size=6, unique_by=lambda change: change.login_id), max_size=10)


ways = st.lists(st.sampled_from(["poll", "poll", "resync", "accept", "accepted resync"]), min_size=10, max_size=10)


class Replica:
    """A store, driven as the feed drives it, beside a model of PostgreSQL."""

    def __init__(self, writer: ReplicaWriter, limits: BrakeLimits) -> None:
        self.writer = writer
        self.limits = limits
        self.database: dict[int, CompiledLogin] = {}
        self.now_s = 1000.0
        self.meta = self.resync()

    def resync(self, *, is_accepted: bool = False, fresh: bool = False) -> ReplicaMeta:
        old = self.writer.current
        built = self.writer.build()
        exemptions = Exemptions(acceptance=ACCEPTED if is_accepted else None)
        rebuild = Rebuild(None if fresh else old, built, exemptions, TABLES, self.limits, self.now_s)
        ordered = [self.database[login_id] for login_id in sorted(self.database)]
        for start in range(0, len(ordered), 2):
            rebuild.add(ordered[start : start + 2])
        applied = rebuild.finish(self.limits, 1000.0)
        with built.write() as write:
            write.put_tables(rebuild.tables(self.limits, 1000.0, keeps_lost=False).tables)
            self.meta = ReplicaMeta("1:1:", "1/1", "1", applied.count, applied.digest, 0.0, 1)
            write.put_meta(self.meta)
        self.writer.swap(built)
        self.retry(applied.retry_ids)
        return self.meta

    def retry(self, login_ids: tuple[int, ...]) -> None:
        if login_ids:
            self.poll([LoginChange(login_id, self.database.get(login_id), False) for login_id in login_ids])

    def poll(self, batch: list[LoginChange], *, is_accepted: bool = False) -> None:
        for change in batch:
            if change.row is None:
                self.database.pop(change.login_id, None)
            else:
                self.database[change.login_id] = change.row
        assert self.writer.current is not None
        acceptance = ACCEPTED if is_accepted else None
        wanted = Batch(snapshot="1:1:", changes=batch, tables=None, acceptance=acceptance)
        written = write_batch(self.writer.current, self.meta, wanted, self.limits, self.now_s)
        self.meta = written.meta
        self.retry(written.retry_ids)

    def check_stored(self) -> None:
        assert self.writer.current is not None
        with self.writer.current.read() as read:
            pending = {login_id: read.pending(login_id) for login_id in read.pending_ids()}
            sources = dict(read.sources())
            served = {source.name: login_id for login_id, source in sources.items() if source.name}
            problems = read.problems()
            for name, login_id in served.items():
                record = read.record(name)
                assert record is not None
                assert login_id_of(record) == login_id
            for login_id, held in pending.items():
                assert held is not None
                row = self.database.get(login_id)
                assert (held.digest, held.name) == ((row.digest, row.name) if row else (0, b""))
        total = 0
        for row in self.database.values():
            total ^= row.digest
        assert (self.meta.count, self.meta.digest) == (len(self.database), total)
        names = [row.name for row in self.database.values()]
        for login_id, row in self.database.items():
            if login_id in pending or login_id in problems:
                continue
            assert served[row.name] == login_id
        for login_id in set(problems) - set(pending):
            assert names.count(self.database[login_id].name) > 1  # only a clash of names leaves a row out here
        assert set(sources) >= set(self.database) - set(pending)


@contextmanager
def replica(tmp_path_factory: pytest.TempPathFactory, limits: BrakeLimits) -> Iterator[Replica]:
    writer = ReplicaWriter(tmp_path_factory.mktemp("replica"), MAP_SIZE)
    writer.open()
    try:
        yield Replica(writer, limits)
    finally:
        writer.close()


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([NO_BRAKE, TIGHT]), batches_of(rows), ways)
def test_sums_and_names_stay_true(
    tmp_path_factory: pytest.TempPathFactory, limits: BrakeLimits, batches: list[list[LoginChange]], how: list[str]
) -> None:
    with replica(tmp_path_factory, limits) as subject:
        for batch, way in zip(batches, how, strict=False):
            if way == "poll":
                subject.poll(batch)
            elif way == "accept":
                subject.poll(batch, is_accepted=True)
            else:
                for change in batch:
                    if change.row is None:
                        subject.database.pop(change.login_id, None)
                    else:
                        subject.database[change.login_id] = change.row
                subject.resync(is_accepted=way == "accepted resync")
            subject.check_stored()


@settings(max_examples=60, deadline=None)
@given(st.lists(own_names, max_size=6, unique_by=lambda row: row.login_id), batches_of(own_names))
def test_the_brake_never_lets_more_than_its_limit_lose_access(
    tmp_path_factory: pytest.TempPathFactory, first: list[CompiledLogin], batches: list[list[LoginChange]]
) -> None:
    with replica(tmp_path_factory, TIGHT) as subject:
        subject.database = {row.login_id: row for row in first}
        subject.resync(fresh=True)
        lost: set[int] = set()
        for batch in batches:
            before = _with_access(subject)
            exempt = {change.login_id for change in batch if change.is_exempt}
            subject.poll(batch)
            after = _with_access(subject)
            lost |= before - after - exempt
            lost -= after
            assert len(lost) <= TIGHT.minimum_count


def _with_access(subject: Replica) -> set[int]:
    assert subject.writer.current is not None
    with subject.writer.current.read() as read:
        return {
            login_id
            for login_id, source in read.sources()
            if source.name and gives_access(facts_of(read.record(source.name)), TERMS)
        }


def test_names_change_hands_within_one_batch(tmp_path_factory: pytest.TempPathFactory) -> None:
    with replica(tmp_path_factory, NO_BRAKE) as subject:
        subject.poll([LoginChange(number, compiled(number, "abc"[number - 1]), False) for number in (1, 2, 3)])
        subject.poll([LoginChange(1, compiled(1, "b"), False), LoginChange(2, compiled(2, "a"), False)])
        subject.check_stored()
        assert subject.writer.current is not None
        with subject.writer.current.read() as read:
            assert [login_id_of(read.record(name) or b"") for name in (b"a", b"b")] == [2, 1]


def device(login_id: int, mac: int, *, is_mac_login: bool = True, is_deleted: bool = False) -> LoginChange:
    """A login that is found by its device's address."""
    flags = LoginFlag.LOGIN_ACTIVE | LoginFlag.CLIENT_ACTIVE
    flags |= LoginFlag.IS_MAC_LOGIN if is_mac_login else 0
    flags |= LoginFlag.LOGIN_DELETED if is_deleted else 0
    facts = LoginFacts(login_id, 1, 1, 1, 1, flags, ContractStatus.ACTIVE, AccessStatus.ACTIVE, 0, mac)
    facts = facts._replace(nt_hash=b"n" * 16)
    row = CompiledLogin(login_id, login_id, b"login%d" % login_id, encode(facts), "")
    return LoginChange(login_id, row, True)


A, B, C = (number.to_bytes(6, "big") for number in (1, 2, 3))


@pytest.mark.parametrize(
    ("batches", "aliases"),
    [
        ([[device(1, 1), device(2, 2)]], {A: b"login1", B: b"login2"}),
        (
            [[device(1, 1), device(2, 2)], [device(1, 2), device(2, 1)]],
            {A: b"login2", B: b"login1"},
        ),  # they change places
        ([[device(1, 1)], [device(2, 1), device(1, 3)]], {A: b"login2", C: b"login1"}),  # the taker before the giver
        ([[device(1, 1)], [device(1, 3), device(2, 1)]], {A: b"login2", C: b"login1"}),
        ([[device(1, 1)], [device(1, 1, is_mac_login=False)]], {}),
        ([[device(1, 1)], [device(1, 1, is_deleted=True), device(2, 1)]], {A: b"login2"}),
        ([[device(1, 1)], [device(2, 1), LoginChange(1, None, True)]], {A: b"login2"}),
        ([[device(1, 1)], [LoginChange(1, None, True)]], {}),
        ([[device(1, 1)], [device(1, 1)]], {A: b"login1"}),
    ],
)
def test_r3_4_a_device_leads_to_the_login_that_has_it(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[LoginChange]], aliases: dict[bytes, bytes]
) -> None:
    with replica(tmp_path_factory, NO_BRAKE) as subject:
        for batch in batches:
            subject.poll(batch)
        assert subject.writer.current is not None
        with subject.writer.current.read() as read:
            assert read.aliases() == aliases


def test_a_held_login_gives_way_to_the_new_owner_of_its_name(tmp_path_factory: pytest.TempPathFactory) -> None:
    with replica(tmp_path_factory, BrakeLimits(share=0, minimum_count=1)) as subject:
        subject.poll([LoginChange(number, compiled(number, "abc"[number - 1]), False) for number in (1, 2, 3)])
        subject.poll([LoginChange(number, None, False) for number in (1, 2, 3)])
        subject.poll([LoginChange(4, compiled(4, "a"), False)])
        subject.check_stored()
        assert subject.writer.current is not None
        with subject.writer.current.read() as read:
            assert login_id_of(read.record(b"a") or b"") == 4
            assert login_id_of(read.record(b"b") or b"") == 2
            assert read.pending_ids() == [1, 2, 3]


def test_a_batch_that_fails_leaves_everything_as_it_was(tmp_path_factory: pytest.TempPathFactory) -> None:
    generation = Generation(tmp_path_factory.mktemp("store"), MAP_SIZE)
    good = LoginChange(1, compiled(1, "a"), False)
    bad = LoginChange(2, compiled(2, "b")._replace(record="text"), False)  # type: ignore[arg-type]  our own bug
    with pytest.raises(TypeError), generation.write() as write:
        apply_logins(write, [good, bad], count=0, digest=0, access=ACCESS, limits=NO_BRAKE, now_s=0.0)
    with generation.read() as read:
        assert read.record(b"a") is None
    generation.close()


def nas(nas_id: int, address: str, *, enabled: bool = True) -> NasRow:
    return NasRow(nas_id, f"nas{nas_id}", address, b"s", b"", 0.0, "mikrotik", enabled, "auto", 900, 0)


def plan(plan_id: int) -> PlanFacts:
    return PlanFacts(plan_id, f"plan{plan_id}", Speed("1M", "1M"), 0, 0, 0)


def merge(served: Tables, fresh: Tables, **how: object) -> object:
    settings = {"held": (), "lost_before": (), "limits": BrakeLimits(), "now_s": 1000.0} | how
    return merge_nases(served, fresh, **settings)  # type: ignore[arg-type]


def of_nases(*rows: NasRow) -> Tables:
    return Tables(1, list(rows), [], [], [], b"", 1)


def test_a_held_entry_stays_beside_the_new_ones() -> None:
    served = of_nases(nas(1, "a"), nas(2, "b"), nas(3, "c"))
    merged = merge(served, of_nases(nas(3, "c"), nas(4, "d"), nas(1, "e")))
    assert [(row.nas_id, row.address) for row in merged.tables.nases] == [(1, "a"), (2, "b"), (3, "c"), (4, "d")]
    assert (merged.held_nases, merged.lost_nases) == (("a", "b"), ())
    healed = merge(merged.tables, served, held=("a", "b"))
    assert (healed.held_nases, healed.tables.nases) == ((), served.nases)


def test_an_old_secret_is_put_back_within_a_day_without_a_hold() -> None:
    old = of_nases(*(nas(number, f"n{number}") for number in (1, 2)))
    wrong, third = (
        of_nases(*(msgspec.structs.replace(row, secret=secret) for row in old.nases)) for secret in (b"w", b"z")
    )
    lost_before = tuple(LostNas(row, 1000.0 - 80_000) for row in old.nases)
    repaired = merge(wrong, old, lost_before=lost_before)
    assert (repaired.tables.nases, repaired.held_nases, repaired.lost_nases) == (old.nases, (), ())
    assert merge(wrong, third, lost_before=lost_before).held_nases == ("n1", "n2")
    assert merge(wrong, old).held_nases == ("n1", "n2")


def test_a_single_loss_passes_while_others_are_held() -> None:
    served = of_nases(*(nas(number, f"n{number}") for number in range(1, 6)))
    merged = merge(served, of_nases(nas(4, "n4"), nas(5, "n5", enabled=False)), held=("n1", "n2", "n3"))
    assert merged.held_nases == ("n1", "n2", "n3")
    assert [row.enabled for row in merged.tables.nases] == [True, True, True, True, False]
    assert [entry.nas.address for entry in merged.lost_nases] == ["n5"]


def test_the_window_of_the_entries_ends_and_what_serves_again_leaves_it() -> None:
    lost = (LostNas(nas(1, "a"), 900.0), LostNas(nas(2, "b"), 5000.0))
    served = of_nases(nas(3, "c"), nas(4, "d"))
    assert merge(served, of_nases(nas(4, "d")), lost_before=lost).held_nases == ("c",)
    back = merge(served, of_nases(nas(1, "a"), nas(2, "b"), nas(3, "c"), nas(4, "d")), lost_before=lost)
    assert back.lost_nases == ()
    assert merge(served, of_nases(nas(4, "d")), lost_before=lost, now_s=5300.0).held_nases == ()
    kept = merge(served, served, lost_before=lost)
    assert [entry.at_s for entry in kept.lost_nases] == [900.0, 1000.0]  # from the future: counts from now


def test_a_plan_is_kept_as_long_as_a_record_that_is_served_names_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    with replica(tmp_path_factory, BrakeLimits(share=0, minimum_count=1)) as subject:
        subject.poll([LoginChange(number, compiled(number, "abc"[number - 1]), False) for number in (1, 2, 3)])
        subject.poll([LoginChange(number, None, False) for number in (1, 2, 3)])
        others = [plan(number) for number in (2, 3, 4)]
        mine = plan(1)._replace(late_plan_id=3, turbo=PhaseFacts(1, None, 4))
        served = Tables(1, [], [], [mine, *others], [], b"", 1)
        fresh = Tables(1, [], [], [], [], b"", 1)
        assert subject.writer.current is not None
        with subject.writer.current.read() as read:
            assert keep_named_plans(read, served, fresh).plans == [mine, plan(3), plan(4)]
        subject.poll([], is_accepted=True)
        with subject.writer.current.read() as read:
            assert keep_named_plans(read, served, fresh).plans == []


@pytest.mark.parametrize("is_resync", [False, True])
def test_what_changed_since_the_accepted_hold_stays_held(
    tmp_path_factory: pytest.TempPathFactory, is_resync: bool
) -> None:
    with replica(tmp_path_factory, BrakeLimits(share=0, minimum_count=0)) as subject:
        subject.poll([LoginChange(number, compiled(number, "abc"[number - 1]), False) for number in (1, 2, 3)])
        subject.poll([LoginChange(number, None, False) for number in (1, 2, 3)])
        acceptance = Acceptance(
            changed_logins={2}, has_nas_changes=False, has_term_changes=False, covers_unseen=False
        )
        assert subject.writer.current is not None
        if is_resync:
            built = subject.writer.build()
            rebuild = Rebuild(
                subject.writer.current,
                built,
                Exemptions(acceptance=acceptance),
                TABLES,
                subject.limits,
                subject.now_s,
            )
            assert rebuild.finish(subject.limits, 1000.0).newly_held_count == 1
            with built.read() as read:
                assert read.pending_ids() == [2]
            subject.writer.discard(built)
        else:
            wanted = Batch(snapshot="1:1:", changes=[], tables=None, acceptance=acceptance, accepted_id=7)
            written = write_batch(subject.writer.current, subject.meta, wanted, subject.limits, 1000.0)
            assert (written.released_count, written.meta.accepted_id, written.held_count) == (2, 7, 1)
            assert _with_access(subject) == {2}


def test_the_window_of_the_logins_outlives_a_resync_and_a_clock_set_back(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with replica(tmp_path_factory, BrakeLimits(share=0, minimum_count=2)) as subject:
        subject.poll([LoginChange(number, compiled(number, f"n{number}"), False) for number in range(1, 6)])
        subject.poll(
            [LoginChange(number, compiled(number, f"n{number}", has_access=False), False) for number in (1, 2)]
        )
        subject.resync()
        subject.now_s = 990.0
        subject.poll([LoginChange(3, None, False)])
        assert _with_access(subject) == {3, 4, 5}
        assert subject.writer.current is not None
        with subject.writer.current.write() as write:
            assert recent_cut_offs(write, subject.limits, 990.0 + 299.0) == 2
            assert recent_cut_offs(write, subject.limits, 990.0 + 300.0) == 0


def test_the_last_who_get_in_are_held_however_few(tmp_path_factory: pytest.TempPathFactory) -> None:
    with replica(tmp_path_factory, BrakeLimits()) as subject:
        subject.poll([LoginChange(number, compiled(number, f"n{number}"), False) for number in (1, 2, 3)])
        subject.poll([LoginChange(number, None, False) for number in (1, 2)])
        assert _with_access(subject) == {3}
        subject.poll([LoginChange(3, None, False)])
        assert _with_access(subject) == {3}
        subject.database = {}
        subject.resync()
        assert _with_access(subject) == {3}


def test_who_was_left_out_gets_the_name_of_one_deleted_into_a_hold(tmp_path_factory: pytest.TempPathFactory) -> None:
    with replica(tmp_path_factory, BrakeLimits(share=0, minimum_count=1)) as subject:
        subject.poll([LoginChange(number, compiled(number, name), False) for number, name in ((1, "a"), (2, "b"))])
        subject.poll([LoginChange(3, compiled(3, "a"), False)])
        subject.poll([LoginChange(number, None, False) for number in (1, 2)])
        subject.check_stored()
        assert _with_access(subject) == {2, 3}
