"""What a subscriber wants of a destination's messages, by their headers. Pure.

``filter`` is romp's, ``selector`` the part of SQL-92 that JMS has; docs/selectors.md
says what they mean. Both are parsed once, at SUBSCRIBE, into a ``Matcher``: closures
of the header names and values that the client wrote. No code is made of its text.

Matching never raises, and its time is bounded: by the length of the selector, and by
the length of the headers that it names, once each time that it names them.
"""

from romp_asgi.selector.conditions import Headers, Matcher
from romp_asgi.selector.filter import parse_filter
from romp_asgi.selector.parser import MAX_LENGTH, parse_selector

__all__ = ["MAX_LENGTH", "Headers", "Matcher", "parse_filter", "parse_selector"]
