"""The configuration: one frozen tree, read from TOML, with its secret from the environment, a credential or a file.

Unknown keys are errors, each field says what it means, its unit and its range, and `config/aaad.example.toml` is
made from these declarations. Only `aaad/daemon/` and `aaad/cli/` read this tree; every other room gets plain values.
This module never prints, never logs and never lets a secret into an error or a repr.
"""

import difflib
import os
import socket
import stat
import textwrap
import tomllib
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    Strict,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from aaad.config_values import (
    DSN_ALLOWED,
    MIRROR_SECRET_ALLOWED,
    Address,
    Allowed,
    checked_dsn,
    checked_listener,
    checked_mirror_secret,
    checked_node_name,
    checked_peer,
    is_dsn,
    not_allowed_at,
    read_absolute_path,
    read_address,
    read_addresses,
    read_socket_folder,
)
from aaad.errors import ConfigError

DEFAULT_PATH = Path("/etc/aaad/aaad.toml")
PATH_VARIABLE = "AAAD_CONFIG"
DSN_VARIABLE = "AAAD_DATABASE_DSN"
DSN_CREDENTIAL = "database_dsn"
DSN_FILE = Path("/etc/aaad/database_dsn")
MIRROR_VARIABLE = "AAAD_MIRROR_SECRET"
MIRROR_CREDENTIAL = "mirror_secret"

_SECRETS = {
    ("database", "dsn"): (DSN_VARIABLE, DSN_CREDENTIAL),
    ("spool", "mirror_secret"): (MIRROR_VARIABLE, MIRROR_CREDENTIAL),
}
_HIDDEN = "(hidden)"
_WHOLE_FILE = "file"
_DSN_OCTETS_MAX = 65_536
_OTHERS = 0o007


def _(english: str) -> str:
    """Mark a text for translation."""
    return english


def _host_name() -> str:
    return socket.gethostname()


Whole = Annotated[int, Strict()]
Number = Annotated[float, Strict()]
AbsolutePath = Annotated[Path, BeforeValidator(read_absolute_path)]


def _whole(default: int, low: int, high: int, description: str, unit: str = "") -> Any:
    return Field(default, ge=low, le=high, description=description, json_schema_extra={"unit": unit})


def _number(default: float, low: float, high: float, description: str, unit: str = "") -> Any:
    return Field(
        default, ge=low, le=high, allow_inf_nan=False, description=description, json_schema_extra={"unit": unit}
    )


class _Section(BaseModel, extra="forbid", hide_input_in_errors=True, defer_build=True):
    model_config = ConfigDict(frozen=True, validate_default=True)


class NodeConfig(_Section):
    """This node: its name among the others and where its state lives."""

    name: Annotated[str, Strict(), AfterValidator(checked_node_name)] = Field(
        default_factory=_host_name,
        description="Name of this node in net.node; one per node for ever. Default: the host's name.",
    )
    state_dir: AbsolutePath = Field(
        default=Path("/var/lib/aaad"),
        description="Folder of the replica, the spool (precious), the journal and the counters; mode 0700.",
    )
    run_dir: Annotated[Path, BeforeValidator(read_socket_folder)] = Field(
        default=Path("/run/aaad"),
        description="Folder of the unix sockets of this node; mode 0750. Apart from state_dir: it may be cleared.",
    )

    @model_validator(mode="after")
    def _folders_are_apart(self) -> Self:
        state, run = (Path(os.path.normpath(folder)) for folder in (self.state_dir, self.run_dir))
        if state == run or state in run.parents or run in state.parents:
            raise not_allowed_at(
                "run_dir", str(self.run_dir), _("a folder that is not node.state_dir, nor inside it, nor around it")
            )
        return self


class DatabaseConfig(_Section):
    """PostgreSQL, the only truth. Several hosts may stand in the URI; the primary is used."""

    dsn: Annotated[SecretStr, AfterValidator(checked_dsn)] = Field(
        default=SecretStr(""),
        description=f"Secret. Where PostgreSQL is. {DSN_VARIABLE} goes before the systemd credential "
        f"{DSN_CREDENTIAL}, which goes before this key, which goes before dsn_file.",
        json_schema_extra={"allowed": DSN_ALLOWED, "example": "postgresql://aaad@localhost/aaad"},
    )
    dsn_file: AbsolutePath = Field(
        default=DSN_FILE,
        description="File with nothing in it but that URI, which others cannot read (mode 0600). The unit of systemd "
        "makes the credential of the usual one; a changed one is read by `systemctl restart`.",
    )
    connect_timeout_s: Number = _number(5.0, 0.1, 60.0, "Longest wait for a connection.", _("seconds"))
    statement_timeout_s: Number = _number(5.0, 0.1, 300.0, "Longest wait for one statement's answer.", _("seconds"))


