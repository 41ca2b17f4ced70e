"""Marks that several test files use."""

import pytest

from romp_asgi import session

#: For a test that reaches into what it tests, as only an interpreter lets it.
interpreted_only = pytest.mark.skipif(
    not (session.__file__ or "").endswith(".py"),
    reason="the package under test is compiled: hatch_build.py",
)
