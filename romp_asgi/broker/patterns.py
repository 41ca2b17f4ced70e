"""Destination names with ``*`` and ``**``: templates for names made on first use.

The pattern is the operator's, but the name is a client's: so matching must not take
long whatever the name is. What a wildcard takes is settled at the first place where
the text that follows it fits (an atomic group), where that cannot be wrong: before
another wildcard of its kind. Only the last ``**`` is tried at every place.
"""

import re

#: A longer name matches no pattern.
MAX_NAME = 1024

_STARS = re.compile(r"\*{3,}")


def is_pattern(name: str) -> bool:
    """Whether the key of a destination is a pattern."""
    return "*" in name


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """``*`` is one or more characters but ``/``; ``**`` is one or more of any."""
    pattern = _STARS.sub("**", pattern)
    first, *groups = [_compile_group(group) for group in pattern.split("**")]
    if not groups:
        return re.compile(first, re.DOTALL)
    *middle, last = groups
    found = "".join(f"(?>.+?{group})" for group in middle)
    return re.compile(f"{first}{found}.+{last}", re.DOTALL)


def _compile_group(group: str) -> str:
    """A part of a pattern between two ``**``."""
    first, *rest = [re.escape(literal) for literal in group.split("*")]
    if not rest:
        return first
    *middle, last = rest
    return f"{first}{''.join(f'(?>[^/]+?{text})' for text in middle)}[^/]+{last}"
