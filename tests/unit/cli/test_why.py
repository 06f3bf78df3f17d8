"""What `why` says of silence: never "no request arrived" where something arrived that could not be trusted."""

import pytest

from aaad.cli.options import Options
from aaad.cli.terminal import Terminal
from aaad.cli.why import Evidence, _Report
from aaad.daemon.discards import Discards
from aaad.daemon.router_facts import UnknownSource
from aaad.daemon.router_problems import ProblemKind, RouterProblem
from aaad.daemon.testimony import PastDecision
from aaad.daemon.testimony import Testimony as Heard  # pytest takes classes of the other name for tests
from aaad.policy.codes import Discard, Reason
from aaad.words import Language, discard_hint, discard_text, reason_hint


def heard_of(**changes: object) -> Heard:
    plain: dict[str, object] = {
        "node": "n1",
        "is_complete": True,
        "replica_age_s": 0.1,
        "login_id": 1,
        "now": None,
        "past": [],
        "journal_since_s": 100.0,
    }
    return Heard(**{**plain, **changes})  # type: ignore[arg-type]


def tell(heard: Heard, language: str = "en", *beside: Heard) -> None:
    evidence = Evidence(login="ana", testimonies=[heard, *beside], unheard=[], database_problem=None)
    _Report(Terminal(Options(None, language), {}), evidence, 10).print()


def problem(**changes: object) -> RouterProblem:
    plain: dict[str, object] = {
        "kind": ProblemKind.WRONG_SECRET,
        "nas": "bras",
        "source_address": "192.0.2.1",
        "nas_identifier": "id",
        "is_trusted_at_times": False,
        "count": 5,
        "last_at_s": 1.0,
    }
    return RouterProblem(**{**plain, **changes})  # type: ignore[arg-type]


def test_nothing_at_all_arrived(capsys: pytest.CaptureFixture[str]) -> None:
    tell(heard_of())
    assert "No request of this login arrived at n1." in capsys.readouterr().out


