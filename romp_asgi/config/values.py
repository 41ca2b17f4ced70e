"""The kinds of values that keys take, each with the words for what it is."""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal, Self, get_args

from pydantic import AfterValidator, Field
from pydantic.fields import FieldInfo

_HOST_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")
_HOST_AND_PORT = re.compile(r"(?:\[(?P<v6>[^\]]+)\]|(?P<host>[^:]+)):(?P<port>\d{1,5})")


@dataclass(frozen=True, slots=True)
class Expected:
    """What a key takes: the end of the sentence "expected …"."""

    words: str


class AccessLog(StrEnum):
    """How much of what clients do is logged. Found by name in any case, as in romp."""

    OFF = "Off"
    ERROR = "Error"
    WARN = "Warn"
    INFO = "Info"
    DEBUG = "Debug"
    TRACE = "Trace"

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        names = {level.value.lower(): level for level in cls}
        return names.get(value.lower()) if isinstance(value, str) else None


def _check_address(value: str) -> str:
    if not _HOST_NAME.fullmatch(value):
        ipaddress.ip_address(value)
    return value


def _check_host_and_port(value: str) -> str:
    match = _HOST_AND_PORT.fullmatch(value)
    if match is None or not 1 <= int(match["port"]) <= 65535:
        raise ValueError
    _check_address(match["v6"] or match["host"])
    return value


def _check_unique(values: Sequence[int]) -> tuple[int, ...]:
    if len(set(values)) < len(values):
        raise ValueError
    return tuple(values)


Flag = Annotated[bool, Expected("true or false")]
Count = Annotated[int, Field(ge=1), Expected("an integer, 1 or more")]
CountOrZero = Annotated[int, Field(ge=0), Expected("an integer, 0 or more")]
Octets = Annotated[int, Field(ge=1), Expected("a whole number of octets, 1 or more")]
OctetsOrZero = Annotated[
    int, Field(ge=0), Expected("a whole number of octets, 0 or more")
]
Microseconds = Annotated[
    int,
    Field(ge=0, le=1000),
    Expected("a whole number of microseconds, from 0 to 1000"),
]
#: More is no time that can be reckoned with: 10^15 are 30,000 years.
Milliseconds = Annotated[
    int,
    Field(ge=0, le=10**15),
    Expected("a whole number of milliseconds, from 0 to 10^15"),
]
Seconds = Annotated[
    float, Field(gt=0, allow_inf_nan=False), Expected("a number of seconds, above 0")
]
SecondsOrZero = Annotated[
    float, Field(ge=0, allow_inf_nan=False), Expected("a number of seconds, 0 or more")
]
Factor = Annotated[
    float, Field(ge=1, allow_inf_nan=False), Expected("a number, 1 or more")
]
Text = Annotated[str, Field(min_length=1), Expected("a string, not empty")]
TextOrEmpty = Annotated[str, Expected("a string")]
ServerName = Annotated[
    str,
    Field(pattern=r"^[!-~]([ -~]*[!-~])?$"),
    Expected("a string of printable ASCII"),
]
Strings = Annotated[Sequence[str], AfterValidator(tuple), Expected("a list of strings")]
Address = Annotated[
    str,
    AfterValidator(_check_address),
    Expected("an IP address or a host name, without port"),
]
HostAndPort = Annotated[
    str,
    AfterValidator(_check_host_and_port),
    Expected("an address with port, such as 127.0.0.1:61614"),
]
#: 0 is any free port, which tests ask for.
Ports = Annotated[
    Sequence[Annotated[int, Field(ge=0, le=65535)]],
    AfterValidator(_check_unique),
    Expected("a list of ports, integers from 0 to 65535, each once"),
]
PortOrOff = Annotated[
    int,
    Field(ge=0, le=65535),
    Expected("a port, an integer from 1 to 65535, or 0 for off"),
]
UrlPath = Annotated[
    str, Field(pattern=r"^/[^\s?#]*$"), Expected('a path, such as "/stomp"')
]
AccessLogLevel = Annotated[
    AccessLog,
    Field(strict=False),
    Expected(f"one of {', '.join(AccessLog)}"),
]


MessageLogSync = Annotated[
    Literal["always", "second", "never"],
    Expected('"always", "second" or "never"'),
]


def expected(field: FieldInfo) -> str:
    """What the key of a model's field takes, in words."""
    metadata = list(field.metadata)
    for part in get_args(field.annotation):  # of `Kind | None`
        metadata += getattr(part, "__metadata__", ())
    return next(item.words for item in metadata if isinstance(item, Expected))