class RadiusConfig(_Section):
    """The ports that the concentrators send to."""

    addresses: Annotated[tuple[Address, ...], BeforeValidator(read_addresses)] = Field(
        default=(IPv4Address("0.0.0.0"), IPv6Address("::")),  # noqa: S104  a RADIUS server is there to be reached
        description="Local addresses, one socket each. On a machine with several addresses name them: an answer "
        "leaves from the address that was asked only if its socket is bound to it.",
    )
    auth_port: Whole = _whole(1812, 1, 65535, "UDP port for Access-Request and Status-Server.")
    acct_port: Whole = _whole(
        1813, 1, 65535, "UDP port for accounting. A record is answered once it is safe on the disk."
    )
    processes: Whole = _whole(
        1,
        1,
        64,
        "Processes that answer, each on its own socket per address. One serves over 20,000 requests a second. More "
        "at a reload cost no request; fewer may cost those that just arrived, which the NAS sends again.",
    )
    receive_buffer_bytes: Whole = _whole(
        8_388_608,
        65_536,
        1_073_741_824,
        "Kernel buffer asked for per socket; the log tells what was got.",
        _("octets"),
    )
    peers_max: Whole = _whole(16_384, 16, 1_048_576, "Most routers remembered at once.", _("routers"))

    @model_validator(mode="after")
    def _ports_differ(self) -> Self:
        if self.auth_port == self.acct_port:
            raise not_allowed_at("acct_port", self.acct_port, _("a port other than radius.auth_port"))
        return self


class ReplicaConfig(_Section):
    """The node's own copy of what authentication reads."""

    map_size_bytes: Whole = _whole(
        17_179_869_184, 67_108_864, 1_099_511_627_776, "Largest size of the store; a sparse file.", _("octets")
    )
    poll_interval_s: Number = _number(
        0.5, 0.05, 1.0, "Longest time between two looks at the change log; a notification shortens it.", _("seconds")
    )
    brake_share: Number = _number(
        0.05,
        0.0,
        1.0,
        "Share of all logins that may lose access in one window before the rest is held back.",
        _("share"),
    )
    brake_minimum: Whole = _whole(
        50, 1, 10_000_000, "Fewer logins than this may always lose access in one window.", _("logins")
    )
    brake_window_s: Number = _number(300.0, 1.0, 86_400.0, "Length of the brake's window.", _("seconds"))
    checksum_interval_s: Number = _number(
        3600.0, 60.0, 604_800.0, "Time between two comparisons of the whole replica with PostgreSQL.", _("seconds")
    )
    change_log_keep_s: Number = _number(
        86_400.0,
        600.0,
        2_592_000.0,
        "Age at which the change log is pruned; an older node loads all anew.",
        _("seconds"),
    )


class OrdersConfig(_Section):
    """How changes become orders to the network. Their brake has the limits of section replica, for sessions."""

    sweep_interval_s: Number = _number(
        300.0, 10.0, 86_400.0, "Time between two looks at all sessions, also for what nobody told.", _("seconds")
    )
    clock_spread_s: Number = _number(
        300.0, 0.0, 3600.0, "Over how long changes by the clock, as of night speeds, are spread.", _("seconds")
    )


