"""Async tests run on asyncio; Hypothesis keeps no time, on a machine that is busy."""

import pytest
from hypothesis import settings

settings.register_profile("romp-asgi", deadline=None)
settings.load_profile("romp-asgi")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
