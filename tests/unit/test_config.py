"""The configuration: what is allowed, what is said about what is not, and that no secret is ever shown."""

import re
from ipaddress import ip_address
from pathlib import Path

import pytest

from aaad.cli.options import Options
from aaad.cli.terminal import Terminal
from aaad.config import Config, example_toml, load_config, parse_config, require_mirror_secret
from aaad.config_values import endpoint
from aaad.errors import ConfigError

ROOT = Path(__file__).parents[2]
DSN = "postgresql://aaad:secret-word@db.example/aaad"
ENVIRON = {"AAAD_DATABASE_DSN": DSN}

KNOWN_RADIUS = "addresses, auth_port, acct_port, processes, receive_buffer_bytes, peers_max"
ADDRESSES = (
    'a list of 1 to 64 different IP addresses of this machine, such as ["192.0.2.1", "2001:db8::1"]; '
    "0.0.0.0 or :: stands alone in its family"
)

PEER = "empty, or host and port such as 192.0.2.2:1814 or [2001:db8::2]:1814"
LISTENER = "empty, or an IP address and a port such as 192.0.2.2:1814 or [2001:db8::2]:1814"
MIRROR_SECRET = (
    "at least 16 characters, the same on both nodes; here, in the environment variable AAAD_MIRROR_SECRET or in the "
    "systemd credential mirror_secret"
)
APART = "a folder that is not node.state_dir, nor inside it, nor around it"
BAD_FILES = [
    ("[radius]\nauth_port = 0", "radius.auth_port: 0 is not valid: a whole number from 1 to 65535"),
    ("[radius]\nauth_port = '1812'", "radius.auth_port: '1812' is not valid: a whole number from 1 to 65535"),
    ("[radius]\nauth_port = true", "radius.auth_port: True is not valid: a whole number from 1 to 65535"),
    ("[radius]\nauth_port = 1812.5", "radius.auth_port: 1812.5 is not valid: a whole number from 1 to 65535"),
    ("[radius]\nauth_port = 1813", "radius.acct_port: 1813 is not valid: a port other than radius.auth_port"),
    (
        "[spool]\nbytes_max = 2000000",
        "spool.bytes_max: 2000000 is not valid: at least twice spool.segment_bytes",
    ),
    (
        "[journal]\nbytes_max = 2000000",
        "journal.bytes_max: 2000000 is not valid: at least twice journal.segment_bytes",
    ),
    (
        "[spool]\nmirror = '192.0.2.2'",
        f"spool.mirror: '192.0.2.2' is not valid: {PEER}",
    ),
    (
        "[spool]\nmirror = 'peer:0'",
        f"spool.mirror: 'peer:0' is not valid: {PEER}",
    ),
    (
        "[spool]\nmirror_listen = 'peer:1814'",
        f"spool.mirror_listen: 'peer:1814' is not valid: {LISTENER}",
    ),
    *(
        (
            f"[spool]\nmirror_secret = {secret}",
            f"spool.mirror_secret: '(hidden)' is not valid: {MIRROR_SECRET}",
        )
        for secret in ("'short'", "3")
    ),
    ("[spool]\nmirror_timeout_s = 3", "spool.mirror_timeout_s: 3 is not valid: a number from 0.01 to 0.5 (seconds)"),
    *(
        (
            f"[node]\nstate_dir = '/srv/aaad'\nrun_dir = '{folder}'",
            f"node.run_dir: '{folder}' is not valid: {APART}",
        )
        for folder in ("/srv/aaad", "/srv/x/../aaad", "/srv/aaad/run", "/srv")
    ),
    ("[replica]\npoll_interval_s = 4", "replica.poll_interval_s: 4 is not valid: a number from 0.05 to 1 (seconds)"),
    (
        "[replica]\nbrake_window_s = nan",
        "replica.brake_window_s: nan is not valid: a number from 1 to 86400 (seconds)",
    ),
    (
        "[replica]\nbrake_window_s = inf",
        "replica.brake_window_s: inf is not valid: a number from 1 to 86400 (seconds)",
    ),
    (
        "[radius]\nauth_prot = 1812",
        f"radius.auth_prot: '(hidden)' is not valid: unknown key, known here are {KNOWN_RADIUS}; auth_port is meant?",
    ),
    ("[radius]\naddresses = []", f"radius.addresses: [] is not valid: {ADDRESSES}"),
    ("[radius]\naddresses = ['nas']", f"radius.addresses: ['nas'] is not valid: {ADDRESSES}"),
    ("[radius]\naddresses = '192.0.2.1'", f"radius.addresses: '192.0.2.1' is not valid: {ADDRESSES}"),
    (
        "[radius]\naddresses = ['192.0.2.1', '192.0.2.1']",
        f"radius.addresses: ['192.0.2.1', '192.0.2.1'] is not valid: {ADDRESSES}",
    ),
    (
        "[radius]\naddresses = ['0.0.0.0', '192.0.2.1']",
        f"radius.addresses: ['0.0.0.0', '192.0.2.1'] is not valid: {ADDRESSES}",
    ),
    ("[metrics]\naddress = 'localhost'", "metrics.address: 'localhost' is not valid: one IP address as text"),
    ("[log]\nlevel = 'loud'", "log.level: 'loud' is not valid: one of debug, info, warning, error"),
    ("[log]\nformat = 3", "log.format: 3 is not valid: one of json, console"),
    ("[cli]\ntrust_local_account = 'yes'", "cli.trust_local_account: 'yes' is not valid: true or false"),
    ("[node]\nstate_dir = 'var'", "node.state_dir: 'var' is not valid: an absolute path"),
    (
        f"[node]\nrun_dir = '/{'x' * 90}'",
        f"node.run_dir: '/{'x' * 90}' is not valid: an absolute path of at most 90 octets",
    ),
    (
        "[node]\nname = 'a b'",
        (
            "node.name: 'a b' is not valid: "
            "1 to 63 letters, digits, dots, hyphens and underscores, beginning with a letter or digit"
        ),
    ),
    ("node = 3", "node: 3 is not valid: a table [node] of keys"),
    ("[replica]\nbrake_share = 1.5", "replica.brake_share: 1.5 is not valid: a number from 0 to 1 (share)"),
    (
        "[cache]\nsize = 1",
        (
            "cache: '(hidden)' is not valid: unknown key, known here are "
            "node, database, radius, replica, orders, spool, journal, metrics, log, supervisor, cli"
        ),
    ),
    (
        "[node]\nname = ",
        "file: '(hidden)' is not valid: TOML: Invalid value (at end of document)",
    ),
]


