import copy
import json
import re
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import tomli
from hypothesis import given, strategies as st
from pydantic import ValidationError

from romp_asgi.config import (
    BUILT_IN_DESTINATIONS,
    AccessLog,
    Config,
    DestinationConfig,
    DownstreamConfig,
    Listener,
    files,
    find,
    load,
)
from romp_asgi.errors import ConfigError, ConfigErrors, RompError

CONFIGS = Path(__file__).parent / "configs"
ETC = Path(__file__).parents[1] / "etc" / "romp.toml"

# Every key, as the documentation promises it.
SERVER_DEFAULTS: dict[str, object] = {
    "name": "romp",
    "bind_address": "127.0.0.1",
    "admin_bind_address": None,
    "ports": (61613,),
    "admin_port": 61616,
    "login": None,
    "passcode": None,
    "user_file": None,
    "secret": None,
    "secret_timeout": 60000,
    "max_failed_logins": 10,
    "failed_login_window": 60.0,
    "pid_file": None,
    "enable_admin": False,
    "enable_console": False,
    "max_message_size": 1048576,
    "max_headers": 64,
    "max_header_len": 8192,
    "max_subs": 256,
    "max_selector_len": 1024,
    "rlimit_nofile": 1048576,
    "request_client_buffer": 4096,
    "response_client_buffer": 200,
    "access_log": AccessLog.WARN,
    "message_log": None,
    "message_log_max_size": 104857600,
    "message_log_files": 10,
    "message_log_sync": "second",
    "message_log_buffer": 8388608,
    "heart_beat_read": 120000,
    "heart_beat_write_min": 60000,
    "heart_beat_write_max": 180000,
    "websockets": True,
    "websockets_origin": None,
    "plugins": (),
    "server_flags": (),
    "connect_timeout": 10.0,
    "shutdown_timeout": 5.0,
    "websocket_path": None,
    "websocket_coalesce": False,
    "close_on_error": True,
    "max_header_size": 65536,
    "max_login_size": 16384,
    "outbox_high_water": 262144,
    "max_outbox": 16777216,
    "prefetch_count": 1000,
    "max_transactions": 16,
    "max_transaction_frames": 10000,
    "max_transaction_size": 16777216,
    "max_memory": 1073741824,
    "max_destinations": 100000,
    "max_known_headers": 33554432,
    "busy_poll": 100,
    "heart_beat_grace": 2.0,
    "stat_interval": 60.0,
    "destinations": BUILT_IN_DESTINATIONS,
    "downstreams": {},
}

DESTINATION_DEFAULTS: dict[str, object] = {
    "name": "",
    "type": None,
    "max_connections": 1000000,
    "max_messages": 100,
    "expiry": 120000,
    "pedantic_expiry": False,
    "filter": True,
    "filter_self": False,
    "sub_by_user": False,
    "auto_ack": False,
    "max_message_size": None,
    "min_delivery": 0,
    "write_block": False,
    "read_block": False,
    "web_write_block": False,
    "web_read_block": False,
    "stats": False,
    "overflow": "reject",
    "slow_consumer": "disconnect",
    "max_deliveries": 10,
    "dead_letter": None,
}

DOWNSTREAM_DEFAULTS: dict[str, object] = {
    "name": "",
    "address": "127.0.0.1:61614",
    "login": "xtomp",
    "passcode": "password",
    "destinations": (),
    "local_destinations": (),
    "host": "",
    "prefetch_count": 100,
    "heart_beat": 10000,
    "tls": False,
    "tls_ca_file": None,
}


def values(model: Config | DestinationConfig | DownstreamConfig) -> dict[str, object]:
    return {key: getattr(model, key) for key in type(model).model_fields}


def lines(errors: ConfigErrors) -> list[str]:
    return str(errors).split("\n")


def reasons(table: Mapping[str, object]) -> list[str]:
    """What is said about a config that is not good."""
    with pytest.raises(ConfigErrors) as caught:
        Config.from_dict(table, "f")
    return [line.removeprefix("f: ") for line in lines(caught.value)]


@pytest.mark.parametrize(
    ("model", "defaults"),
    [
        pytest.param(Config(), SERVER_DEFAULTS, id="server"),
        pytest.param(Config.from_dict({}), SERVER_DEFAULTS, id="from_dict"),
        pytest.param(DestinationConfig(), DESTINATION_DEFAULTS, id="destination"),
        pytest.param(DownstreamConfig(), DOWNSTREAM_DEFAULTS, id="downstream"),
    ],
)
def test_defaults(
    model: Config | DestinationConfig | DownstreamConfig, defaults: dict[str, object]
) -> None:
    assert values(model) == defaults


