"""Asks the node of this machine: through its control socket, or from its files if nobody answers there.

Needs no PostgreSQL. Reading the files needs the rights of the account that the node runs as.
"""

import asyncio
import os
import socket
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from aaad.clock import wall_s
from aaad.config import Config
from aaad.daemon.node_facts import NodeFacts, NodeFiles
from aaad.daemon.services import program_version
from aaad.daemon.testimony import Asked, Simulated, Testimony, Witness
from aaad.errors import AaadError
from aaad.journal import JournalReader
from aaad.words import choose_language

T = TypeVar("T")

_TIMEOUT_S = 10.0
_ANSWER_OCTETS_MAX = 64 * 1024 * 1024


class NoNodeError(AaadError):
    """Neither the node nor its files can be asked here."""


class Heard(NamedTuple):
    """What was heard, and from whom: `control` or `files`."""

    source: str
    facts: NodeFacts


class LocalNode:
    """The node that this configuration describes."""

    def __init__(self, config: Config) -> None:
        """Read from the configuration where it is."""
        self.name = config.node.name
        self._socket_path = config.node.run_dir / "control.sock"
        self._state_dir = config.node.state_dir
        self._radius = config.radius
        self._keeps_copies = bool(config.spool.mirror_listen)
        self._language = choose_language(None, config.cli.language, os.environ)

    def facts(self) -> Heard:
        """Return the node's facts; NoNodeError if there is nothing to be had."""
        try:
            return Heard("control", self._ask({"ask": "status"}, NodeFacts))
        except (OSError, AaadError):
            return Heard("files", self._files().facts(wall_s()))

    def testimony(self, login: str, limit: int) -> Testimony:
        """Return what the node knows about a login; NoNodeError if there is nothing to be had."""
        try:
            return self._ask({"ask": "why", "login": login, "limit": limit}, Testimony)
        except (OSError, AaadError):
            files = self._files()
        try:
            return asyncio.run(self._witness(files).testify(login, limit))
        except OSError as error:
            raise NoNodeError(f"{self._state_dir}: {error}") from error
        finally:
            files.replica.close()

    def simulate(self, login: str, asked: Asked) -> Simulated:
        """Return what a login would be answered; NoNodeError if there is nothing to be had."""
        try:
            question = {"ask": "simulate", "login": login, "asked": msgspec.to_builtins(asked)}
            return self._ask(question, Simulated)
        except (OSError, AaadError):
            files = self._files()
        try:
            return asyncio.run(self._witness(files).simulate(login, asked))
        finally:
            files.replica.close()

    def _witness(self, files: NodeFiles) -> Witness:
        return Witness(self.name, files, JournalReader(self._state_dir / "journal"), self._language)

    def _files(self) -> NodeFiles:
        try:
            (self._state_dir / "counters").stat()
            list((self._state_dir / "counters").iterdir())
        except OSError as error:
            raise NoNodeError(f"{self._socket_path} does not answer, and {error}") from error
        return NodeFiles(
            self._state_dir,
            node=self.name,
            version=program_version(),
            ports=(self._radius.auth_port, self._radius.acct_port),
            radius_processes=self._radius.processes,
            keeps_copies=self._keeps_copies,
        )

    def _ask(self, question: dict[str, object], kind: type[T]) -> T:
        answer = msgspec.json.decode(_converse(self._socket_path, msgspec.json.encode(question) + b"\n"))
        try:
            return msgspec.convert(answer["answer"], kind)
        except (KeyError, TypeError, msgspec.MsgspecError) as error:
            raise AaadError(f"{self._socket_path} gave no answer that this version reads") from error


def _converse(path: Path, request: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_TIMEOUT_S)
        connection.connect(str(path))
        connection.sendall(request)
        parts: list[bytes] = []
        octets = 0
        while part := connection.recv(1 << 16):
            parts.append(part)
            octets += len(part)
            if octets > _ANSWER_OCTETS_MAX:
                raise AaadError("the answer has no end")
        return b"".join(parts)
