"""Destination names with ``*`` and ``**``: templates for names made on first use.

The pattern is the operator's, but the name is a client's: so matching must not take
long whatever the name is. What a wildcard takes is settled at the first place where
the text that follows it fits (an atomic group), where that cannot be wrong: before
another wildcard that takes at least as much. Only the last ``**`` is tried at every
place, and the last ``*`` after it.
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
    *groups, last = pattern.split("**")
    if not groups:
        return re.compile(_compile_last(last), re.DOTALL)
    first, *middle = map(_compile_group, groups)
    found = "".join(f"(?>.+?{group})" for group in middle)
    return re.compile(f"{first}{found}.+{_compile_last(last)}", re.DOTALL)


def _compile_group(group: str) -> str:
    """A part of a pattern before a ``**``: it ends as early as it can."""
    first, *rest = map(re.escape, group.split("*"))
    return first + "".join(f"(?>[^/]+?{text})" for text in rest)


def _compile_last(group: str) -> str:
    """The part of a pattern after which the name ends."""
    before, star, last = group.rpartition("*")
    return _compile_group(before) + ("[^/]+" if star else "") + re.escape(last)