def test_r9_3_it_is_said_only_of_nodes_that_could_search(capsys: pytest.CaptureFixture[str]) -> None:
    tell(heard_of(), "en", heard_of(node="n2", is_complete=False))
    assert "No request of this login arrived at n1." in capsys.readouterr().out
    tell(heard_of(is_complete=False))
    shown = capsys.readouterr().out
    assert "No request of this login arrived" not in shown
    assert "No node could be asked." in shown


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("en", "n1: 192.0.2.7 is no concentrator of ours and asks: 12 datagrams since"),
        ("pt", "n1: 192.0.2.7 não é concentrador nosso e pergunta: 12 datagramas desde"),
    ],
)
def test_where_nothing_arrived_who_asks_and_is_no_concentrator_is_named(
    language: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    stranger = UnknownSource(source_address="192.0.2.7", count=12, first_at_s=1.8e9, last_at_s=1.8e9)
    tell(heard_of(unknown_sources=[stranger]), language)
    shown = " ".join(capsys.readouterr().out.split())
    assert told in shown
    assert "aaad nas add --name" in shown
    assert "No request of this login arrived at" not in shown
    tell(heard_of(unknown_sources=[stranger], past=[past_of(reason="granted")]), language)
    assert "192.0.2.7" not in capsys.readouterr().out


def test_a_wrong_secret_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    tell(heard_of(router_problems=[problem()]))
    shown = capsys.readouterr().out
    assert "No request of this login arrived" not in shown
    assert "n1: NAS bras: its secret seems wrong: 5 requests of 192.0.2.1 id do not fit it." in " ".join(
        shown.split()
    )


def test_a_router_that_is_trusted_at_times_is_not_called_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    tell(heard_of(router_problems=[problem(is_trusted_at_times=True)]))
    shown = capsys.readouterr().out
    assert "n1: NAS bras: 5 requests of 192.0.2.1 id do not fit its secret, others do" in " ".join(shown.split())
    assert "seems wrong" not in shown


@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize("kind", ProblemKind)
@pytest.mark.parametrize("unreadable", [0, 4711])
def test_r10_every_problem_of_a_router_is_told_with_its_counts(
    kind: ProblemKind, unreadable: int, language: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = problem(kind=kind, count=4711, resent=42, unreadable_passwords=unreadable)
    tell(heard_of(router_problems=[found]), language)
    shown = " ".join(capsys.readouterr().out.split())
    assert "NAS bras" in shown or "concentrador bras" in shown
    assert "192.0.2.1 id" in shown
    assert "4711" in shown
    assert ("42" in shown) is (kind is ProblemKind.SECRET_SEEMS_WRONG and not unreadable)


def past_of(**changes: object) -> PastDecision:
    plain: dict[str, object] = {"nas": "bras", "source_address": "192.0.2.1", "nas_identifier": "id"}
    return PastDecision(at_s=5.0, slot="radius-0", **{**plain, **changes})  # type: ignore[arg-type]


def test_r10_a_secret_that_seems_wrong_is_told_beside_the_accepts_that_the_nas_could_not_read(
    capsys: pytest.CaptureFixture[str],
) -> None:
    elsewhere = problem(kind=ProblemKind.SECRET_SEEMS_WRONG, nas="another")
    of_address = problem(kind=ProblemKind.SECRET_SEEMS_WRONG, nas_identifier="")
    tell(heard_of(past=[past_of(reason="granted")], router_problems=[of_address, elsewhere]))
    shown = " ".join(capsys.readouterr().out.split())
    assert "n1: NAS bras: its secret seems wrong: 5 Accepts to CHAP of 192.0.2.1 without a Start" in shown
    assert "NAS another" not in shown
    assert "Also at" not in shown


def test_the_problem_of_the_logins_own_router_comes_first(capsys: pytest.CaptureFixture[str]) -> None:
    others = [problem(count=2, nas_identifier="x"), problem(count=3, source_address="192.0.2.9")]
    tell(heard_of(past=[past_of(reason="granted")], router_problems=[others[0], problem(count=1), others[1]]))
    shown = " ".join(capsys.readouterr().out.split())
    first, _, behind = shown.partition("Also at this concentrator, of other routers:")
    assert "1 requests of 192.0.2.1 id" in first
    assert "2 requests of 192.0.2.1 x" in behind
    assert "3 requests of 192.0.2.9 id" in behind
    assert "of 192.0.2.1 x" not in first


@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize(
    ("found", "decision", "is_spoilt"),
    [
        (problem(kind=ProblemKind.SECRET_SEEMS_WRONG, unreadable_passwords=3), {}, True),
        (problem(kind=ProblemKind.WRONG_SECRET), {}, True),
        (problem(kind=ProblemKind.SECRET_SEEMS_WRONG), {}, False),  # behind CHAP, whose passwords need no secret
        (problem(source_address="192.0.2.9"), {}, False),
        (problem(), {"is_signed": True}, False),
        (problem(), {"reason": "not_this_mac"}, False),
    ],
)
def test_r10_nobody_is_told_to_type_a_password_again_where_the_secret_is_wrong(
    found: RouterProblem,
    decision: dict[str, object],
    is_spoilt: bool,
    language: Language,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tell(heard_of(past=[past_of(**{"reason": "wrong_password", **decision})], router_problems=[found]), language)
    shown = " ".join(capsys.readouterr().out.split())
    told = {
        Language.ENGLISH: "The shared secret of its router seems wrong, and then no password fits",
        Language.PORTUGUESE: "O segredo compartilhado do roteador parece errado, e então nenhuma senha serve",
    }
    assert (told[language] in shown) is is_spoilt
    assert (reason_hint(Reason.WRONG_PASSWORD, language) in shown) is (not is_spoilt and not decision.get("reason"))


@pytest.mark.parametrize("language", list(Language))
def test_datagrams_without_an_answer_are_told_by_cause(language: str, capsys: pytest.CaptureFixture[str]) -> None:
    tell(heard_of(discarded=Discards(since_s=1.0, counts={"late": 3, "overload": 4})), language)
    shown = capsys.readouterr().out
    for cause, count in ((Discard.LATE, "3 data"), (Discard.OVERLOAD, "4 data")):
        assert count in shown
        assert discard_text(cause, Language(language)) in " ".join(shown.split())
        assert discard_hint(cause, Language(language)) in " ".join(shown.split())


@pytest.mark.parametrize(
    ("language", "words"), [(Language.ENGLISH, "7 decisions since"), (Language.PORTUGUESE, "7 decisões desde")]
)
def test_decisions_that_were_not_written_down_are_told_and_nobody_says_that_nothing_arrived(
    language: Language, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tell(heard_of(discarded=Discards(since_s=1.0, unwritten=7)), language)
    shown = " ".join(capsys.readouterr().out.split())
    assert words in shown
    assert "No request of this login arrived" not in shown


@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize("cause", Discard)
def test_every_silence_in_the_journal_has_its_text_and_hint(
    cause: Discard, language: str, capsys: pytest.CaptureFixture[str]
) -> None:
    past = PastDecision(at_s=5.0, slot="radius-0", discard=cause.label, nas="bras", source_address="192.0.2.1")
    tell(heard_of(past=[past]), language)
    shown = " ".join(capsys.readouterr().out.split())
    assert f"{discard_text(cause, Language(language))} → {discard_hint(cause, Language(language))}" in shown