def test_built_in_destinations() -> None:
    queue = {**DESTINATION_DEFAULTS, "type": "queue", "max_messages": 100000}
    topic = {**DESTINATION_DEFAULTS, "type": "topic", "name": "/topic/**"}
    assert {key: values(each) for key, each in BUILT_IN_DESTINATIONS.items()} == {
        "/queue/**": {**queue, "name": "/queue/**", "expiry": 0},
        "/topic/**": topic,
        "*": {**queue, "name": "*", "expiry": 0},
    }
    assert list(BUILT_IN_DESTINATIONS) == ["/queue/**", "/topic/**", "*"]


def test_an_empty_table_of_destinations_replaces_the_built_in_ones() -> None:
    assert Config.from_dict({"destinations": {}}).destinations == {}


# etc/romp.toml


def test_shipped_file_is_the_defaults() -> None:
    config = load(ETC)
    assert values(config) == SERVER_DEFAULTS
    assert list(config.destinations) == list(BUILT_IN_DESTINATIONS)
    assert config == Config()
    assert config.warnings == ()


def test_shipped_file_has_every_key_of_the_server() -> None:
    text = ETC.read_text(encoding="utf-8")
    table = tomli.loads(text)
    for key in Config.model_fields.keys() - {"destinations", "downstreams"}:
        default = SERVER_DEFAULTS[key]
        if default is None:
            assert key not in table
            assert re.search(rf"^# {key} = ", text, re.MULTILINE), key
        else:
            shipped = table[key]
            assert shipped == (list(default) if isinstance(default, tuple) else default)
            assert type(shipped) is not int or type(default) is int


def test_examples_that_are_commented_out_are_good() -> None:
    top = ETC.read_text(encoding="utf-8").partition("## Destinations")[0]
    keys = re.findall(r"^# (\w+ = .*)$", top, re.MULTILINE)
    config = Config.from_dict(tomli.loads("\n".join(keys)))
    assert config.warnings == ()
    assert config.model_fields_set == {
        key for key, default in SERVER_DEFAULTS.items() if default is None
    }


@pytest.mark.parametrize(
    ("table", "defaults"),
    [("destinations", DESTINATION_DEFAULTS), ("downstreams", DOWNSTREAM_DEFAULTS)],
)
def test_shipped_file_has_every_key_of_a_table(
    table: str, defaults: dict[str, object]
) -> None:
    text = ETC.read_text(encoding="utf-8")
    (example,) = re.findall(rf"^# \[{table}\..*\]\n(?:#.*\n)+", text, re.MULTILINE)
    once = re.sub(r"^# ?", "", example, flags=re.MULTILINE)
    twice = re.sub(r"^# (?=\w+ = )", "", once, flags=re.MULTILINE)

    ((_, set_keys),) = tomli.loads(once)[table].items()
    unset = {key for key, default in defaults.items() if default in (None, "")}
    assert set_keys.keys() == defaults.keys() - unset
    for key, value in set_keys.items():
        assert value == (list(value) if isinstance(value, tuple) else value), key
        default = defaults[key]
        assert value == (list(default) if isinstance(default, tuple) else default)

    all_keys = tomli.loads(f"{twice}\n[destinations.DLQ]\n")
    ((_, named), *_) = all_keys[table].items()
    assert named.keys() == defaults.keys()
    no_effect = "min_delivery: no effect with type"
    doubts: dict[str, tuple[str, ...]] = {
        "destinations": ('<dict>: [destinations."/queue/orders"] ' + no_effect,)
        if named.get("min_delivery")
        else (),
        "downstreams": (
            "<dict>: [downstreams.edge] destinations: nothing to subscribe to there",
            "<dict>: [downstreams.edge] tls_ca_file: no effect without tls",
        ),
    }
    assert Config.from_dict(all_keys).warnings == doubts[table]


# romp's own files