@pytest.mark.parametrize(("text", "message"), BAD_FILES, ids=[message.split(":")[0] for _, message in BAD_FILES])
def test_a_bad_file_is_told_by_key_value_and_what_is_allowed(text: str, message: str):
    with pytest.raises(ConfigError) as caught:
        parse_config(text, ENVIRON)
    assert str(caught.value) == message


@pytest.mark.parametrize(("text", "message"), BAD_FILES, ids=[message.split(":")[0] for _, message in BAD_FILES])
def test_what_is_allowed_is_translated_with_its_fields_filled_in(text: str, message: str):
    with pytest.raises(ConfigError) as caught:
        parse_config(text, ENVIRON)
    told = Terminal(Options(language="pt"), {}).allowed(caught.value)
    if not told.startswith("TOML"):  # of the library that reads it
        assert told != caught.value.allowed
        assert not re.search(r"[{}]|\b(of|and|from|seconds|octets|share)\b", told), told


def test_a_missing_dsn_says_where_it_may_stand():
    with pytest.raises(ConfigError) as caught:
        parse_config("", {})
    assert str(caught.value) == (
        "database.dsn: None is not valid: a PostgreSQL URI such as postgresql://aaad@db1,db2:5433/aaad, here, in the "
        "environment variable AAAD_DATABASE_DSN, in the systemd credential database_dsn or in the file "
        "database.dsn_file"
    )


@pytest.mark.parametrize(
    "text",
    [
        f"[database]\ndsn = 'mysql://{DSN}'",
        f"[database]\ndsn = ['{DSN}']",
        f"[database]\ndns = '{DSN}'",
        f"database = '{DSN}'",
        f"[database]\ndsn = '{DSN}'\n[node]\nnames = '{DSN}'",
        f"dsn = '{DSN}'",
        f"[database]\ndsn = {DSN}",
        f"[database]\ndsn_file = '{DSN}'",
    ],
)
def test_no_secret_is_shown_by_any_error(text: str):
    with pytest.raises(ConfigError) as caught:
        parse_config(text, {})
    chain = f"{caught.value} {caught.value!r} {caught.value.__cause__!r}"
    assert "secret-word" not in chain
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_the_secret_is_hidden_in_the_tree_and_given_on_demand():
    config = parse_config("", ENVIRON)
    assert "secret-word" not in f"{config} {config!r} {config.model_dump()} {config.model_dump_json()}"
    assert config.database.dsn.get_secret_value() == DSN


