"""Python's validations and PostgreSQL's checks say the same of every value."""

import asyncio
import re
from collections.abc import Callable, Iterator
from datetime import date

import asyncpg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from aaad.db.embedded import EmbeddedPostgres
from aaad.erp import validate
from aaad.errors import InvalidValue
from aaad.policy.parameters import PARAMETERS, ParameterKind
from aaad.replica.record import fold_name

Ask = Callable[..., list]

quick = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture(scope="module")
def ask(postgres: EmbeddedPostgres, _template: str) -> Iterator[Ask]:
    """Ask PostgreSQL about many values in one statement."""
    name = "erp_agreement"
    with asyncio.Runner() as runner:
        admin = runner.run(asyncpg.connect(postgres.dsn()))
        runner.run(admin.execute(f"CREATE DATABASE {name} TEMPLATE {_template}"))
        connection = runner.run(asyncpg.connect(postgres.dsn(name)))

        def ask(expression: str, values: list[str]) -> list:
            sql = f"SELECT {expression} FROM unnest($1::text[]) WITH ORDINALITY AS u (v, place) ORDER BY place"
            return [row[0] for row in runner.run(connection.fetch(sql, values))]

        yield ask
        runner.run(connection.close())
        runner.run(admin.execute(f"DROP DATABASE {name}"))
        runner.run(admin.close())


def stored(check: Callable[..., object], *args: object) -> object:
    try:
        return check(*args)
    except InvalidValue:
        return None


def likely(*patterns: str, characters: str) -> st.SearchStrategy[list[str]]:
    """Values that nearly fit, with a character changed, put in or left out, beside arbitrary ones."""
    character = st.sampled_from(characters) | st.characters(codec="utf-8", exclude_characters="\x00")

    @st.composite
    def spoiled(draw: st.DrawFn) -> str:
        value = draw(
            st.one_of([st.from_regex(re.compile(pattern, re.ASCII), fullmatch=True) for pattern in patterns])
        )
        place = draw(st.integers(0, len(value)))
        match draw(st.integers(0, 3)):
            case 0:
                return value
            case 1:
                return value[:place] + draw(character) + value[place:]
            case 2:
                return value[:place] + draw(character) + value[place + 1 :]
            case _:
                return value[:place] + value[place + 1 :]

    anything = st.text(character, max_size=20)
    return st.lists(st.one_of(spoiled(), spoiled(), anything), min_size=1, max_size=40)


@st.composite
def documents(draw: st.DrawFn) -> str:
    """Documents whose check digits are right, or nearly."""
    alphabet, size, weights = draw(
        st.sampled_from([("0123456789", 9, 10), ("0123456789", 12, 8), ("0123456789ABCXYZ", 12, 8)])
    )
    body = draw(st.text(alphabet, min_size=size, max_size=size))
    digits = validate._check_digits(body, weights=weights)
    if draw(st.booleans()):
        digits = draw(st.sampled_from(["00", digits[::-1], digits[0] + "5", "A1"]))
    return body + digits


DOCUMENT = likely(r"\d{11}", r"[0-9A-Z]{12}\d\d", r"\d{3}\.\d{3}\.\d{3}-\d\d", characters="0189AZaz./- ")


@quick
@given(st.lists(documents(), min_size=20, max_size=60) | DOCUMENT)
@example(["52998224725", "11144477735", "62710524520", "11111111111", "12ABC34501DE35", "11222333000181", ""])
def test_documents(ask: Ask, values: list[str]):
    assert ask("erp.is_cpf(erp.canonical_document(v))", values) == [
        stored(validate.cpf, v) is not None for v in values
    ]
    assert ask("erp.is_cnpj(erp.canonical_document(v))", values) == [
        stored(validate.cnpj, v) is not None for v in values
    ]
    # Unmasked is what the column takes.
    assert ask("erp.is_cpf(v)", values) == [stored(validate.cpf, v) == v for v in values]
    assert ask("erp.is_cnpj(v)", values) == [stored(validate.cnpj, v) == v for v in values]