def test_config_of_romp() -> None:
    config = load(CONFIGS / "romp.toml")
    file = CONFIGS / "romp.toml"
    memq = f"{file}: [destinations.memq]"
    assert config.warnings == (
        f"{file}: socket_addresses: ignored, bind_address and ports say it all",
        f"{file}: server_flgas: ignored, did you mean server_flags?",
        f"{memq} pedantic_expires: ignored, did you mean pedantic_expiry?",
    )
    assert config.server_flags == ("relay",)
    assert config.access_log is AccessLog.INFO
    assert config.max_headers == 10
    assert config.http_port == 8080
    assert config.opened(embedded=False) == (
        Listener("0.0.0.0", 61613, False),
        Listener("192.168.1.10", 61616, True),
    )
    assert config.origins == frozenset(
        {"http://localhost:8080", "http://127.0.0.1:8080"}
    )
    assert {key: each.kind for key, each in config.destinations.items()} == {
        "memq": "counted",
        "memtop": "topic",
        "/xtomp/stat": "topic",
    }
    assert not config.destinations["memq"].pedantic_expiry
    assert config.destinations["memq"].max_message_size is None
    assert config.destinations["memtop"].pedantic_expiry
    assert config.downstreams["edge"].name == "edge-1"
    assert config.downstreams["edge"].local_destinations == ("memtop",)


#: Every key of romp 0.5.2, and the two that stand misspelled in its own files.
ROMP_KEYS = """
    name bind_address admin_bind_address ports admin_port socket_addresses login
    passcode user_file secret secret_timeout pid_file enable_admin enable_console
    max_message_size max_headers max_header_len max_subs rlimit_nofile
    request_client_buffer response_client_buffer access_log heart_beat_read
    heart_beat_write_min heart_beat_write_max websockets websockets_origin
    server_flags server_flgas
    destinations downstreams
"""
ROMP_DESTINATION_KEYS = """
    name max_connections max_messages expiry pedantic_expiry pedantic_expires filter
    filter_self sub_by_user auto_ack max_message_size min_delivery write_block
    read_block web_write_block web_read_block stats
"""
ROMP_DOWNSTREAM_KEYS = "name address login passcode destinations local_destinations"


def test_the_config_of_romp_has_every_key_of_it() -> None:
    table = tomli.loads((CONFIGS / "romp.toml").read_text(encoding="utf-8"))
    destinations = table["destinations"].values()
    assert table.keys() == set(ROMP_KEYS.split())
    assert {key for each in destinations for key in each} == set(
        ROMP_DESTINATION_KEYS.split()
    )
    assert table["downstreams"]["edge"].keys() == set(ROMP_DOWNSTREAM_KEYS.split())


# Mistakes


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    file = CONFIGS / "mistakes.toml"
    expected = re.findall(r"^#! (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    with pytest.raises(ConfigErrors) as caught:
        load(file)
    assert lines(caught.value) == [f"{file}: {line}" for line in expected]
    assert [str(error) for error in caught.value.errors] == lines(caught.value)


def test_mistakes_show_no_secret() -> None:
    with pytest.raises(ConfigErrors) as caught:
        load(CONFIGS / "mistakes.toml")
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert "hush" not in shown
    assert "54321" not in shown
    assert caught.value.__context__ is None


def test_mistake_has_its_parts() -> None:
    with pytest.raises(ConfigErrors) as caught:
        Config.from_dict({"destinations": {"/queue/a": {"expiry": -1}}}, "f.toml")
    (error,) = caught.value.errors
    assert isinstance(error, RompError)
    assert (error.file, error.table, error.key, error.reason, error.value) == (
        "f.toml",
        'destinations."/queue/a"',
        "expiry",
        "expected a whole number of milliseconds, from 0 to 10^15",
        "-1",
    )


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ConfigError("f", None, None, "why"), "f: why"),
        (ConfigError("f", None, "k", "why"), "f: k: why"),
        (ConfigError("f", None, "k", "why", "1"), "f: k = 1: why"),
        (ConfigError("f", "t.a", "k", "why"), "f: [t.a] k: why"),
        (ConfigError("f", "t.a", "k", "why", "1"), "f: [t.a] k = 1: why"),
    ],
)
def test_line_of_an_error(error: ConfigError, line: str) -> None:
    assert str(error) == line


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("ports", value) for value in ([1, 1], [65536], [-1], [True], ["1"], 1, "1")),
        *(("ports", value) for value in ({"a": 1}, None, [1.0])),
        *(("admin_port", value) for value in (65536, -1, True, "61616", 1.0, None)),
        *(("bind_address", value) for value in ("", "*", "1.2.3.4:5", "a b", "a..b")),
        *(("bind_address", value) for value in ("http://a", "[::1]", ":::", 1, None)),
        *(("name", value) for value in ("", " a", "a ", "a\nb", "ä", "a\n", 1)),
        *(("websocket_path", value) for value in ("", "a", "/a b", "/a?b", "/a#b", 1)),
        *(("access_log", value) for value in ("", "All", 1, True, None, ["Info"])),
        *(("connect_timeout", value) for value in (0, 0.0, -1, "1", float("nan"))),
        *(("shutdown_timeout", value) for value in (-0.1, float("inf"), False)),
        *(("failed_login_window", value) for value in (0, -1.0, "60", True)),
        *(("max_failed_logins", value) for value in (-1, 1.5, "1", True, None)),
        *(("heart_beat_grace", value) for value in (0.99, float("nan"), "2")),
        *(("stat_interval", value) for value in (-1, float("inf"), "60")),
        *(("heart_beat_read", value) for value in (-1, 1.0, "1", True)),
        *(("max_headers", value) for value in (0, -1, 1.5, "1", True, None, [1])),
        *(("server_flags", value) for value in ("a", [1], None, {"a": "b"}, 1)),
        *(("websockets", value) for value in (0, 1, "true", None)),
        *(("login", value) for value in ("", 1, ["a"], True)),
        *(("websockets_origin", value) for value in (1, ["*"], True)),
    ],
)
def test_value_that_is_not_good(key: str, value: object) -> None:
    (reason,) = reasons({key: value})
    assert re.fullmatch(rf"{key} = .*: expected .*", reason)