class SpoolConfig(_Section):
    """What the request path wants written, on disk before it is answered."""

    segment_bytes: Whole = _whole(16_777_216, 65_536, 1_073_741_824, "Size of one segment file.", _("octets"))
    keep_s: Number = _number(
        172_800.0, 0.0, 2_592_000.0, "How long drained segments stay, for a failover that lost commits.", _("seconds")
    )
    bytes_max: Whole = _whole(
        8_589_934_592, 1_048_576, 1_099_511_627_776, "Most disk that one process's spool may take.", _("octets")
    )
    mirror: Annotated[str, Strict(), AfterValidator(checked_peer)] = Field(
        default="",
        description="Where the one node is that keeps a copy of this node's spool on its own disk, host and port; a "
        "record is answered once it is there, too. Empty: no copy, and what is undrained is lost with this disk.",
    )
    mirror_listen: Annotated[str, Strict(), AfterValidator(checked_listener)] = Field(
        default="",
        description="Local address and TCP port at which this node takes copies of other nodes' spools. Empty: it "
        "takes none. What comes is proved by the secret and not encrypted.",
    )
    mirror_secret: Annotated[SecretStr, AfterValidator(checked_mirror_secret)] = Field(
        default=SecretStr(""),
        description=f"Secret of both nodes, needed with either of the two keys above. {MIRROR_VARIABLE} goes "
        f"before the systemd credential {MIRROR_CREDENTIAL}, which goes before this key.",
        json_schema_extra={"allowed": MIRROR_SECRET_ALLOWED},
    )
    mirror_timeout_s: Number = _number(
        0.2,
        0.01,
        0.5,
        "Longest wait for the copy. After it answers do without, until the copy is complete again.",
        _("seconds"),
    )
    mirror_bytes_max: Whole = _whole(
        17_179_869_184,
        4_194_304,
        1_099_511_627_776,
        "Most disk that the copies of other nodes' spools may take together.",
        _("octets"),
    )

    @model_validator(mode="after")
    def _two_segments_fit(self) -> Self:
        if self.bytes_max < 2 * self.segment_bytes:
            raise not_allowed_at("bytes_max", self.bytes_max, _("at least twice spool.segment_bytes"))
        return self


class JournalConfig(_Section):
    """Every decision of the last days with its facts, for `aaad why`."""

    bytes_max: Whole = _whole(
        268_435_456, 1_048_576, 1_099_511_627_776, "Most disk that one process's journal may take.", _("octets")
    )
    segment_bytes: Whole = _whole(16_777_216, 65_536, 1_073_741_824, "Size of one segment file.", _("octets"))

    @model_validator(mode="after")
    def _two_segments_fit(self) -> Self:
        if self.bytes_max < 2 * self.segment_bytes:
            raise not_allowed_at("bytes_max", self.bytes_max, _("at least twice journal.segment_bytes"))
        return self


class MetricsConfig(_Section):
    """Where Prometheus and health checks ask."""

    address: Annotated[Address, BeforeValidator(read_address)] = Field(
        default=IPv4Address("127.0.0.1"), description="Local address of the HTTP port for /metrics and /health."
    )
    port: Whole = _whole(9812, 1, 65535, "TCP port of /metrics and /health.")


class LogConfig(_Section):
    """What is written to standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least level that is written."
    )
    format: Literal["json", "console"] = Field(
        default="json", description="One JSON object a line, or text for people."
    )


class SupervisorConfig(_Section):
    """How the processes of this node are kept alive."""

    backoff_initial_s: Number = _number(
        0.1, 0.01, 10.0, "Wait before the second restart in a row; the first is at once.", _("seconds")
    )
    backoff_max_s: Number = _number(30.0, 0.1, 600.0, "Longest wait before a restart.", _("seconds"))
    drain_timeout_s: Number = _number(
        5.0, 0.5, 30.0, "How long a stopping process may finish what it holds before it is killed.", _("seconds")
    )


class CliConfig(_Section):
    """What operators see at the command line."""

    language: Literal["auto", "pt", "en"] = Field(
        default="auto", description="Language; auto asks the environment (LANG)."
    )
    trust_local_account: Annotated[bool, Strict()] = Field(
        default=False,
        description="Whether who gives no --operator may everything; else he is the operator named like his account.",
    )


class Config(_Section):
    """The whole configuration of one node."""

    node: NodeConfig = Field(default_factory=NodeConfig)
    database: DatabaseConfig = Field(default_factory=DatabaseConfig)
    radius: RadiusConfig = Field(default_factory=RadiusConfig)
    replica: ReplicaConfig = Field(default_factory=ReplicaConfig)
    orders: OrdersConfig = Field(default_factory=OrdersConfig)
    spool: SpoolConfig = Field(default_factory=SpoolConfig)
    journal: JournalConfig = Field(default_factory=JournalConfig)
    metrics: MetricsConfig = Field(default_factory=MetricsConfig)
    log: LogConfig = Field(default_factory=LogConfig)
    supervisor: SupervisorConfig = Field(default_factory=SupervisorConfig)
    cli: CliConfig = Field(default_factory=CliConfig)


def load_config(path: Path, environ: Mapping[str, str], *, needs_database: bool = True) -> Config:
    """Return the configuration in this file; ConfigError names the first key that is wrong."""
    return parse_config(read_config_text(path), environ, needs_database=needs_database)


def read_config_text(path: Path) -> str:
    """Return the file's text; ConfigError if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(_WHOLE_FILE, str(path), _("a file that can be read ({why})"), why=error.strerror) from None
    except UnicodeDecodeError:
        raise ConfigError(_WHOLE_FILE, str(path), _("a text file in UTF-8")) from None


