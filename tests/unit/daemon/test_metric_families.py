"""Every metric in the source is described once, named by the habits of Prometheus, and the document is current."""

import re
from pathlib import Path

import pytest

import aaad
from aaad.daemon.metric_families import FAMILIES, HISTOGRAMS, Kind, document, kind_of
from aaad.radius.counters import RADIUS_COUNTERS

PACKAGE = Path(aaad.__file__).parent
DOCUMENT = PACKAGE.parent / "docs" / "metrics.md"
NAME_IN_SOURCE = re.compile(r'"(aaad_[a-z0-9_]+[a-z])["|%]')
NOT_METRICS = {"aaad_change", "aaad_question", "aaad_answer", "aaad_order"}  # channels of PostgreSQL
UNITS = (
    "_total",
    "_seconds",
    "_bytes",
    "_records",
    "_info",
    "_complete",
    "_readable",
    "_logins",
    "_up",
    "_holds",
    "_at_risk",
    "_successful",
    "_addresses",
    "_findings",
    "_alarmed",
    "_adopting",
    "_orders",
    "_concentrators",
    "_silent",
    "_threads",
    "_wanted",
    "_stage",
    "_connections",
)


def names_in_the_source() -> set[str]:
    found: set[str] = set()
    for path in PACKAGE.rglob("*.py"):
        found |= set(NAME_IN_SOURCE.findall(path.read_text()))
    return found - NOT_METRICS


def test_every_name_in_the_source_is_described() -> None:
    assert names_in_the_source() - set(FAMILIES) == set()


def test_everything_described_is_in_the_source() -> None:
    elsewhere = set()
    for path in PACKAGE.rglob("*.py"):
        if path.name != "metric_families.py":
            elsewhere |= set(re.findall(r"aaad_[a-z0-9_]+", path.read_text()))
    assert set(FAMILIES) - elsewhere == set()


def test_every_counter_of_the_request_path_is_described_with_its_labels() -> None:
    for name in RADIUS_COUNTERS:
        family, *pairs = name.split("%")[0].split("|")
        assert FAMILIES[family].labels == ("slot", *(pair.partition("=")[0] for pair in pairs)), name
        assert ("%" in name) == (family in HISTOGRAMS)


def test_the_document_is_current() -> None:
    assert DOCUMENT.read_text() == document(), "run: python -m aaad.daemon.metric_families > docs/metrics.md"


@pytest.mark.parametrize("name", FAMILIES)
def test_names_tell_their_unit(name: str) -> None:
    assert name.endswith(UNITS)
    assert FAMILIES[name].meaning.endswith(".")
    if kind_of(name) is not Kind.COUNTER:
        assert not name.endswith("_count")