@pytest.mark.parametrize(
    ("table", "key", "value"),
    [
        *(("destinations", "type", value) for value in ("counted", "", 1, True)),
        *(("destinations", "max_messages", value) for value in (0, True, "1", 1.0)),
        *(("destinations", "max_message_size", value) for value in (-1, True, "1")),
        *(("destinations", "min_delivery", value) for value in (-1, True, "1", None)),
        *(("destinations", "filter", value) for value in (0, "false", None)),
        *(("destinations", "dead_letter", value) for value in (1, "", True)),
        *(("downstreams", "address", value) for value in ("", "a", "a:", ":1", "a:0")),
        *(("downstreams", "address", value) for value in ("a:65536", "::1:1", "a:b")),
        *(("downstreams", "address", value) for value in ("[a b]:1", "a:1 ", "a:1b")),
    ],
)
def test_value_in_a_table_that_is_not_good(table: str, key: str, value: object) -> None:
    (reason,) = reasons({table: {"x": {key: value}}})
    assert re.fullmatch(rf"\[{table}\.x\] {key} = .*: expected .*", reason)


@pytest.mark.parametrize(
    ("key", "value", "result"),
    [
        ("ports", [], ()),
        ("ports", [0, 1, 65535], (0, 1, 65535)),
        ("admin_port", 0, 0),
        ("bind_address", "::", "::"),
        ("bind_address", "fe80::1%eth0", "fe80::1%eth0"),
        ("bind_address", "broker-1.example.com", "broker-1.example.com"),
        ("admin_bind_address", None, None),
        ("name", "romp 1", "romp 1"),
        ("connect_timeout", 3, 3.0),
        ("shutdown_timeout", 0, 0.0),
        ("heart_beat_grace", 1, 1.0),
        ("stat_interval", 0, 0.0),
        ("heart_beat_write_max", 0, 0),
        ("max_transactions", 0, 0),
        ("max_destinations", 0, 0),
        ("max_failed_logins", 0, 0),
        ("failed_login_window", 60, 60.0),
        ("user_file", "users", "users"),
        ("websocket_path", "/", "/"),
        ("access_log", "Off", AccessLog.OFF),
        ("access_log", "TRACE", AccessLog.TRACE),
        ("access_log", AccessLog.WARN, AccessLog.WARN),
        ("server_flags", ["a", "b"], ("a", "b")),
        ("websockets_origin", "", ""),
    ],
)
def test_value_that_is_good(key: str, value: object, result: object) -> None:
    got = getattr(Config.from_dict({key: value}), key)
    assert got == result
    assert type(got) is type(result)


