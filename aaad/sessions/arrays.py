"""Arrays for PostgreSQL, written as text.

Pure. The driver looks at each element of an array in several ways before it packs it; a text it takes as it is.
"""

from collections.abc import Iterable


def array(values: Iterable[object]) -> str:
    """Return an array of numbers, or of texts that need no quotes; None is null."""
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


def keys(families: Iterable[bytes]) -> str:
    """Return an array of uuids."""
    return "{" + ",".join([family.hex() for family in families]) + "}"


def texts(values: Iterable[str | None]) -> str:
    """Return an array of any texts."""
    return "{" + ",".join(["NULL" if value is None else _quoted(value) for value in values]) + "}"


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
