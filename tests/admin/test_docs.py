"""docs/administration.md names what there is."""

import re
from pathlib import Path

from romp_asgi.admin.commands import _COMMANDS
from romp_asgi.broker.operations import CHANGEABLE
from romp_asgi.commands.admin import admin
from romp_asgi.routes.console import Console
from tests.admin.operator import application

TEXT = (Path(__file__).parents[2] / "docs" / "administration.md").read_text("utf-8")


def test_every_command_is_there() -> None:
    by_stomp = TEXT.partition("## Commands by STOMP")[2].partition("## Statistics")[0]
    rows = re.findall(r"^\| (`\w+`.*?) \|", by_stomp, re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert sorted(named) == sorted(_COMMANDS)
    assert sorted(admin.commands) == sorted(_COMMANDS)
    by_line = TEXT.partition("## romp-asgi admin")[2].partition("## Commands")[0]
    for name in _COMMANDS:
        assert re.search(rf"^\|.*`{name}\b", by_line, re.MULTILINE)


def test_every_setting_that_can_be_changed_is_there() -> None:
    (row,) = re.findall(r"^\| `reconfigure NAME.*", TEXT, re.MULTILINE)
    assert re.findall(r"`(\w+)`", row) == list(CHANGEABLE)


def test_every_endpoint_is_there() -> None:
    for route in Console(application()._hub).routes():
        assert route.path in TEXT or route.path == "/romp/console/data"