@pytest.mark.parametrize("address", ["a:1", "a.b.c:65535", "1.2.3.4:5", "[::1]:61614"])
def test_address_with_port(address: str) -> None:
    config = Config.from_dict({"downstreams": {"x": {"address": address}}})
    assert config.downstreams["x"].address == address


@pytest.mark.parametrize(
    ("table", "line"),
    [
        (
            {"destinations": 3},
            'destinations: expected tables, such as [destinations."/queue/a"]',
        ),
        (
            {"downstreams": ["hush"]},
            "downstreams: expected tables, such as [downstreams.edge]",
        ),
        (
            {"downstreams": {"a b": "hush"}},
            '[downstreams] "a b": expected a table, such as [downstreams.edge]',
        ),
        (
            {"destinations": {"a": {"[key]": 1}}},
            '[destinations.a] "[key]": unknown key',
        ),
        (
            {"destinations": {7: {}}},
            '[destinations] 7: expected a table, such as [destinations."/queue/a"]',
        ),
        ({3: 4}, "3: unknown key"),
    ],
)
def test_table_that_is_none(table: dict[str, object], line: str) -> None:
    assert reasons(table) == [line]


def test_links_that_lead_nowhere() -> None:
    table = {
        "destinations": {"/queue/*": {}},
        "downstreams": {
            "a": {"destinations": ["x"]},
            "b": {"destinations": ["x", "y"], "local_destinations": ["x"]},
            "c": {"destinations": ["x"], "local_destinations": ["/queue/a"]},
            "d": {"destinations": ["x"], "local_destinations": ["/topic/a"]},
            "e": {"destinations": ["x"], "local_destinations": 7},
        },
    }
    nowhere = "expected what has a table here, or a pattern for it"
    assert reasons(table) == [
        f'[downstreams.a] destinations = "x": {nowhere}',
        (
            '[downstreams.b] local_destinations = ["x"]: expected as many as there are '
            "destinations, 2"
        ),
        f'[downstreams.d] local_destinations = "/topic/a": {nowhere}',
        f'[downstreams.e] destinations = "x": {nowhere}',
        "[downstreams.e] local_destinations = 7: expected a list of strings",
    ]


def test_links_lead_to_the_built_in_destinations_if_there_are_no_others() -> None:
    links = {name: {"destinations": [name]} for name in ("/queue/a", "/virt/a", "a")}
    Config.from_dict({"downstreams": links})
    links["b"] = {"destinations": ["/b"]}
    (reason,) = reasons({"downstreams": links})
    assert reason.startswith('[downstreams.b] destinations = "/b": expected what has')


DEAD_LETTERS: list[tuple[str, dict[str, Any], bool]] = [
    ("by name", {"a": {"dead_letter": "b"}, "b": {}}, True),
    ("by name, defined before", {"b": {}, "a": {"dead_letter": "b"}}, True),
    ("by pattern", {"a": {"dead_letter": "/dead/a"}, "/dead/*": {}}, True),
    ("by its own pattern", {"/q/**": {"dead_letter": "/q/dead/a"}}, True),
    ("one of instances", {"a": DestinationConfig(dead_letter="b"), "b": {}}, True),
    ("unknown", {"a": {"dead_letter": "b"}, "bb": {}}, False),
    ("too deep for *", {"a": {"dead_letter": "/dead/a/b"}, "/dead/*": {}}, False),
    ("nothing for **", {"a": {"dead_letter": "/dead/"}, "/dead/**": {}}, False),
    ("itself", {"a": {"dead_letter": "a"}}, False),
    ("a pattern", {"a": {"dead_letter": "*"}, "*": {}}, False),
    ("of an instance", {"a": DestinationConfig(dead_letter="b")}, False),
]


@pytest.mark.parametrize(
    ("destinations", "is_good"),
    [pytest.param(tables, good, id=name) for name, tables, good in DEAD_LETTERS],
)
def test_dead_letter(destinations: dict[str, object], is_good: bool) -> None:
    table = {"destinations": destinations}
    if is_good:
        Config.from_dict(table)
    else:
        (reason,) = reasons(table)
        assert ".a] dead_letter = " in reason.replace("[destinations.", ".")


# Files


