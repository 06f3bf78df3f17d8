"""Types commands of RouterOS's command line into a simulated router, as far as the doctor writes them."""

import re

from aaad.simulator.routeros_tables import Router

_WORDS = re.compile(r'\[find ([^\]]*)\]|((?:"(?:\\.|[^"\\])*"|[^\s"\[])+)')


def type_in(router: Router, line: str) -> None:
    """Carry out a line; Trap, or KeyError, if the router does not know it."""
    for command in line.split("; "):
        _type_one(router, command)


def _type_one(router: Router, command: str) -> None:
    path, arguments, chosen = [], {}, None
    for found in _WORDS.finditer(command):
        if found[1] is not None:
            chosen = dict([_pair(found[1])])
        elif "=" in found[2]:
            name, value = _pair(found[2])
            arguments[name] = value
        else:
            path.append(found[2])
    *place, verb = path
    table = router.table("/".join(place))
    if chosen is not None:
        rows = [row for row in table.all_rows() if chosen.items() <= row.items()]
        assert rows, f"{command}: nothing is found"
        arguments[".id"] = ",".join(row[".id"] for row in rows)
    router.run(f"{'/'.join(place)}/{verb}", arguments, [])


def _pair(word: str) -> tuple[str, str]:
    name, _, value = word.partition("=")
    if value.startswith('"'):
        value = re.sub(r"\\(.)", r"\1", value[1:-1])
    return name, value
