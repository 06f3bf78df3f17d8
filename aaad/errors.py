"""The one exception tree: what can be wrong from outside.

An expected outcome (wrong password, unknown login) is a value and never stands here. What is caught at a
rim, counted and survived derives from AaadError; anything else is our own bug and is logged with traceback.
"""


class AaadError(Exception):
    """Something outside this program is not as it must be."""


class ConfigError(AaadError):
    """The configuration is wrong. Carries the key, the value (never a secret's) and what is allowed.

    `english` is what is allowed before its fields are filled in with `fields`, for who translates it.
    """

    def __init__(self, key: str, value: object, english: str, **fields: object) -> None:
        allowed = english.format(**fields) if fields else english
        super().__init__(f"{key}: {value!r} is not valid: {allowed}")
        self.key = key
        self.value = value
        self.allowed = allowed
        self.english = english
        self.fields = fields


class MistypedError(AaadError):
    """What a person typed cannot be. Carries the English text and the values of its fields, to be translated."""

    def __init__(self, english: str, **values: object) -> None:
        super().__init__(english.format(**values))
        self.english = english
        self.values = values


class ProtocolError(AaadError):
    """A peer sent what it must not."""


class MalformedPacket(ProtocolError):  # noqa: N818  the protocol's own word
    """A RADIUS datagram that RFC 2865 does not allow. The text names the rule that it broke."""


class ReserveError(AaadError):
    """A file of a process's reserve of addresses cannot be read."""


class StoreError(AaadError):
    """PostgreSQL is away, refuses, or did not answer in time.

    `may_have_committed`: the answer was lost, not the work. `sqlstate`, `constraint`, `table` and `column` say what
    PostgreSQL refused, if it did; `within`, in which function or trigger it was met, empty: in the statement itself.
    """

    def __init__(
        self,
        message: str,
        *,
        may_have_committed: bool = False,
        sqlstate: str | None = None,
        constraint: str | None = None,
        table: str | None = None,
        column: str | None = None,
        within: str = "",
    ) -> None:
        super().__init__(message)
        self.may_have_committed = may_have_committed
        self.within = within
        self.sqlstate = sqlstate
        self.constraint = constraint
        self.table = table
        self.column = column


class RouterError(AaadError):
    """A router's API is away, did not answer in time, or speaks another language. Its connection is closed."""


class RouterUntrusted(RouterError):  # noqa: N818  reads as the sentence it prints
    """A router's certificate is not one that is believed: nothing was told to it."""


class RouterLoginRefused(RouterError):  # noqa: N818  reads as the sentence it prints
    """A router does not take the user name and the password."""


class RouterTrap(RouterError):  # noqa: N818  the protocol's own word
    """A router refused one command, in its own words. Its connection goes on.

    Category 0 is a missing item or command, 1 an argument's value, 2 an interruption, 4 anything else.
    """

    def __init__(self, message: str, category: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.category = category


class SpoolError(AaadError):
    """The spool cannot be written or a segment cannot be read."""


class ReplicaError(AaadError):
    """The replica is missing, of another version, or damaged."""


class TablesUnreadable(ReplicaError):  # noqa: N818  reads as the sentence it prints
    """The replica's small tables cannot be decoded: it has to be built anew."""


class EmbeddedError(AaadError):
    """The embedded PostgreSQL cannot be started here; the text says why and what would help."""


class InvalidValue(AaadError):  # noqa: N818  reads as the sentence it prints
    """A field of the ERP's data is wrong. Carries the field's name and what is allowed."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message
