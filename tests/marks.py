"""Marks that several test files use."""

import pytest

from romp_asgi import session

#: Whether what is tested is machine code: hatch_build.py.
is_compiled = not (session.__file__ or "").endswith(".py")

#: For a test that reaches into what it tests, as only an interpreter lets it.
interpreted_only = pytest.mark.skipif(
    is_compiled,
    reason="the package under test is compiled: hatch_build.py",
)
