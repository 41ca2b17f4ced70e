"""The figures of the bench: percentiles, medians, ratios, tables and pictures."""

import json
import math
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench.bars import Bar, Group, picture
from bench.measure import Round
from bench.metrics import LATENCIES, RATE, SECONDS, Metric, percentile, written
from bench.report import Machine, Report
from bench.results import write_results
from bench.scenarios import SCENARIOS

SVG = "{http://www.w3.org/2000/svg}"


def report(*names: str) -> Report:
    scenarios = [SCENARIOS[each] for each in names]
    return Report(Machine.here("nothing pinned"), scenarios, seconds=3)


def add(
    to: Report, name: str, peer: str, *values: float, metric: Metric = RATE
) -> None:
    to.versions.setdefault(peer, f"{peer} 1.0")
    for value in values:
        to.result(name, peer).rounds.append(Round({metric: value}, load=0.5))


@pytest.mark.parametrize(
    ("percent", "expected"), [(50, 50), (90, 90), (99, 99), (99.9, 100), (1, 1)]
)
def test_a_percentile_is_the_value_that_so_many_do_not_exceed(
    percent: float, expected: float
) -> None:
    assert (
        percentile([float(value) for value in range(100, 0, -1)], percent) == expected
    )
    assert percentile([7.0], percent) == 7.0


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1_234_567, "1,230,000"),
        (123.4, "123"),
        (99.96, "100"),
        (12.34, "12.3"),
        (0.01234, "0.0123"),
        (0, "0"),
    ],
)
def test_three_digits_are_shown(value: float, text: str) -> None:
    assert written(value) == text


def test_a_ratio_says_how_many_times_better_ours_is() -> None:
    assert RATE.ratio(200, 100) == 2
    assert SECONDS.ratio(2, 6) == 3
    assert RATE.ratio(200, 0) == SECONDS.ratio(0, 1) == math.inf


def test_medians_and_ratios_leave_out_what_failed() -> None:
    it = report("queue-1-1", "queue-1-1-varied")
    for peer, values in (
        ("romp", (50_000, 100_000, 3_000)),
        ("rabbitmq", (100_000,)),
        ("echo", (500_000, 500_001)),
    ):
        add(it, "queue-1-1", peer, *values)
    add(it, "queue-1-1-varied", "romp", 1)
    failed_before = it.failed
    it.result("queue-1-1-varied", "romp").failures.append("time is up\nwith 1 of 2")
    it.result("queue-1-1-varied", "rabbitmq").lost = True
    it.result("queue-1-1-varied", "rabbitmq").failures.append("lost")
    it.result("queue-1-1-varied", "echo").absent = "it cannot"
    assert (failed_before, it.failed) == (False, True)
    rows = [line.strip("|").split("|") for line in it.table().splitlines()]
    assert len({len(line) for line in it.table().splitlines()}) == 1
    assert [[cell.strip() for cell in row] for row in rows if "--" not in row[0]] == [
        ["", "", "romp", "rabbitmq", "echo", "romp : rabbitmq"],
        ["queue-1-1", "deliveries/s", "50,000", "100,000", "500,000", "0.5"],
        ["queue-1-1-varied", "deliveries/s", "fails", "loses", "-", "-"],
    ]
    assert list(it.remarks()) == [
        "queue-1-1-varied, romp: time is up",
        "queue-1-1-varied, rabbitmq: lost",
        "queue-1-1-varied, echo: it cannot",
    ]
    assert list(it.ceilings()) == [
        (
            "queue: the load's own ceiling is 5 times the fastest"
            " (rabbitmq in queue-1-1), or more"
        )
    ]
    assert json.loads(json.dumps(it.as_json()))["scenarios"]["queue-1-1"]["peers"][
        "romp"
    ]["median"] == {"deliveries/s": 50_000}


def test_a_generator_that_was_busy_itself_is_told() -> None:
    it = report("queue-1-1")
    it.versions["romp"] = "1"
    for load in (0.95, 0.97, 0.5):
        it.result("queue-1-1", "romp").rounds.append(Round({RATE: 1.0}, load=load))
    assert list(it.remarks()) == [
        (
            "queue-1-1, romp: the load generator used 95% of its core:"
            " the figure may be its own"
        )
    ]


def test_without_our_broker_there_are_no_ratios() -> None:
    it = report("queue-1-1")
    add(it, "queue-1-1", "rabbitmq", 1000)
    assert ":" not in it.table().splitlines()[0]


def test_bars_are_as_long_as_their_figures() -> None:
    bars = [
        Bar("romp", 100.0, "100", "ours"),
        Bar("<b>", 50.0, "50", "theirs"),
        Bar("lossy", None, "loses", "theirs"),
        Bar("echo", 1000.0, "1,000", "ceiling"),
    ]
    text = picture("a & b", [Group("deliveries/s", bars), Group("ms", bars)])
    root = ElementTree.fromstring(text)
    widths = [float(each.attrib["width"]) for each in root.iter(f"{SVG}rect")]
    assert widths == [530, 265, 530, 530, 265, 530]
    texts = [each.text for each in root.iter(f"{SVG}text")]
    assert texts[:2] == ["a & b", "deliveries/s"]
    assert texts[2:10] == [
        *("romp", "100", "<b>", "50"),
        *("lossy", "loses", "echo", "1,000 →"),
    ]
    assert not picture(
        "none", [Group("s", [Bar("romp", None, "fails", "ours")])]
    ).count("<rect")


def test_the_romp_in_rust_is_another_one(tmp_path: Path) -> None:
    it = report("queue-1-1")
    for peer, figure in (("romp", 100), ("romp-compiled", 200), ("romp-rust", 50)):
        add(it, "queue-1-1", peer, figure)
    head = it.table().splitlines()[0]
    assert "romp : romp-rust" in head
    assert "romp : romp-compiled" not in head
    write_results(it, tmp_path / "RESULTS.md")
    picture = (tmp_path / "results" / "queue-1-1.svg").read_text()
    assert picture.count("#2f81f7") == 2


def test_the_page_has_a_table_a_family_and_a_picture_a_scenario(tmp_path: Path) -> None:
    it = report("queue-1-1", "request-1")
    add(it, "queue-1-1", "romp", 1000)
    add(it, "queue-1-1", "coilmq", 10)
    it.result("request-1", "romp").failures.append("refused")
    it.ended.update(romp=2, coilmq=1)
    pictures = tmp_path / "results"
    pictures.mkdir()
    (pictures / "of-a-scenario-that-was.svg").write_text("old")
    write_results(it, tmp_path / "RESULTS.md")
    page = (tmp_path / "RESULTS.md").read_text()
    for line in (
        "- rounds: 1 to 2, each of about 3 s",
        "## Queues",
        "- `queue-1-1` (`100b_1a_1queue_1`): 1 to 1, `ack:auto`",
        "| queue-1-1 | deliveries/s | 1,000 |     10 |           100 |",
        "![queue-1-1](results/queue-1-1.svg)",
        "## Request and reply",
        "## What has no figure",
        "- request-1, romp: refused",
    ):
        assert line in page.splitlines()
    assert {each.stem for each in pictures.iterdir()} == {"queue-1-1", "request-1"}
    for each in pictures.iterdir():
        ElementTree.parse(each)
    assert (
        f"{LATENCIES[2].name} ms, less is better"
        in (pictures / "request-1.svg").read_text()
    )
