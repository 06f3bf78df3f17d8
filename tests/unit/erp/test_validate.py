"""The ERP's fields: what is accepted, in which form it is stored, and what is said when it is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaad.erp import validate
from aaad.errors import InvalidValue


def message_of(check, *args, **kwargs) -> str:
    with pytest.raises(InvalidValue) as caught:
        check(*args, **kwargs)
    return str(caught.value)


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("529.982.247-25", "52998224725"),
        ("111.444.777-35", "11144477735"),
        ("62710524520", "62710524520"),
    ],
)
def test_a_cpf_is_stored_as_its_digits(written, stored):
    assert validate.cpf(written) == stored


@pytest.mark.parametrize(
    "written",
    [
        "111.111.111-11",
        "529.982.247-26",
        "529.982.247-15",
        "5299822472",
        "",
        "529982247255",
        "A2998224725",
        "５29.982.247-25",
    ],
)
def test_a_wrong_cpf_is_refused(written):
    assert message_of(validate.cpf, written).startswith("document: ")


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("12.ABC.345/01DE-35", "12ABC34501DE35"),
        ("12.abc.345/01de-35", "12ABC34501DE35"),
        ("11.222.333/0001-81", "11222333000181"),
        ("02.030.715/0001-12", "02030715000112"),
    ],
)
def test_a_cnpj_is_stored_upper_case_without_mask(written, stored):
    assert validate.cnpj(written) == stored


@pytest.mark.parametrize(
    "written",
    ["12.ABC.345/01DE-36", "12.ABC.345/01DE-3A", "00000000000000", "1222333000181", "", "12.ÁBC.345/01DE-35"],
)
def test_a_wrong_cnpj_is_refused(written):
    assert message_of(validate.cnpj, written).startswith("document: ")


def test_the_kind_of_client_decides_about_the_document():
    assert validate.document("F", "529.982.247-25") == "52998224725"
    assert validate.document("J", "11.222.333/0001-81") == "11222333000181"
    assert validate.document("F", None) is None
    assert validate.document("E", None) is None
    assert "foreigner" in message_of(validate.document, "E", "52998224725")
    assert "CPF" in message_of(validate.document, "F", "11222333000181")
    assert "kind" in message_of(validate.document, "X", None)


def test_documents_are_shown_hidden():
    assert validate.hidden_document("52998224725") == "***.982.247-**"
    assert validate.hidden_document("12ABC34501DE35") == "**.***.345/01DE-**"


@given(st.text("0123456789", min_size=9, max_size=9).filter(lambda body: len(set(body)) > 1))
def test_exactly_one_pair_of_check_digits_fits_a_cpf(body):
    fitting = [pair for pair in range(100) if accepts(validate.cpf, f"{body}{pair:02d}")]
    assert len(fitting) == 1


@pytest.mark.parametrize(
    "written", ["00:1A:2b:3C:4D:5E", "00-1a-2b-3c-4d-5e", "001a.2b3c.4d5e", "001A2B3C4D5E", "001a2b3c4d5e"]
)
def test_every_usual_form_of_a_mac_is_stored_as_routeros_writes_it(written):
    assert validate.mac(written) == "00:1A:2B:3C:4D:5E"


@pytest.mark.parametrize(
    "written",
    [
        "G0:1A:2B:3C:4D:5E",
        "00:1A:2B:3C:4D",
        "00:1A:2B:3C:4D:5E:6F",
        "00:1A-2B:3C:4D:5E",
        "00:00:00:00:00:00",
        "FF:FF:FF:FF:FF:FF",
        "01:00:5E:00:00:01",
        " 00:1A:2B:3C:4D:5E",
        "00:1A:2B:3C:4D:5E\n",
        "００:1A:2B:3C:4D:5E",
        "",
    ],
)
def test_a_wrong_mac_is_refused_with_the_words_that_operators_know(written):
    assert message_of(validate.mac, written) == "mac: Formato do MAC é Inválido"


@pytest.mark.parametrize(
    "name",
    [
        "mainet@fibra.com.br",
        "teste_pppoe",
        "rua.nome",
        "a",
        "9",
        "A-b",
        "x" * 64,
        "joão",
        "jo\u0061\u0303o",
        "ÀÖØöøįıſ",
    ],
)
def test_a_login_is_kept_as_typed(name):
    assert validate.login_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", " a", "a b", "a\n", "x" * 65, "a'b", 'a"b', "a\\b", "a%", "a*", "<a>", "a;b", "a\x00", "._-", "@a", "a@",
     "a@b@c", "a×b", "İ", "алиса", "a\u200b", "ａ", "a/b", "a:b"],
)  # fmt: skip
def test_a_login_that_breaks_routers_or_queries_is_refused(name):
    assert message_of(validate.login_name, name).startswith("name: ")


def test_accents_are_refused_where_the_parameter_says_so():
    assert "accents" in message_of(validate.login_name, "joão", accents_allowed=False)
    assert validate.login_name("joao", accents_allowed=False) == "joao"


@pytest.mark.parametrize("word", ["a", "!", "a b", "x" * 128, "pass000000", "~"])
def test_a_password_is_printable_ascii(word):
    assert validate.password(word) == word


@pytest.mark.parametrize("word", ["", " a", "a ", "x" * 129, "é", "a\tb", "a\n"])
def test_a_password_that_not_every_method_carries_is_refused(word):
    refusal = message_of(validate.password, word)
    assert refusal.startswith("password: ")
    assert len(word) < 3 or word not in refusal


def test_an_md5_password_is_stored_in_lower_case():
    assert validate.password_md5("0123456789ABCDEF0123456789abcdef") == "0123456789abcdef0123456789abcdef"
    assert "32" in message_of(validate.password_md5, "0123")


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("(49) 99999-9999", "49999999999"),
        ("49 3322-1100", "4933221100"),
        ("+55 49 99999-9999", "49999999999"),
        ("5549999999999", "49999999999"),
        ("554933221100", "4933221100"),
        ("(55) 3322-1100", "5533221100"),
        ("+55 (55) 99999-9999", "55999999999"),
        ("049 3322-1100", "4933221100"),
        ("0 15 49 3322-1100", "4933221100"),
        ("0xx49 99999.9999", "49999999999"),
    ],
)
def test_a_phone_is_stored_as_area_code_and_number(written, stored):
    assert validate.phone("phone", written) == stored


@pytest.mark.parametrize(
    "written",
    [
        "",
        "3322-1100",
        "(20) 3322-1100",
        "(10) 99999-9999",
        "(49) 89999-9999",
        "(49) 6322-1100",
        "+1 11 99999-9999",
        "+11999999999",
        "4933221100 r",
    ],
)
def test_a_number_that_cannot_be_dialled_is_refused(written):
    assert message_of(validate.phone, "mobile_phone", written).startswith("mobile_phone: ")


def test_there_are_67_area_codes():
    assert sum(accepts(validate.phone, "phone", f"{code:02d}33221100") for code in range(100)) == 67


@pytest.mark.parametrize("written", ["a@b.co", "ana.b+c@x-y.com.br", "a@b.co;c@d.co;e@f.co"])
def test_mail_addresses_are_joined_by_semicolons(written):
    assert validate.email_list(written) == written


@pytest.mark.parametrize(
    "written",
    ["", "a", "a@b", "a@b.co; c@d.co", " a@b.co", "a@b.co;", ";a@b.co", "a@b.co,c@d.co", ".a@b.co", "a..b@c.co",
     "a.@b.co", "a@-b.co", "a@b-.co", "a@b..co", "a@b.c1", "a@@b.co", "é@b.co", "a@b.co\n", f"a@{'b' * 1000}.co"],
)  # fmt: skip
def test_a_wrong_list_of_mail_addresses_is_refused(written):
    assert message_of(validate.email_list, written).startswith("email: ")


def test_a_cep_is_stored_as_its_digits():
    assert validate.postal_code("89801-000") == validate.postal_code("89801000") == "89801000"
    for written in ("00000-000", "8980100", "898010000", "89.801-000", "8980-1000", " 89801000", ""):
        assert message_of(validate.postal_code, written).startswith("postal_code: ")


def test_speeds_have_a_unit():
    for written in ("512k", "50M", "1k", "9999999M"):
        assert validate.speed("upload", written) == written
    for written in ("", "50", "50m", "50K", "0M", "050M", "50 M", "1.5M", "10000000k", "50M\n", "-1M"):
        assert message_of(validate.speed, "upload", written).startswith("upload: ")


def test_a_fixed_address_is_one_that_a_customer_can_have():
    assert validate.host_ipv4("100.64.0.10") == "100.64.0.10"
    for written in (
        "",
        "100.64.0.0/10",
        "0.0.0.0",
        "127.0.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "169.254.1.1",
        "::1",
        "1",
    ):
        assert message_of(validate.host_ipv4, written).startswith("ipv4: ")


def test_texts_have_no_space_outside():
    assert validate.text("street", "Rua das Flores") == "Rua das Flores"
    assert validate.text("street", "") == ""
    for written in (" a", "a ", "\ta", "a\n", "\u00a0a"):
        assert "space" in message_of(validate.text, "street", written)
    assert validate.name("name", "Ana") == "Ana"
    assert "empty" in message_of(validate.name, "name", "")


def test_a_circuit_is_named_after_city_client_and_plan():
    assert validate.default_circuit("Chapecó", 123, 1) == "CHA000123-001"
    assert validate.default_circuit("Ôbidos", 999999, 999) == "OBI999999-999"
    assert validate.default_circuit("D'Oeste", 1, 1) == "DOE000001-001"
    for arguments in (("Ôi", 1, 1), ("Chapecó", 1000000, 1), ("Chapecó", 1, 1000), ("Chapecó", 0, 1)):
        assert message_of(validate.default_circuit, *arguments)


def accepts(check, *args) -> bool:
    try:
        check(*args)
    except InvalidValue:
        return False
    return True


def test_an_id_fits_31_bits_and_is_never_zero():
    assert [validate.identifier("id", value) for value in (1, 2_147_483_647)] == [1, 2_147_483_647]
    for value in (0, -1, 2_147_483_648):
        assert message_of(validate.identifier, "client_id", value) == "client_id: a number from 1 to 2147483647"
