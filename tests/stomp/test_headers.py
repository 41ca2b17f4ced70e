"""What headers are made of."""

import pytest

from romp_asgi.stomp.headers import Beginning, Headers, Template


@pytest.mark.parametrize("kind", [Headers, Template, Beginning])
def test_no_headers_have_a_dictionary_for_their_attributes(kind: type[Headers]) -> None:
    """There may be very many. Compiled they would have one."""
    headers = kind({"destination": "/queue/a"})
    headers.length = 3
    assert not hasattr(headers, "__dict__")
    assert headers == {"destination": "/queue/a"}