def parse_config(text: str, environ: Mapping[str, str], *, needs_database: bool = True) -> Config:
    """Return the configuration in this TOML text, completed with the secret from elsewhere.

    Who never asks PostgreSQL does not need to know where it is: without `needs_database` the DSN may be missing, or
    lie where this account cannot read, and is empty then.
    """
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        # The text of the error tells line and column, never the value, which may be a secret.
        raise ConfigError(_WHOLE_FILE, _HIDDEN, "TOML: {error}", error=error) from None
    try:
        _add_secrets(tree, environ)
        config = Config.model_validate(tree)
    except ValidationError as error:
        details = error.errors(include_url=False)
    else:
        return _with_dsn(config, needs_database=needs_database)
    # Raised outside the handler: pydantic's own error holds the input, and so perhaps a secret.
    raise _explained(details[0], tree)


def _add_secrets(tree: dict[str, Any], environ: Mapping[str, str]) -> None:
    for (name, key), (variable, credential) in _SECRETS.items():
        secret = environ.get(variable) or _credential(environ, credential)
        section = tree.setdefault(name, {}) if secret is not None else None
        if isinstance(section, dict):
            section[key] = secret


def _with_dsn(config: Config, *, needs_database: bool) -> Config:
    """Return the configuration with the DSN of its file, if it stands nowhere else."""
    database = config.database
    if database.dsn.get_secret_value():
        return config
    try:
        dsn = _dsn_in(database.dsn_file)
    except OSError as error:
        if not needs_database:
            return config
        if isinstance(error, FileNotFoundError) and database.dsn_file == DSN_FILE:
            raise ConfigError("database.dsn", None, DSN_ALLOWED) from None
        allowed = _("a file that this account can read ({why})")
        raise ConfigError("database.dsn_file", str(database.dsn_file), allowed, why=error.strerror) from None
    return config.model_copy(update={"database": database.model_copy(update={"dsn": dsn})})


def require_mirror_secret(config: Config) -> None:
    """ConfigError if a copy of a spool is to be sent or taken and the secret is missing. For who does either."""
    spool = config.spool
    if (spool.mirror or spool.mirror_listen) and not spool.mirror_secret.get_secret_value():
        raise ConfigError("spool.mirror_secret", None, MIRROR_SECRET_ALLOWED)


def _dsn_in(path: Path) -> SecretStr:
    """Return the DSN in a file; OSError if it cannot be read, ConfigError if it cannot be used."""
    with path.open("rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        text = file.read(_DSN_OCTETS_MAX).decode("utf-8", "replace").strip()
    if mode & _OTHERS:
        raise ConfigError("database.dsn_file", str(path), _("a file that others cannot read: chmod 0600"))
    if not is_dsn(text):
        allowed = _("a file that holds a PostgreSQL URI such as postgresql://aaad@db1,db2:5433/aaad")
        raise ConfigError("database.dsn_file", str(path), allowed)
    return SecretStr(text)


def _credential(environ: Mapping[str, str], name: str) -> str | None:
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        return None
    try:
        return (Path(folder) / name).read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError):
        raise ConfigError(f"credential {name}", _HIDDEN, _("a UTF-8 text file that this account can read")) from None


def _explained(detail: ErrorDetails, tree: Mapping[str, Any]) -> ConfigError:
    path = [str(part) for part in detail["loc"]]
    context = detail.get("ctx", {})
    if detail["type"] == "not_allowed_at":
        return _error(".".join([*path, context["key"]]), context["value"], context["allowed"])
    if detail["type"] == "extra_forbidden":
        return _error(".".join(path), _shown(path, tree), _known_keys(path))
    section, field = _declaration(path)
    if field is None:
        return _error(
            ".".join(path), _shown(path, tree), Allowed(_("a table [{section}] of keys"), {"section": section})
        )
    return _error(".".join(path[:2]), _shown(path[:2], tree), context.get("allowed") or _allowed(field))


def _error(key: str, value: object, allowed: Allowed) -> ConfigError:
    return ConfigError(key, value, allowed.english, **allowed.fields)