@quick
@given(
    likely(
        r"([0-9A-F]{2}:){5}[0-9A-F]{2}",
        r"([0-9a-f]{2}-){5}[0-9a-f]{2}",
        r"([0-9a-f]{4}\.){2}[0-9a-f]{4}",
        r"[0-9a-fA-F]{12}",
        characters="0123456789abcdefABCDEFG:-. \n",
    )
)
@example(["00:00:00:00:00:00", "FF:FF:FF:FF:FF:FF", "00:1A:2B:3C:4D:5E"])
def test_macs(ask: Ask, values: list[str]):
    ours = [stored(validate.mac, v) for v in values]
    assert ask("CASE WHEN erp.is_mac(erp.canonical_mac(v)) THEN erp.canonical_mac(v) END", values) == ours
    assert ask("erp.is_mac(v)", values) == [mac == v for mac, v in zip(ours, values, strict=True)]


@quick
@given(
    likely(
        r"[A-Za-z0-9._-]{1,64}",
        r"[a-z]{1,10}@[a-z]{1,10}",
        r"[a-zÀ-ſ]{1,64}",
        r"([a-z]|[aeiouc][\u0300\u0301\u0303\u0327]){1,10}",
        characters="aZ09._@-×÷İıſÿŽ\u0300\u0301'\"\\%*<>; \n\t",
    )
)
def test_login_names(ask: Ask, values: list[str]):
    ours = [stored(validate.login_name, v) is not None for v in values]
    assert ask("erp.is_login_name(v)", values) == ours
    valid = [v for v, good in zip(values, ours, strict=True) if good]
    assert ask("erp.fold_login(v)", valid) == [fold_name(v.encode()).decode() for v in valid]


def test_every_letter_that_a_login_may_have_folds_alike(ask: Ask):
    letters = [chr(code) for code in range(1, 0x3000) if stored(validate.login_name, f"a{chr(code)}") is not None]
    assert len(letters) > 180
    assert ask("erp.fold_login(v)", letters) == [fold_name(letter.encode()).decode() for letter in letters]
    assert all(ask("erp.is_login_name('a' || v)", letters))


@quick
@given(likely(r"\d{2}[2-5]\d{7}", r"\d{2}9\d{8}", characters="0123456789 +()-"))
@example([f"{code:02d}33221100" for code in range(100)])
def test_phones(ask: Ask, values: list[str]):
    assert ask("erp.is_phone(v)", values) == [stored(validate.phone, "phone", v) == v for v in values]


@quick
@given(likely(r"[a-z.]{1,5}@([a-z-]{1,5}\.){1,2}[a-z]{2,3}(;[a-z]@[a-z]\.[a-z]{2}){0,2}", characters="a.@;- +\n'_1"))
def test_mail_lists(ask: Ask, values: list[str]):
    assert ask("erp.is_email_list(v)", values) == [stored(validate.email_list, v) is not None for v in values]


@quick
@given(likely(r"\d{8}", r"\d{5}-\d{3}", r"\d{1,7}[kM]", characters="0-kMm \n"))
@example(["00000000", "0M", "1M", "9999999k", "10000000k"])
def test_postal_codes_and_speeds(ask: Ask, values: list[str]):
    assert ask("erp.is_postal_code(v)", values) == [stored(validate.postal_code, v) == v for v in values]
    assert ask("erp.is_speed(v)", values) == [stored(validate.speed, "upload", v) is not None for v in values]


@quick
@given(st.lists(st.ip_addresses(v=4).map(str), min_size=1, max_size=40))
@example(
    ["0.0.0.1", "126.255.255.255", "127.0.0.1", "169.254.0.1", "223.255.255.255", "224.0.0.0", "255.255.255.255"]
)
def test_fixed_addresses(ask: Ask, values: list[str]):
    assert ask("erp.is_host_ipv4(v::inet)", values) == [stored(validate.host_ipv4, v) is not None for v in values]


