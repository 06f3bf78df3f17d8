"""Every code and message has both languages, the compiled catalogue is the written one, refusals tell no secret."""

import ast
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

import aaad
from aaad import words
from aaad.policy.codes import Discard, Reason
from aaad.words import Language, choose_language

CATALOG = words.LOCALE_DIRECTORY / "pt_BR" / "LC_MESSAGES" / "aaad.po"
REPLY_MESSAGE_OCTETS_MAX = 253  # RFC 2865, 5


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return read_po(io.BytesIO(CATALOG.read_bytes()))


def texts_in_the_program() -> Iterator[str]:
    for _, _, message, _, _ in extract_from_dir(
        Path(aaad.__file__).parent, [("**.py", "python")], keywords={"_": None}
    ):
        assert isinstance(message, str)
        yield message


def texts_hidden_in(source: str) -> list[str]:
    """The texts inside f-strings, which the extractor of Python 3.11 does not find."""
    return [
        ast.unparse(call)
        for text in ast.walk(ast.parse(source))
        if isinstance(text, ast.JoinedStr)
        for call in ast.walk(text)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == "_"
        and any(isinstance(argument, ast.Constant | ast.JoinedStr) for argument in call.args)
    ]


def test_no_text_stands_inside_an_f_string_where_it_is_not_found() -> None:
    assert texts_hidden_in("""f"{_('late')}: {_(word)}" + _("found") + _(f"made of {parts}")""") == ["_('late')"]
    assert [
        hidden for path in Path(aaad.__file__).parent.rglob("*.py") for hidden in texts_hidden_in(path.read_text())
    ] == []


def fields(message: str) -> list[str]:
    return sorted(re.findall(r"\{(\w*)", message))


def test_every_text_of_the_program_is_translated_and_no_translation_is_left_over(catalog: Catalog) -> None:
    translated = {str(message.id): message for message in catalog if message.id}
    assert not catalog.obsolete
    assert set(translated) == set(texts_in_the_program())
    for english, message in translated.items():
        assert message.string, f"no Portuguese for {english!r}"
        assert not message.fuzzy, english
        assert fields(english) == fields(str(message.string)), english


def test_the_compiled_catalogue_is_the_written_one(catalog: Catalog) -> None:
    compiled = io.BytesIO()
    write_mo(compiled, catalog)
    assert CATALOG.with_suffix(".mo").read_bytes() == compiled.getvalue(), (
        "run: pybabel compile -d aaad/locale -D aaad"
    )


@pytest.mark.parametrize("language", list(Language))
def test_every_reason_has_text_and_hint(language: Language) -> None:
    assert set(words.REASONS) == {reason.label for reason in Reason}
    for reason in Reason:
        assert words.reason_text(reason, language)
        assert words.reason_hint(reason, language)


@pytest.mark.parametrize("language", list(Language))
def test_every_discard_has_text_and_hint(language: Language) -> None:
    assert set(words.DISCARDS) == {discard.label for discard in Discard}
    for discard in Discard:
        assert words.discard_text(discard, language)
        assert words.discard_hint(discard, language)


READABLE_LENGTH_MAX = 200


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_reads_well_in_both_languages(reason: Reason) -> None:
    """Text, hint and what the customer is told: sentences, complete, and each language in its own words."""
    for say in (words.reason_text, words.reason_hint, words.customer_text):
        english, portuguese = (say(reason, language) for language in (Language.ENGLISH, Language.PORTUGUESE))
        if say is words.customer_text and reason.is_grant:
            assert english == portuguese == ""
            continue
        assert english != portuguese
        for said in (english, portuguese):
            assert said.endswith(".")
            assert said[0].isupper()
            assert 10 <= len(said) <= READABLE_LENGTH_MAX
            assert said == " ".join(said.split())
            assert not re.search(r"[{}%<>]|  |\bNone\b", said)
            assert said.count("`") % 2 == 0
            assert said.isprintable()


def test_no_two_reasons_read_the_same() -> None:
    for language in Language:
        assert len({words.reason_text(reason, language) for reason in Reason}) == len(Reason)


def test_fields_and_commands_in_hints_are_the_same_in_both_languages() -> None:
    def names(hint: str) -> list[str]:
        return sorted(re.findall(r"`[^`]+`|\b[a-z]+(?:_[a-z0-9]+)+\b|\bnet\.\w+", hint))

    for reason in Reason:
        english, portuguese = (words.reason_hint(reason, language) for language in Language)
        assert names(english) == names(portuguese), reason


def test_the_two_languages_differ() -> None:
    for reason in Reason:
        assert words.reason_text(reason, Language.PORTUGUESE) != words.reason_text(reason, Language.ENGLISH)
    assert words.reason_text(Reason.WRONG_PASSWORD, Language.PORTUGUESE) == "Senha errada."


@pytest.mark.parametrize("language", list(Language))
def test_r3_5_a_customer_cannot_tell_an_unknown_login_from_a_wrong_password(language: Language) -> None:
    told = {
        words.customer_text(reason, language)
        for reason in (
            Reason.UNKNOWN_LOGIN,
            Reason.WRONG_PASSWORD,
            Reason.PASSWORD_MISSING,
            Reason.METHOD_UNSUPPORTED,
            Reason.PASSWORD_STORED_AS_MD5,
            Reason.MAC_LOGIN_FROM_OTHER_DEVICE,
            Reason.NOT_FOR_ROUTER_ADMINISTRATION,
            Reason.NAME_INVALID,
            Reason.LOGIN_DELETED,
            Reason.RECORD_DAMAGED,
        )
    }
    assert len(told) == 1
    assert {reason.label for reason in Reason if words.customer_text(reason, language) in told} == words.BEFORE_PROOF
    assert words.customer_text(Reason.BLOCKED_AUTOMATICALLY, language) not in told


@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize("reason", list(Reason))
def test_what_a_customer_is_told_fits_a_reply_message(reason: Reason, language: Language) -> None:
    told = words.customer_text(reason, language)
    assert (told == "") == reason.is_grant
    assert len(told.encode()) <= REPLY_MESSAGE_OCTETS_MAX


@pytest.mark.parametrize(
    ("option", "configured", "environ", "chosen"),
    [
        (None, "auto", {}, "en"),
        (None, "auto", {"LANG": "pt_BR.UTF-8"}, "pt"),
        (None, "auto", {"LANG": "de_DE.UTF-8"}, "en"),
        (None, "auto", {"LANG": "en_US.UTF-8", "LC_ALL": "pt_PT"}, "pt"),
        (None, "auto", {"LANG": "pt_BR", "LC_ALL": "C"}, "en"),
        (None, "auto", {"LANG": "pt_BR", "LC_ALL": ""}, "pt"),
        (None, "en", {"LANG": "pt_BR"}, "en"),
        (None, "pt", {}, "pt"),
        ("en", "pt", {"LANG": "pt_BR"}, "en"),
        ("pt", "en", {}, "pt"),
        ("auto", "en", {}, "en"),
    ],
)
def test_the_language_is_by_option_then_configuration_then_locale(
    option: str | None, configured: str, environ: dict[str, str], chosen: str
) -> None:
    assert choose_language(option, configured, environ) == Language(chosen)


def test_fields_are_filled_in_and_braces_of_plain_texts_are_left_alone() -> None:
    assert words.text("{count} of {total}", Language.ENGLISH, count=1, total=2) == "1 of 2"
    assert words.text("a {brace", Language.ENGLISH) == "a {brace"
    assert words.Speaker(Language.PORTUGUESE)("The login was deleted.") == "O login foi excluído."
