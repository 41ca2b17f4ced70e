"""One server for the real clients."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.program import Program, running

CONFIG = """
heart_beat_write_min = 200
heart_beat_read = 200
max_message_size = 20000000
"""


@pytest.fixture(scope="package")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder: Path = tmp_path_factory.mktemp("interop")
    with running(folder, CONFIG) as program:
        yield program
        assert program.stop() == 0
