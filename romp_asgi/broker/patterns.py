"""Destination names with ``*`` and ``**``: templates for names made on first use."""

import re

_PARTS = re.compile(r"\*\*|\*|[^*]+")


def is_pattern(name: str) -> bool:
    """Whether the key of a destination is a pattern."""
    return "*" in name


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """``*`` is one or more characters but ``/``; ``**`` is one or more of any."""
    wild = {"*": "[^/]+", "**": ".+"}
    parts = [wild.get(part) or re.escape(part) for part in _PARTS.findall(pattern)]
    return re.compile("".join(parts), re.DOTALL)