@quick
@given(
    st.lists(
        st.text(st.sampled_from(" \t\n\r\f\v\u00a0ab") | st.characters(codec="utf-8", exclude_characters="\x00"))
    )
)
def test_outer_space(ask: Ask, values: list[str]):
    assert ask("erp.is_trimmed(v)", values) == [stored(validate.text, "name", v) is not None for v in values]


@quick
@given(
    st.dates()
    | st.dates(min_value=date(1969, 12, 1), max_value=date(1970, 2, 1))
    | st.dates(min_value=date(2099, 12, 1), max_value=date(2100, 2, 1))
)
@example(date(1970, 1, 1))
@example(date(2099, 12, 31))
@example(date(2100, 1, 1))
def test_days(ask: Ask, value: date):
    assert ask("erp.is_day(v::date)", [value.isoformat()]) == [stored(validate.day, "due_on", value) is not None]


SAMPLES = {
    ParameterKind.SWITCH: likely("[SNP]", characters="SNPsnp "),
    ParameterKind.SPEED: likely(r"\d{1,7}[kM]", characters="0-kMm \n"),
    ParameterKind.NAME: likely("[!-~]{1,130}", "[a-z ]{1,5}", characters=" aé\n"),
    ParameterKind.ADDRESSES: likely(
        r"(8\.8\.8\.8|10\.1\.0\.1)(;2001:db8::1){0,9}", r"[0-9a-f]{0,4}(::?[0-9a-f]{1,4}){1,7}", characters="0aF.:;% "
    )
    | st.lists(st.ip_addresses().map(str), min_size=1, max_size=40),
    ParameterKind.REALM: likely(r"[A-Za-z0-9._-]{1,64}", characters="@*; a\n"),
    ParameterKind.REALMS: likely(r"[a-z.]{1,5}(;[a-z.]{1,5}){0,3}", r"\*", characters="@*; a\n"),
    ParameterKind.DAYS: likely("(monday|sunday|holiday|holiday_eve)(;(monday|friday)){0,3}", characters="; m"),
    ParameterKind.NUMBER: likely(r"\d{1,9}", r"\d{1,2}", characters="0 -.\n"),
}


@pytest.mark.parametrize("kind", ParameterKind)
def test_parameters_have_the_same_values(ask: Ask, kind: ParameterKind):
    name = {parameter.kind: parameter.name for parameter in PARAMETERS.values()}[kind]

    @quick
    @given(SAMPLES[kind])
    @example(
        ["", "0", "1", "30", "31", "00", "S", "P", "127.0.0.1", "::1", "::ffff:1.2.3.4", "169.254.1.1", "fe80::1"]
    )
    @example(["2001:db8::1%eth0", "2001:DB8::1", "010.1.1.1", "8.8.8.8;", ";8.8.8.8", "999999999", "1000000000", "é"])
    def agree(values: list[str]) -> None:
        assert ask(f"erp.is_parameter_value('{name}', v)", values) == [
            stored(validate.parameter, name, v, 1) is not None for v in values
        ]

    agree()


@quick
@given(likely("[!-~]{1,130}", "[a-z ]{1,5}", characters=" aé\n"))
def test_names_on_routers(ask: Ask, values: list[str]):
    assert ask("erp.is_router_name(v)", values) == [
        stored(validate.router_name, "ipv4_pool", v) is not None for v in values
    ]


@quick
@given(likely(r"[!-~]{1,130}", r"[0-9a-f]{32}", characters=" aF0\n\té"))
def test_passwords(ask: Ask, values: list[str]):
    """The check stands in the table: it is read from there."""
    [definition] = ask(
        "(SELECT pg_get_expr(conbin, conrelid) FROM pg_constraint WHERE conname = 'login_password_form')", ["x"]
    )
    clear = re.sub(r"\bpassword\b", "v", definition).replace("password_md5", "false")
    hashed = re.sub(r"\bpassword\b", "v", definition).replace("password_md5", "true")
    assert ask(clear, values) == [stored(validate.password, v) is not None for v in values]
    assert ask(hashed, values) == [stored(validate.password_md5, v) == v for v in values]