def write(path: Path, data: bytes = b"") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"a = 1\nports = \n", "line 2, column 9: Invalid value"),
        (b"a = 1\r\na = 2", "line 2, column 6: Cannot overwrite a value"),
        (b"passcode = hush", "line 1, column 12: Invalid value"),
        (b"a = 1\nb = '\xff'", "line 2: not UTF-8"),
    ],
)
def test_file_that_is_not_toml(tmp_path: Path, data: bytes, reason: str) -> None:
    file = write(tmp_path / "romp.toml", data)
    with pytest.raises(ConfigErrors) as caught:
        load(file)
    assert lines(caught.value) == [f"{file}: {reason}"]


@pytest.mark.parametrize(
    "data", [b"a = " + b"[" * 100_000, b"a = " + b"9" * 10_000], ids=["deep", "long"]
)
def test_file_beyond_all_measure(tmp_path: Path, data: bytes) -> None:
    file = write(tmp_path / "romp.toml", data)
    with pytest.raises(ConfigErrors, match="not readable as TOML"):
        load(file)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("none.toml", "cannot be read: No such file or directory"),
        ("", "cannot be read: Is a directory"),
    ],
)
def test_file_that_cannot_be_read(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(ConfigErrors) as caught:
        load(tmp_path / name)
    assert lines(caught.value) == [f"{tmp_path / name}: {reason}"]


def test_file_of_toml_1_1_with_a_byte_order_mark(tmp_path: Path) -> None:
    text = "\ufeff[destinations]\na = {\n  type = 'queue', # why\n}\n"
    file = write(tmp_path / "romp.toml", text.encode())
    assert load(file).destinations["a"].kind == "queue"


@pytest.mark.parametrize(
    ("user_file", "path"),
    [
        ("romp.passwd", "conf/romp.passwd"),
        ("users/romp.passwd", "conf/users/romp.passwd"),
        ("/etc/romp/romp.passwd", "/etc/romp/romp.passwd"),
    ],
)
def test_user_file_is_beside_the_config(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user_file: str, path: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "conf" / "romp.toml", f"user_file = '{user_file}'\n".encode())
    assert load(Path("conf/romp.toml")).user_file == path


@pytest.fixture
def etc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and another one for /etc/romp."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.delenv("ROMP_CONF", raising=False)
    assert files._SEARCHED[-1] == Path("/etc/romp/romp.toml")
    searched = (*files._SEARCHED[:-1], tmp_path / "romp" / "romp.toml")
    monkeypatch.setattr(files, "_SEARCHED", searched)
    return tmp_path / "romp"


def test_search_order(etc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROMP_CONF", "")
    assert find() is None
    # The last one first: each goes before those that are there already.
    for path in (etc / "romp.toml", Path("etc/romp.toml"), Path("romp.toml")):
        write(path)
        assert find() == path
    monkeypatch.setenv("ROMP_CONF", str(etc))
    assert find() == etc / "romp.toml"
    monkeypatch.setenv("ROMP_CONF", str(write(etc / "other.toml")))
    assert find() == etc / "other.toml"


def test_romp_conf_that_names_nothing(
    etc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(Path("romp.toml"))
    (etc / "empty").mkdir(parents=True)
    for named, missing in (("none", "none"), ("empty", "empty/romp.toml")):
        monkeypatch.setenv("ROMP_CONF", str(etc / named))
        with pytest.raises(ConfigErrors) as caught:
            find()
        line = f"{etc / missing}: not found, but ROMP_CONF names it"
        assert lines(caught.value) == [line]


@pytest.mark.usefixtures("etc")
def test_config_that_may_not_be_looked_at_is_not_passed_over() -> None:
    Path("romp.toml").symlink_to("romp.toml")
    found = find()
    assert found == Path("romp.toml")
    with pytest.raises(ConfigErrors, match=r"^romp\.toml: cannot be read: "):
        load(found)


@pytest.mark.usefixtures("etc")
def test_a_file_where_a_directory_should_be_is_no_config() -> None:
    write(Path("etc"))
    assert find() is None


# Configs made by applications


def test_made_directly() -> None:
    config = Config(
        ports=[8080, 61613],
        destinations={"/queue/a": DestinationConfig(type="queue")},
        downstreams={"edge": DownstreamConfig(destinations=["/queue/a"])},
    )
    assert config.ports == (8080, 61613)
    assert config.destinations["/queue/a"].name == "/queue/a"
    assert config.downstreams["edge"].name == "edge"
    assert config == Config.from_dict(
        {
            "ports": (8080, 61613),
            "destinations": {"/queue/a": {"type": "queue"}},
            "downstreams": {"edge": {"destinations": ("/queue/a",)}},
        }
    )


def test_made_directly_with_mistakes() -> None:
    with pytest.raises(ConfigErrors) as caught:
        Config(max_subs=0, server_flgas=[])  # type: ignore[call-arg]
    assert lines(caught.value) == [
        "<dict>: max_subs = 0: expected an integer, 1 or more",
        "<dict>: server_flgas: unknown key, did you mean server_flags?",
    ]


def test_made_of_any_mapping_which_stays_as_it_is() -> None:
    table: dict[str, Any] = {
        "server_flgas": [],
        "destinations": MappingProxyType(
            {"b": MappingProxyType({"pedantic_expires": 1}), "a": {"name": "A"}}
        ),
    }
    before = copy.copy(table)
    config = Config.from_dict(MappingProxyType(table))
    assert table == before
    assert len(config.warnings) == 2
    assert [each.name for each in config.destinations.values()] == ["b", "A"]


def test_validated_again() -> None:
    config = Config(max_subs=1)
    assert Config.model_validate(config) is config
    with pytest.raises(ValidationError):
        Config.model_validate("max_subs = 1")


def test_frozen() -> None:
    config = Config(ports=[1])
    with pytest.raises(ValidationError, match="frozen"):
        config.max_subs = 1
    with pytest.raises(ValidationError, match="frozen"):
        config.destinations["*"].expiry = 1
    for tables in (config.destinations, config.downstreams):
        assert isinstance(tables, MappingProxyType)


def test_dumped() -> None:
    config = load(CONFIGS / "romp.toml")
    again = Config.from_dict(json.loads(config.model_dump_json()))
    assert values(again) == values(config)


def test_secrets_are_not_shown() -> None:
    config = Config(
        login="romp",
        passcode="hush",
        secret="hush",
        downstreams={"edge": DownstreamConfig(passcode="hush")},
    )
    for text in (repr(config), str(config), f"{config.downstreams}"):
        assert "hush" not in text
    assert "'romp'" in repr(config)
    with pytest.raises(ValidationError) as caught:
        DownstreamConfig(passcode=["hush"])  # type: ignore[arg-type]
    assert "hush" not in str(caught.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


def tables_of(defaults: dict[str, object]) -> st.SearchStrategy[dict[str, object]]:
    return st.dictionaries(st.sampled_from(sorted(defaults)) | st.text(), json_values)


@given(
    tables_of(SERVER_DEFAULTS),
    st.dictionaries(st.text(), tables_of(DESTINATION_DEFAULTS) | json_values),
    st.dictionaries(st.text(), tables_of(DOWNSTREAM_DEFAULTS) | json_values),
)
def test_whatever_is_wrong_is_a_line(
    server: dict[str, object],
    destinations: dict[str, object],
    downstreams: dict[str, object],
) -> None:
    table = {"destinations": destinations, "downstreams": downstreams, **server}
    try:
        Config.from_dict(table)
    except ConfigErrors as exc:
        errors = exc
    else:
        return
    assert errors.errors
    assert len(str(errors).splitlines()) == len(errors.errors)
    assert str(errors).replace("\n", "").isprintable()


# What follows from the keys


@pytest.mark.parametrize(
    ("type_", "min_delivery", "kind"),
    [
        ({}, 0, "topic"),
        ({}, 1, "counted"),
        ({}, 2, "counted"),
        ({"type": "queue"}, 0, "queue"),
        ({"type": "topic"}, 0, "topic"),
        ({"type": "queue"}, 2, "queue"),
        ({"type": "topic"}, 1, "topic"),
    ],
)
def test_kind(type_: dict[str, Any], min_delivery: int, kind: str) -> None:
    assert DestinationConfig(min_delivery=min_delivery, **type_).kind == kind


@pytest.mark.parametrize(("given", "size"), [(0, None), (None, None), (7, 7)])
def test_max_message_size_of_a_destination(given: int | None, size: int | None) -> None:
    assert DestinationConfig(max_message_size=given).max_message_size == size


@pytest.mark.parametrize(
    ("table", "http_port", "tcp_ports"),
    [
        ({}, 8080, (61613,)),
        ({"ports": []}, 8080, ()),
        ({"ports": [61613, 8081, 80, 61614]}, 8081, (61613, 61614)),
        ({"ports": [80, 81, 8000, 8099]}, 80, ()),
        ({"ports": [79, 82, 7999, 8100]}, 8080, (79, 82, 7999, 8100)),
        ({"ports": [61613, 61616]}, 8080, (61613,)),
        ({"ports": [8081, 8082], "admin_port": 8081}, 8082, ()),
        ({"ports": [0, 61616], "admin_port": 0}, 8080, (0, 61616)),
    ],
)
def test_ports(
    table: dict[str, object], http_port: int, tcp_ports: tuple[int, ...]
) -> None:
    config = Config.from_dict(table)
    assert config.http_port == http_port
    assert config.tcp_ports == tcp_ports


TCP = Listener("127.0.0.1", 61613, False)
ADMIN = Listener("127.0.0.1", 61616, True)


@pytest.mark.parametrize(
    ("table", "alone", "embedded"),
    [
        ({}, [TCP, ADMIN], []),
        ({"ports": [61613]}, [TCP, ADMIN], [TCP]),
        ({"admin_port": 61616}, [TCP, ADMIN], [ADMIN]),
        ({"ports": [61613], "admin_port": 61616}, [TCP, ADMIN], [TCP, ADMIN]),
        ({"ports": [8080, 61613, 61616]}, [TCP, ADMIN], [TCP, ADMIN]),
        ({"ports": [], "admin_port": 0}, [], []),
        ({"admin_port": 0}, [TCP], []),
        (
            {"bind_address": "0.0.0.0"},
            [Listener("0.0.0.0", 61613, False), ADMIN],
            [],
        ),
        (
            {"bind_address": "::", "admin_bind_address": "10.0.0.1", "ports": [5]},
            [Listener("::", 5, False), Listener("10.0.0.1", 61616, True)],
            [Listener("::", 5, False)],
        ),
    ],
)
def test_listeners(
    table: dict[str, object], alone: list[Listener], embedded: list[Listener]
) -> None:
    config = Config.from_dict(table)
    assert list(config.opened(embedded=False)) == alone
    assert list(config.opened(embedded=True)) == embedded


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        (None, None),
        ("", None),
        (" , ", None),
        ("*", {"*"}),
        ("https://a.de", {"https://a.de"}),
        ("https://A.de/ http://b:1", {"https://a.de", "http://b:1"}),
        ("https://a.de,https://b.de, null", {"https://a.de", "https://b.de", "null"}),
    ],
)
def test_origins(text: str | None, origins: set[str] | None) -> None:
    config = Config(websockets_origin=text)
    assert config.origins == origins
    assert config.warnings == ()


@pytest.mark.parametrize(
    ("table", "warning"),
    [
        ({"login": "a"}, "login: no effect without passcode"),
        ({"passcode": "hush"}, "passcode: no effect without login"),
        (
            {"websockets_origin": "* https://a.de/b"},
            'websockets_origin: "https://a.de/b" is no origin, unlike https://example.com',
        ),
        (
            {"websockets_origin": "a.de/"},
            'websockets_origin: "a.de" is no origin, unlike https://example.com',
        ),
        (
            {"heart_beat_write_max": 1000},
            "heart_beat_write_min: 60000 is above heart_beat_write_max, which is 1000",
        ),
        (
            {"outbox_high_water": 11, "max_outbox": 10},
            "outbox_high_water: 11 is above max_outbox, which is 10",
        ),
        (
            {"destinations": {"/a": {"type": "queue", "min_delivery": 1}}},
            '[destinations."/a"] min_delivery: no effect with type',
        ),
        (
            {"destinations": {"a": {"sub_by_user": True}}},
            "[destinations.a] sub_by_user: without logins, users are who they say",
        ),
        (
            {"destinations": {"a": {"sub_by_user": True}}, "user_file": "x"},
            None,
        ),
        (
            {"downstreams": {"a": {}}},
            "[downstreams.a] destinations: nothing to subscribe to there",
        ),
        (
            {"enable_console": True, "secret": "at least 12 characters"},
            "enable_console: no effect without login and passcode, or a user_file",
        ),
        ({"enable_console": True, "user_file": "x"}, None),
        ({"enable_console": True, "login": "a", "passcode": "b"}, None),
        ({"heart_beat_write_max": 0}, None),
        ({"login": "a", "passcode": "b"}, None),
    ],
)
def test_warnings(table: dict[str, object], warning: str | None) -> None:
    config = Config.from_dict(table, "f")
    assert config.warnings == (() if warning is None else (f"f: {warning}",))
