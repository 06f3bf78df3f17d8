"""A whole node for the tests of one module."""

from collections.abc import Iterator

import pytest
from nodes import Node


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node with data, for the tests of one module; the daemon is not started."""
    node = Node(tmp_path_factory.mktemp("node"))
    node.prepare()
    yield node
    node.end()


@pytest.fixture
def node(prepared: Node) -> Iterator[Node]:
    """The module's node, answering, with PostgreSQL alive."""
    if not prepared.postgres.pid or prepared.postgres.has_crashed:
        prepared.postgres.start()
    if prepared.process is None or prepared.process.poll() is not None:
        prepared.start()
    yield prepared
