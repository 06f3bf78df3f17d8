"""What is counted of one router, or of all that came from one address without proving a secret (rule R10). Pure.

Beside the counts of what is wrong stands when it was last seen, so that what was put right stops being told.
"""

_OWN_STATE = {"waiting", "unwatched_accepts", "unwatched_resent", "unwatched_since_s"}


class RouterStatistics:
    """Counts of one router since the process began, and when what is wrong with it was last seen (rule R10)."""

    __slots__ = (
        "accepts_without_start",
        "accounting_bad_authenticators",
        "accounting_heard",
        "bad_authenticators",
        "bad_authenticators_at_s",
        "doubted_accepts",
        "doubted_at_s",
        "doubted_resent",
        "granted",
        "late",
        "proven_at_s",
        "refused",
        "requests",
        "resent",
        "starts_unmatched",
        "unreadable_passwords",
        "unsigned_dropped",
        "unsigned_dropped_at_s",
        "unwatched_accepts",
        "unwatched_resent",
        "unwatched_since_s",
        "waiting",
        "without_start_at_s",
    )

    def __init__(self) -> None:
        """Begin at zero."""
        self.requests = 0
        self.granted = 0
        self.refused = 0
        self.resent = 0
        self.late = 0
        self.bad_authenticators = 0
        self.bad_authenticators_at_s = 0.0
        self.unsigned_dropped = 0
        self.unsigned_dropped_at_s = 0.0
        self.accounting_heard = 0  # Accounting-Requests that proved a secret
        self.accounting_bad_authenticators = 0
        self.accepts_without_start = 0
        self.without_start_at_s = 0.0
        self.starts_unmatched = 0  # Starts of sessions that another process may have let in
        # Of requests that prove no secret (CHAP without signature), since one was last proven:
        self.doubted_accepts = 0  # Accepts without a Start
        self.doubted_resent = 0
        self.unreadable_passwords = 0  # of known logins by PAP: garbage under every secret of the entry
        self.doubted_at_s = 0.0
        self.proven_at_s = 0.0
        # Accepts to such requests that no Start can be joined to, and copies asked since, in a window: see `Router`.
        self.unwatched_accepts = 0
        self.unwatched_resent = 0
        self.unwatched_since_s = 0.0
        # Accepts that wait for their Start, by Acct-Session-Id in the order of their times: Unix seconds, negative
        # where nothing proved the secret that signed the answer. See `starts`.
        self.waiting: dict[bytes, float] = {}

    def as_dict(self) -> dict[str, int | float]:
        """Return the counts by name."""
        return {name: getattr(self, name) for name in self.__slots__ if name not in _OWN_STATE}
