"""Records of logins and the small tables: what is written is read, else a ReplicaError; names fold once."""

import contextlib
import unicodedata

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaad.errors import ReplicaError
from aaad.policy.codes import LoginFlag
from aaad.policy.facts import LoginExtras, LoginFacts, PhaseFacts, PlanFacts, Speed
from aaad.replica.record import (
    HEAD_SIZE,
    VERSION,
    AdministratorRow,
    BranchRow,
    NasRow,
    ParameterRow,
    RouterRow,
    Tables,
    decode,
    decode_public,
    decode_tables,
    encode,
    encode_damaged,
    encode_tables,
    fold_name,
    login_id_of,
    mac_of,
    public_part,
)

ids = st.integers(0, 2**31 - 1)
octets = st.integers(0, 255)
days = st.integers(0, 2**16 - 1)
words = st.integers(0, 2**32 - 1)
texts = st.text(max_size=20)
extras = st.none() | st.builds(
    LoginExtras, *(texts,) * 9, st.lists(texts, max_size=4).map(tuple), texts, texts, st.binary(max_size=1024)
)


def facts(*, is_md5: bool) -> st.SearchStrategy[LoginFacts]:
    """Logins, of those whose password is stored in one of the two ways."""
    flags = words.map(
        lambda flags: flags | LoginFlag.PASSWORD_IS_MD5 if is_md5 else flags & ~LoginFlag.PASSWORD_IS_MD5
    )
    secrets = (
        (st.just(b""), st.binary(min_size=16, max_size=16))
        if is_md5
        else (st.binary(min_size=16, max_size=16), st.binary(max_size=128))
    )
    macs = st.integers(0, 2**48 - 1)
    return st.builds(
        LoginFacts, ids, ids, ids, ids, ids, flags, octets, octets, words, macs, ids, st.integers(0, 2**24 - 1),
        days, days, days, days, words, words, extras, *secrets,
    )  # fmt: skip


logins = facts(is_md5=True) | facts(is_md5=False)


def login(**changes: object) -> LoginFacts:
    """A login, with changes."""
    facts = LoginFacts(1, 2, 3, 4, 5, 5, 2, 1, 0x64400001, nt_hash=b"n" * 16, password=b"wonderland")
    return facts._replace(**changes)


def tables() -> Tables:
    """Small tables with one row of each kind."""
    return Tables(
        7,
        [NasRow(1, "bras", "192.0.2.1/32", b"testing123", b"old secret", 1.5, "mikrotik", True, "auto", 900, 1)],
        [RouterRow(1, "192.0.2.1", b"bras-\xff", 10.0, 0.0)],
        [
            PlanFacts(
                5, "50 mega", Speed("25M", "50M"), 0, 0, 300, reduced=PhaseFacts(63, None, 6), dns=("192.0.2.53",)
            )
        ],
        [ParameterRow("pppoe", 0, "S")],
        b"k" * 16,
        3,
        [BranchRow(1, "America/Manaus")],
        [AdministratorRow(1, b"root", b"secret of routers", b"n" * 16, "full", 0)],
    )


@given(logins)
def test_a_record_comes_back_whole(before: LoginFacts) -> None:
    record = encode(before)
    assert decode(record) == before
    assert type(decode(record)) is LoginFacts
    assert login_id_of(record) == before.login_id


@given(logins)
def test_the_head_holds_no_secret(before: LoginFacts) -> None:
    other = before._replace(nt_hash=bytes(len(before.nt_hash)), password=bytes(len(before.password)))
    assert encode(before)[:HEAD_SIZE] == encode(other)[:HEAD_SIZE]
    assert public_part(encode(before)) == public_part(encode(other))
    assert decode_public(public_part(encode(before))) == before._replace(nt_hash=b"", password=b"")


@pytest.mark.parametrize(
    ("flags", "mac", "alias"),
    [
        (LoginFlag.IS_MAC_LOGIN | LoginFlag.LOGIN_ACTIVE, 0x001A2B3C4D5E, "001a2b3c4d5e"),
        (LoginFlag.IS_MAC_LOGIN, 0xAABBCCDDEEFF, "aabbccddeeff"),
        (LoginFlag.LOGIN_ACTIVE, 0xAABBCCDDEEFF, ""),
        (LoginFlag.IS_MAC_LOGIN | LoginFlag.LOGIN_DELETED, 0xAABBCCDDEEFF, ""),
    ],
)
def test_r3_4_who_logs_in_by_his_device_is_found_by_it(flags: int, mac: int, alias: str) -> None:
    assert mac_of(encode(login(flags=flags, mac=mac))).hex() == alias


