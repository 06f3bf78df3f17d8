"""What a branch has set for the agenda: its parameters, ready to judge with.

Pure. Values inherit as in `aaad.policy.parameters`; one that is not valid counts as absent.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from aaad.policy.parameters import GENERAL, INHERITED, PARAMETERS, ParameterValue, is_valid

DAYS_BY_LAW = 15  # between notice and block: Anatel, resolution 765/2023


class BrakeTerms(NamedTuple):
    """How many contracts a day's runs may block (rule R8.4): a share of the active ones, but always a minimum."""

    percent: int = 10
    minimum: int = 50

    def allowance(self, active_count: int) -> int:
        """Return how many of so many contracts may be blocked."""
        return max(self.minimum, active_count * self.percent // 100)


class BranchTerms(NamedTuple):
    """The parameters of one branch that the ladder obeys."""

    require_notice: bool = True
    days_after_notice: int = DAYS_BY_LAW
    no_block_days: frozenset[str] = frozenset({"friday", "saturday", "sunday", "holiday", "holiday_eve"})
    from_hour: int = 8
    until_hour: int = 18
    singles_count: bool = False  # titles of no contract, and single ones, block, too (domain's rule of titles)

    @property
    def is_against_the_law(self) -> bool:
        """Whether blocks may come sooner after the notice than Anatel allows."""
        return not self.require_notice or self.days_after_notice < DAYS_BY_LAW


class Values(NamedTuple):
    """The parameters as they are set."""

    branches: Mapping[int, Mapping[str, str]]

    @classmethod
    def of(cls, rows: Iterable[ParameterValue]) -> "Values":
        """Gather the rows."""
        branches: dict[int, dict[str, str]] = {}
        for row in rows:
            parameter = PARAMETERS.get(row.name)
            if parameter is not None and row.value != INHERITED and is_valid(parameter, row.value, row.branch_id):
                branches.setdefault(row.branch_id, {})[row.name] = row.value
        return cls(branches)

    def text(self, name: str, branch_id: int = GENERAL) -> str:
        """Return what holds for a branch."""
        general = self.branches.get(GENERAL, {})
        return {**general, **self.branches.get(branch_id, {})}.get(name, PARAMETERS[name].default)

    def branch(self, branch_id: int) -> BranchTerms:
        """Return what the ladder obeys in a branch."""
        days = self.text("no_block_days", branch_id)
        return BranchTerms(
            require_notice=self.text("require_notice", branch_id) == "S",
            days_after_notice=int(self.text("days_after_notice", branch_id)),
            no_block_days=frozenset(days.split(";")) if days else frozenset(),
            from_hour=int(self.text("block_from_hour", branch_id)),
            until_hour=int(self.text("block_until_hour", branch_id)),
            singles_count=self.text("single_receivables_block", branch_id) == "S",
        )

    def brake(self) -> BrakeTerms:
        """Return the limits of a run."""
        return BrakeTerms(int(self.text("block_brake_percent")), int(self.text("block_brake_minimum")))
