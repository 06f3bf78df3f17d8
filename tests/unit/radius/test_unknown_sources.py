"""Which addresses ask and are no NAS: bounded against forgers, forgotten when silent or registered."""

from aaad.radius.unknown_sources import FORGOTTEN_S, SOURCES_MAX, UnknownSources

NOW_S = 1_000_000.0
ADDRESS = "192.0.2.1"


def addresses(sources: UnknownSources) -> set[str]:
    return {row["source_address"] for row in sources.rows()}


def test_an_address_is_told_with_its_count_and_times() -> None:
    sources = UnknownSources()
    for later_s in (0, 1, 5):
        sources.note(ADDRESS, NOW_S + later_s)
    (row,) = sources.rows()
    assert row == {"source_address": ADDRESS, "count": 3, "first_at_s": NOW_S, "last_at_s": NOW_S + 5}


def test_a_flood_of_forged_addresses_neither_grows_it_nor_pushes_out_who_asks_again() -> None:
    sources = UnknownSources()
    sources.note(ADDRESS, NOW_S)
    sources.note(ADDRESS, NOW_S)
    for number in range(1_000):
        sources.note(f"198.51.100.{number}", NOW_S + number / 1_000)
    assert len(sources.rows()) == SOURCES_MAX
    assert {ADDRESS, "198.51.100.999"} < addresses(sources)
    assert "198.51.100.0" not in addresses(sources)


def test_who_fell_silent_or_was_registered_is_forgotten() -> None:
    sources = UnknownSources()
    for number in range(3):
        sources.note(f"192.0.2.{number}", NOW_S + number)
    sources.forget(NOW_S + FORGOTTEN_S + 0.5, lambda address: address == "192.0.2.1")
    assert addresses(sources) == {"192.0.2.2"}