def test_environment_goes_before_credential_goes_before_file(tmp_path: Path):
    (tmp_path / "database_dsn").write_text("postgresql://credential/x\n")
    text = "[database]\ndsn = 'postgresql://file/x'"
    credential = {"CREDENTIALS_DIRECTORY": str(tmp_path)}

    def host(environ: dict[str, str]) -> str:
        return parse_config(text, environ).database.dsn.get_secret_value().split("/")[2]

    assert host({}) == "file"
    assert host(credential) == "credential"
    assert host(credential | {"AAAD_DATABASE_DSN": "postgresql://environment/x"}) == "environment"
    assert host({"CREDENTIALS_DIRECTORY": str(tmp_path / "none")}) == "file"


def test_the_file_of_the_dsn_is_read_where_it_stands_nowhere_else(tmp_path: Path):
    path = tmp_path / "dsn"
    path.touch(mode=0o600)
    path.write_text(f"{DSN}\n")
    text = f"[database]\ndsn_file = '{path}'\n"
    assert parse_config(text, {}).database.dsn.get_secret_value() == DSN
    assert parse_config(text + "dsn = 'postgresql://here/x'", {}).database.dsn.get_secret_value().endswith("here/x")
    assert (
        parse_config(text, {"AAAD_DATABASE_DSN": "postgresql://e/x"}).database.dsn.get_secret_value().endswith("e/x")
    )


@pytest.mark.parametrize(
    ("mode", "content", "allowed"),
    [
        (0o604, DSN, "a file that others cannot read: chmod 0600"),
        (0o600, "", "a file that holds a PostgreSQL URI such as postgresql://aaad@db1,db2:5433/aaad"),
        (0o600, f"dsn={DSN}", "a file that holds a PostgreSQL URI such as postgresql://aaad@db1,db2:5433/aaad"),
        (None, "", "a file that this account can read (No such file or directory)"),
    ],
)
def test_a_file_of_the_dsn_that_cannot_be_used_is_told_without_its_content(
    tmp_path: Path, mode: int | None, content: str, allowed: str
):
    path = tmp_path / "dsn"
    if mode is not None:
        path.write_text(content)
        path.chmod(mode)
    with pytest.raises(ConfigError) as caught:
        parse_config(f"[database]\ndsn_file = '{path}'", {})
    assert str(caught.value) == f"database.dsn_file: '{path}' is not valid: {allowed}"


def test_who_does_not_ask_postgresql_needs_no_dsn(tmp_path: Path):
    for text in ("", f"[database]\ndsn_file = '{tmp_path}/none'"):
        assert parse_config(text, {}, needs_database=False).database.dsn.get_secret_value() == ""
    with pytest.raises(ConfigError):
        parse_config("[database]\ndsn = 'mysql://x'", {}, needs_database=False)


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://aaad:secret@h:notaport/db",
        "postgresql://h:0/db",
        "postgresql://h:65536/db",
        "postgresql://h1:5432,h2:x/db",
        "postgresql://h:5432:5433/db",
        "postgresql://::1/db",
        "postgresql:///db?port=x",
        "postgresql://a b/db",
        "postgres:/h/db",
        "host=h",
    ],
)
def test_a_dsn_that_no_driver_could_read_is_refused(dsn: str):
    with pytest.raises(ConfigError) as caught:
        parse_config("", {"AAAD_DATABASE_DSN": dsn})
    assert caught.value.key == "database.dsn"
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://",
        "postgres://h",
        "postgresql://aaad:p%40ss%2Fword@h/db",
        "postgresql://aaad@h1,h2:5433,[2001:db8::1]:5432/db?target_session_attrs=any&sslmode=verify-full",
        "postgresql:///db?host=/run/postgresql&port=5433",
        "postgresql://aaad@%2Frun%2Fpostgresql:5432/db",
    ],
)
def test_what_drivers_can_read_is_taken(dsn: str):
    assert parse_config("", {"AAAD_DATABASE_DSN": dsn}).database.dsn.get_secret_value() == dsn


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path):
    with pytest.raises(ConfigError, match="a file that can be read \\(No such file or directory\\)"):
        load_config(tmp_path / "none.toml", ENVIRON)
    (tmp_path / "latin.toml").write_bytes(b"[node]\nname = '\xe9'")
    with pytest.raises(ConfigError, match="a text file in UTF-8"):
        load_config(tmp_path / "latin.toml", ENVIRON)