def _declaration(path: list[str]) -> tuple[str, FieldInfo | None]:
    section = _sections()[path[0]]
    return path[0], section.model_fields[path[1]] if len(path) > 1 else None


def _sections() -> dict[str, type[BaseModel]]:
    return {
        name: field.annotation
        for name, field in Config.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
    }


def _shown(path: list[str], tree: Mapping[str, Any]) -> object:
    value: object = tree
    for part in path:
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    known = set(_sections()) if len(path) == 1 else set(_sections()[path[0]].model_fields)
    secret_or_unknown = path[-1] not in known or tuple(path) in _SECRETS or path == ["database", "dsn_file"]
    # An unknown key may be a misspelt secret, and a table that is no table may hold anything.
    return _HIDDEN if secret_or_unknown or isinstance(value, dict) or path in (["database"], ["spool"]) else value


def _known_keys(path: list[str]) -> Allowed:
    known = list(_sections()) if len(path) == 1 else list(_sections()[path[0]].model_fields)
    near = difflib.get_close_matches(path[-1], known, n=1)
    if not near:
        return Allowed(_("unknown key, known here are {known}"), {"known": ", ".join(known)})
    fields = {"known": ", ".join(known), "near": near[0]}
    return Allowed(_("unknown key, known here are {known}; {near} is meant?"), fields)


def _limits(field: FieldInfo) -> tuple[Any, Any]:
    low = next((item.ge for item in field.metadata if hasattr(item, "ge")), None)
    high = next((item.le for item in field.metadata if hasattr(item, "le")), None)
    return low, high


def _extra(field: FieldInfo, name: str) -> str:
    extra = field.json_schema_extra
    return str(extra.get(name, "")) if isinstance(extra, dict) else ""


def _allowed(field: FieldInfo) -> Allowed:
    low, high = _limits(field)
    if low is not None:
        return _range(field, low, high)
    if field.annotation is bool:
        return Allowed(_("true or false"))
    choices = getattr(field.annotation, "__args__", ())
    if choices and all(isinstance(choice, str) for choice in choices):
        return Allowed(_("one of {choices}"), {"choices": ", ".join(choices)})
    return Allowed(_extra(field, "allowed") or _("text"))


def _range(field: FieldInfo, low: float, high: float) -> Allowed:
    unit, is_whole = _extra(field, "unit"), field.annotation is int
    fields = {"low": low, "high": high} if is_whole else {"low": f"{low:g}", "high": f"{high:g}"}
    if unit:
        english = (
            _("a whole number from {low} to {high} ({unit})")
            if is_whole
            else _("a number from {low} to {high} ({unit})")
        )
        return Allowed(english, {**fields, "unit": unit})
    return Allowed(
        _("a whole number from {low} to {high}") if is_whole else _("a number from {low} to {high}"), fields
    )


def _plain(number: float) -> str:
    return str(int(number)) if number == int(number) else str(number)


def example_toml() -> str:
    """Return the example file: every key with its meaning, unit and range, set to its default in a comment."""
    lines = [
        "# Configuration of aaad. Made from the declarations in aaad/config.py by `make example`: do not edit it in",
        "# the source tree. A key that is not set has the value shown. Unknown keys are errors; try",
        "# `aaad check --config FILE`. SIGHUP (systemctl reload aaad) reads it again; a bad file changes nothing.",
    ]
    for name, section in _sections().items():
        lines += ["", f"# {section.__doc__}", f"[{name}]"]
        for key, field in section.model_fields.items():
            lines += _example_key(key, field)
    return "\n".join(lines) + "\n"


def _example_key(key: str, field: FieldInfo) -> Iterator[str]:
    allowed = str(_allowed(field))
    tells_more = _limits(field)[0] is not None or allowed.startswith("one of")
    described = f"{field.description} {allowed[0].upper()}{allowed[1:]}." if tells_more else str(field.description)
    for line in textwrap.wrap(described, 108):
        yield f"# {line}"
    yield f"#{key} = {_toml_value(field)}"


def _toml_value(field: FieldInfo) -> str:
    if field.annotation is SecretStr:
        return f'"{_extra(field, "example")}"'
    if field.default_factory is not None:
        return '"node1"'
    default = field.default
    if isinstance(default, tuple):
        return "[" + ", ".join(f'"{item}"' for item in default) + "]"
    if isinstance(default, bool):
        return "true" if default else "false"
    return f"{default}" if isinstance(default, int | float) else f'"{default}"'
