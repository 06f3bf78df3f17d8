"""Parameters: the closed list, what values are valid, how branches inherit, and that no bad value refuses anybody."""

import pytest

from aaad.policy.parameters import (
    GENERAL,
    PARAMETERS,
    BranchPolicy,
    ParameterKind,
    compile_policies,
    is_valid,
    parameter_problems,
    policy_of,
)
from aaad.replica.record import ParameterRow

FIELDS_OF_NO_PARAMETER = {"branch_id", "utc_offset_s"}
MATRIZ, FILIAL = 1, 2


def compiled(*rows: tuple[str, int, str]) -> dict[int, BranchPolicy]:
    return compile_policies([ParameterRow(*row) for row in rows], {MATRIZ: -10_800, FILIAL: -18_000})


def test_every_field_of_a_policy_is_a_parameter_with_the_same_default() -> None:
    assert set(BranchPolicy._fields) - FIELDS_OF_NO_PARAMETER <= PARAMETERS.keys()
    rows = [
        ParameterRow(parameter.name, GENERAL, parameter.default)
        for parameter in PARAMETERS.values()
        if parameter.name in BranchPolicy._fields
    ]
    assert compile_policies(rows, {}) == compile_policies([], {}) == {GENERAL: BranchPolicy(GENERAL)}


@pytest.mark.parametrize("name", PARAMETERS)
def test_every_parameter_says_what_it_is(name: str) -> None:
    parameter = PARAMETERS[name]
    assert parameter.name == name
    assert parameter.description.endswith(".")
    assert parameter.allowed
    assert is_valid(parameter, parameter.default, GENERAL)
    assert (parameter.minimum < parameter.maximum) == (parameter.kind is ParameterKind.NUMBER)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("blocked_state", "S", True),
        ("blocked_state", "N", True),
        ("blocked_state", "s", False),
        ("blocked_state", "", False),
        ("blocked_upload", "512k", True),
        ("blocked_upload", "1M", True),
        ("blocked_upload", "0k", False),
        ("blocked_upload", "1G", False),
        ("blocked_upload", "", False),
        ("ipv4_pool", "pool bloqueados-1", True),
        ("ipv4_pool", "", True),
        ("ipv4_pool", " pool", False),
        ("ipv4_pool", "piscina não", False),
        ("ipv4_pool", "a" * 128, True),
        ("ipv4_pool", "a" * 129, False),
        ("dns", "1.1.1.1", True),
        ("dns", "1.1.1.1;2606:4700:4700::1111", True),
        ("dns", "", True),
        ("dns", "1.1.1.1; 8.8.8.8", False),
        ("dns", "1.1.1.1,8.8.8.8", False),
        ("dns", "2606:4700:4700:0::1111", False),
        ("dns", "0.0.0.0", False),
        ("dns", ";".join(["1.1.1.1"] * 9), False),
        ("session_timeout_max_s", "60", True),
        ("session_timeout_max_s", "59", False),
        ("session_timeout_max_s", "31536001", False),
        ("session_timeout_max_s", "086400", False),
        ("session_timeout_max_s", "-1", False),
        ("session_timeout_max_s", "\u0666\u0660", False),
        ("strip_realms", "*", True),
        ("strip_realms", "isp.example;b", True),
        ("strip_realms", "", True),
        ("strip_realms", "a;*", False),
        ("strip_realms", "@a", False),
        ("default_realm", "isp.example", True),
        ("default_realm", "a;b", False),
        ("default_realm", "a" * 63, False),
        ("no_block_days", "friday;holiday_eve", True),
        ("no_block_days", "", True),
        ("no_block_days", "sexta", False),
        ("password_length", "12", True),
        ("password_length", "65", False),
        ("trust_unlock_days", "31", False),
    ],
)
def test_what_values_are_valid(name: str, value: str, expected: bool) -> None:
    assert is_valid(PARAMETERS[name], value, GENERAL) is expected
    assert (parameter_problems([ParameterRow(name, GENERAL, value)]) == []) is expected