def test_a_damaged_record_has_no_device() -> None:
    assert mac_of(encode_damaged(7)) == mac_of(b"") == b""


def test_extras_that_fit_into_no_reply_are_refused() -> None:
    with pytest.raises(ReplicaError, match="allowed are 4096"):
        encode(login(extras=LoginExtras(attributes=bytes(4097))))


def test_a_record_of_another_version_is_refused() -> None:
    record = encode(login())
    for version in (0, VERSION + 1, 255):
        with pytest.raises(ReplicaError, match="version"):
            decode(bytes((version,)) + record[1:])


@pytest.mark.parametrize("record", [encode(login()), encode(login(flags=16, nt_hash=b"", password=b"m" * 16))])
def test_a_record_that_is_cut_off_is_refused_and_is_no_wrong_password(record: bytes) -> None:
    for size in range(HEAD_SIZE + 16):
        with pytest.raises(ReplicaError):
            decode(record[:size])


@given(st.binary(max_size=120))
def test_any_octets_give_a_login_or_a_replica_error(record: bytes) -> None:
    with contextlib.suppress(ReplicaError):
        assert isinstance(decode(record), LoginFacts)


@given(ids)
def test_r3_1_a_damaged_record_tells_whose_it_is_and_no_more(login_id: int) -> None:
    record = encode_damaged(login_id)
    assert login_id_of(record) == login_id
    with pytest.raises(ReplicaError):
        decode(record)


@given(st.binary(max_size=HEAD_SIZE))
def test_whose_record_it_is_is_a_number_or_a_replica_error(record: bytes) -> None:
    with contextlib.suppress(ReplicaError):
        assert 0 <= login_id_of(record) < 2**32


def test_tables_come_back_whole() -> None:
    assert decode_tables(encode_tables(tables())) == tables()


@given(st.binary(max_size=60))
def test_any_octets_give_tables_or_a_replica_error(data: bytes) -> None:
    with pytest.raises(ReplicaError):
        decode_tables(data)


def test_tables_that_are_cut_off_are_a_replica_error() -> None:
    data = encode_tables(tables())
    for size in range(len(data)):
        with pytest.raises(ReplicaError):
            decode_tables(data[:size])
    for other in (msgspec.msgpack.encode({"generation": 1}), data.replace(b"50 mega", b"50 meg\xff")):
        with pytest.raises(ReplicaError):
            decode_tables(other)


def test_no_repr_shows_a_secret() -> None:
    shown = repr(tables()) + str(tables().nases) + f"{tables().nases[0]}" + repr(tables().administrators)
    for secret in ("testing123", "old secret", "kkkk", "secret of routers", "nnnn"):
        assert secret not in shown


@pytest.mark.parametrize(
    ("typed", "key"),
    [
        (b"alice", b"alice"),
        (b"ALICE", b"alice"),
        (b"Maria@Provedor.COM.BR", b"maria@provedor.com.br"),
        ("JOÃO".encode(), "joão".encode()),
        ("joa\u0303o".encode(), "joão".encode()),
        ("JOA\u0303O".encode(), "joão".encode()),
        (b" alice ", b" alice "),
        (b"a\0b", b"a\0b"),
        (b"ALICE\xff", b"alice\xff"),
        (b"", b""),
    ],
)
def test_names_fold_in_case_and_composition_only(typed: bytes, key: bytes) -> None:
    assert fold_name(typed) == key


@given(st.text(max_size=60))
def test_a_folded_name_folds_to_itself(name: str) -> None:
    name = name.encode("utf-8", "ignore").decode()
    key = fold_name(name.encode())
    assert fold_name(key) == key
    assert unicodedata.is_normalized("NFC", key.decode())


@given(st.binary(max_size=253))
def test_any_octets_fold(name: bytes) -> None:
    assert isinstance(fold_name(name), bytes)