def test_the_tree_is_frozen_and_holds_useful_values():
    config = parse_config("[radius]\naddresses = ['192.0.2.1', '2001:db8::1']\n[spool]\nkeep_s = 6", ENVIRON)
    assert config.radius.addresses == (ip_address("192.0.2.1"), ip_address("2001:db8::1"))
    assert config.spool.keep_s == 6.0
    with pytest.raises(ValueError):
        config.radius.auth_port = 1  # type: ignore[misc]
    assert hash(config.radius) == hash(config.radius)


def test_the_example_file_is_current():
    """`make example` writes it; the declarations are the source."""
    assert (ROOT / "config" / "aaad.example.toml").read_text() == example_toml()


def test_the_example_with_its_comments_taken_off_is_the_default_configuration():
    text = re.sub(r"^#(?=[a-z_]+ = )", "", example_toml(), flags=re.MULTILINE)
    config = parse_config(text, {})
    defaults = parse_config("[node]\nname = 'node1'\n[database]\ndsn = 'postgresql://aaad@localhost/aaad'", {})
    assert config == defaults


def _fields():
    for section, declaration in Config.model_fields.items():
        for key, field in declaration.annotation.model_fields.items():
            yield f"{section}.{key}", field


@pytest.mark.parametrize(("key", "field"), list(_fields()), ids=[key for key, _ in _fields()])
def test_every_field_is_described_and_every_number_has_unit_and_range(key: str, field):
    assert field.description
    assert field.description.endswith(".")
    if field.annotation in (int, float):
        assert {"Ge", "Le"} <= {type(item).__name__ for item in field.metadata}
        ends = key.rsplit("_", 1)[-1].rsplit(".", 1)[-1]
        assert ends in {"s", "bytes", "max", "minimum", "share", "port", "processes"}
        assert ends in {"port", "processes"} or field.json_schema_extra["unit"]


@pytest.mark.parametrize("key", [key for key, _ in _fields()])
def test_every_key_is_read_by_somebody(key: str):
    """A key that nothing reads would be a promise that nobody keeps."""
    readers = [*(ROOT / "aaad/daemon").glob("*.py"), *(ROOT / "aaad/cli").glob("*.py")]
    name = key.rpartition(".")[2]
    if name == "dsn_file":
        return  # read by the configuration itself
    assert any(re.search(rf"[a-z]\.{name}\b", path.read_text()) for path in readers), key


def test_the_mirrors_secret_is_hidden_and_comes_from_environment_credential_or_file(tmp_path: Path):
    (tmp_path / "mirror_secret").write_text("of the credential, long\n")
    text = "[spool]\nmirror_secret = 'of the file, long enough'"

    def secret(environ: dict[str, str]) -> str:
        config = parse_config(text, ENVIRON | environ)
        assert "long" not in f"{config} {config!r} {config.model_dump()} {config.model_dump_json()}"
        return config.spool.mirror_secret.get_secret_value()

    credential = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert secret({}) == "of the file, long enough"
    assert secret(credential) == "of the credential, long"
    assert secret(credential | {"AAAD_MIRROR_SECRET": "of the environment, long"}) == "of the environment, long"
    with pytest.raises(ConfigError) as caught:
        parse_config("spool = 'a secret that went astray'", ENVIRON)
    assert "astray" not in str(caught.value)


@pytest.mark.parametrize("key", ["mirror", "mirror_listen"])
def test_who_mirrors_or_is_mirrored_needs_the_secret(key: str):
    config = parse_config(f"[spool]\n{key} = '192.0.2.2:1814'", ENVIRON)
    with pytest.raises(ConfigError, match=re.escape(f"spool.mirror_secret: None is not valid: {MIRROR_SECRET}")):
        require_mirror_secret(config)
    require_mirror_secret(parse_config(f"[spool]\n{key} = '192.0.2.2:1814'\nmirror_secret = '{'x' * 16}'", ENVIRON))
    require_mirror_secret(parse_config("", ENVIRON))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("192.0.2.2:1814", ("192.0.2.2", 1814)),
        ("[2001:db8::2]:1814", ("2001:db8::2", 1814)),
        ("peer.example:1", ("peer.example", 1)),
        ("", None),
    ],
)
def test_host_and_port_are_read(text: str, place: tuple[str, int] | None):
    assert endpoint(parse_config(f"[spool]\nmirror = '{text}'", ENVIRON).spool.mirror) == place