def test_only_a_branch_inherits() -> None:
    assert is_valid(PARAMETERS["mac_bind"], "P", MATRIZ)
    assert not is_valid(PARAMETERS["mac_bind"], "P", GENERAL)


@pytest.mark.parametrize(
    ("general", "branch", "expected"),
    [
        ("", "", False),  # the default
        ("S", "", True),
        ("S", "P", True),
        ("S", "N", False),
        ("N", "S", True),
        ("N", "P", False),
        ("", "P", False),
        ("", "S", True),
        ("x", "P", False),
        ("S", "x", True),  # a bad value counts as absent
        ("P", "P", False),
    ],
)
def test_a_switch_of_a_branch_is_its_own_or_the_general_one(general: str, branch: str, expected: bool) -> None:
    rows = [("blocked_state", GENERAL, general), ("blocked_state", FILIAL, branch)]
    policies = compiled(*(row for row in rows if row[2]))
    assert policies[FILIAL].blocked_state is expected
    assert policies[MATRIZ].blocked_state is policies[GENERAL].blocked_state is (general == "S")


def test_texts_inherit_where_they_are_absent_and_may_be_emptied() -> None:
    policies = compiled(
        ("blocked_address_list", GENERAL, "blocked"),
        ("blocked_address_list", FILIAL, ""),
        ("dns", MATRIZ, "9.9.9.9;149.112.112.112"),
        ("session_timeout_max_s", FILIAL, "3600"),
        ("strip_realms", GENERAL, "*"),
        ("default_realm", GENERAL, "isp.example"),
    )
    assert [policies[branch].blocked_address_list for branch in (0, 1, 2)] == ["blocked", "blocked", ""]
    assert policies[MATRIZ].dns == ("9.9.9.9", "149.112.112.112")
    assert policies[GENERAL].dns == policies[FILIAL].dns == ()
    assert [policies[branch].session_timeout_max_s for branch in (0, 1, 2)] == [86_400, 86_400, 3600]
    assert {policies[branch].strip_realms for branch in (0, 1, 2)} == {("*",)}
    assert policies[FILIAL].default_realm == "isp.example"


def test_every_branch_has_its_zone_and_its_number() -> None:
    policies = compiled(("blocked_state", 9, "S"))
    assert {number: policy.utc_offset_s for number, policy in policies.items()} == {
        GENERAL: -10_800,
        MATRIZ: -10_800,
        FILIAL: -18_000,
        9: -10_800,
    }
    assert all(policy.branch_id == number for number, policy in policies.items())


def test_an_unknown_branch_has_the_general_policy() -> None:
    policies = compiled(("blocked_state", GENERAL, "S"), ("blocked_state", FILIAL, "N"))
    assert policy_of(policies, 77) == policies[GENERAL]
    assert policy_of(policies, FILIAL) == policies[FILIAL]


def test_bad_values_change_nothing_and_are_told() -> None:
    rows = [
        ("blocked_upload", GENERAL, "fast"),
        ("dns", FILIAL, "example.com"),
        ("session_timeout_max_s", FILIAL, "never"),
        ("no_such_parameter", GENERAL, "S"),
        ("blocked_state", GENERAL, "S"),
    ]
    expected = BranchPolicy(FILIAL, utc_offset_s=-18_000, blocked_state=True)
    assert compiled(*rows)[FILIAL] == expected
    problems = parameter_problems([ParameterRow(*row) for row in rows])
    expected_beginnings = [
        "parameter blocked_upload in general: 'fast' is not valid, allowed: a speed",
        "parameter dns of branch 2: 'example.com' is not valid, allowed: one to eight",
        "parameter session_timeout_max_s of branch 2: 'never' is not valid, allowed: a whole number from",
        "there is no parameter 'no_such_parameter'",
    ]
    assert len(problems) == len(expected_beginnings)
    for problem, beginning in zip(problems, expected_beginnings, strict=True):
        assert problem.startswith(beginning)
