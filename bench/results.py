"""RESULTS.md: a table a family, and a picture a scenario."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from bench.bars import Bar, Group, picture
from bench.report import CEILING, OUR_KINDS, Report
from bench.scenarios import FAMILIES, Scenario

_HOW_TO_READ = """\
Figures are medians over the rounds; ratios say how many times better romp-asgi is, so
below 1 it is behind, whichever way is better. `-` was not measured, `fails` gave no
figure, `loses` did not deliver all messages and is not ranked. `echo` is no broker: it
shows what the load generator itself can do at the least. What each row measures, what
is checked and what the figures mean is in [README.md](README.md).
"""


def write_results(report: Report, file: Path) -> None:
    """Write the page, and its pictures to `results/` beside it; older ones go.

    Args:
        report: Of a whole run.
        file: The page.
    """
    pictures = file.parent / "results"
    pictures.mkdir(exist_ok=True)
    for old in pictures.glob("*.svg"):
        old.unlink()
    for scenario in report.scenarios:
        (pictures / f"{scenario.name}.svg").write_text(_picture(report, scenario))
    file.write_text(_page(report))


def _page(report: Report) -> str:
    machine = report.machine
    rounds = f"{report.rounds}, each of about {report.seconds:g} s"
    facts = {**machine.facts(), "rounds": rounds}
    parts = [
        "# Results of the bench",
        f"Made by `scripts/bench --results` on {machine.date}.",
        _HOW_TO_READ.rstrip(),
        "\n".join(f"- {name}: {value}" for name, value in facts.items()),
        "\n".join(f"- {peer}: {text}" for peer, text in report.versions.items()),
    ]
    ceilings = dict(line.split(": ", 1) for line in report.ceilings())
    for family, title in FAMILIES.items():
        scenarios = [each for each in report.scenarios if each.family == family]
        if not scenarios:
            continue
        parts += [f"## {title}", _explained(scenarios), report.table(scenarios)]
        if family in ceilings:
            parts.append(f"Here {ceilings[family]}.")
        parts += [f"![{s.name}](results/{s.name}.svg)" for s in scenarios]
    remarks = list(report.remarks())
    if remarks:
        parts += ["## What has no figure", "\n".join(f"- {line}" for line in remarks)]
    return "\n\n".join(parts) + "\n"


def _explained(scenarios: Sequence[Scenario]) -> str:
    lines = []
    for scenario in scenarios:
        other = f" (`{scenario.vocabulary}`)" if scenario.vocabulary else ""
        lines.append(f"- `{scenario.name}`{other}: {scenario.about}")
    return "\n".join(lines)


def _kind(peer: str) -> Literal["ours", "theirs", "ceiling"]:
    if peer == CEILING:
        return "ceiling"
    return "ours" if peer in OUR_KINDS else "theirs"


def _picture(report: Report, scenario: Scenario) -> str:
    groups = []
    for metric in scenario.metrics:
        bars = []
        for peer in report.versions:
            result = report.results[scenario.name].get(peer)
            if result is None or result.absent:
                continue
            value = result.median(metric)
            bars.append(Bar(peer, value, result.written(metric), _kind(peer)))
        direction = "more is better" if metric.more_is_better else "less is better"
        title = f"{metric.name} {metric.unit}, {direction}".strip()
        groups.append(Group(title, bars))
    return picture(f"{scenario.name}: {scenario.about}".replace("`", ""), groups)
