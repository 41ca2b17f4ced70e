"""Every world that a test makes is looked through when the test is over."""

from collections.abc import Iterator

import pytest

from tests.broker.world import MakeWorld


@pytest.fixture
def make_world() -> Iterator[MakeWorld]:
    maker = MakeWorld()
    yield maker
    maker.end()
