import pytest

from romp_asgi.downstream import intake, link


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Links dial again at once, and so they offer again what had to wait."""
    monkeypatch.setattr(link, "FIRST_WAIT", 0.02)
    monkeypatch.setattr(link, "LONGEST_WAIT", 0.05)
    monkeypatch.setattr(intake, "RETRY", 0.02)
