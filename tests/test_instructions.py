"""What the pure core costs a message, in instructions, which no noise can touch."""

import json
import os
from pathlib import Path

import pytest

from bench import instructions
from bench.__main__ import main
from bench.errors import BenchError


def test_a_message_takes_no_more_instructions_than_it_did() -> None:
    """Faster is told, too: then it is time for a new baseline."""
    if not instructions.available():
        assert not os.environ.get("ROMP_NOTHING_SKIPPED"), "there is no valgrind here"
        pytest.skip("there is no valgrind here")
    name, counted = instructions.count()
    before = instructions.baseline(name)
    if before is None:
        pytest.skip(f"there is no baseline for {name}")
    assert counted == pytest.approx(before, rel=instructions.TOLERANCE), (
        f"{name}: {counted:,.0f} instructions a message, which is"
        f" {counted / before - 1:+.1%} to the baseline; if that is meant,"
        " scripts/bench --update-instructions makes it the new one"
    )


def test_counts_are_printed_and_become_the_baseline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "instructions.json"
    file.write_text('{"cpython-3.0-pure": 3}\n')
    monkeypatch.setattr(instructions, "BASELINES", file)
    counts = iter([("cpython-9-pure", 1000.0), ("cpython-9-pure", 1100.0)] * 2)
    monkeypatch.setattr(instructions, "count", lambda tree: next(counts))
    trees = [tmp_path, tmp_path]
    instructions.count_and_print(trees, update=False)
    assert capsys.readouterr().out.splitlines() == [
        "cpython-9-pure: 1,000 instructions a message",
        "cpython-9-pure: 1,100 instructions a message",
    ]
    instructions.count_and_print(trees, update=True)
    assert capsys.readouterr().out.splitlines() == [
        "cpython-9-pure: 1,000 instructions a message",
        "cpython-9-pure: 1,100 instructions a message, +10.0% to the baseline",
    ]
    assert json.loads(file.read_text()) == {
        "cpython-3.0-pure": 3,
        "cpython-9-pure": 1100,
    }


def test_a_python_without_a_baseline_has_that_of_its_minor_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "instructions.json"
    file.write_text('{"cpython-3.11-pure": 3, "cpython-3.11.2-pure": 2}\n')
    monkeypatch.setattr(instructions, "BASELINES", file)
    names = [f"cpython-{version}-pure" for version in ("3.11.2", "3.11.7", "3.12.1")]
    assert [instructions.baseline(name) for name in names] == [2, 3, None]


def test_without_valgrind_it_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(instructions, "available", lambda: False)
    assert main(["--instructions"]) == 2
    assert "which is not here" in capsys.readouterr().err


def test_a_count_that_fails_says_why(tmp_path: Path) -> None:
    if not instructions.available():
        pytest.skip("there is no valgrind here")
    (tmp_path / "romp_asgi").mkdir()
    (tmp_path / "romp_asgi" / "__init__.py").write_text("raise ImportError('broken')")
    with pytest.raises(BenchError, match="broken"):
        instructions.count(tmp_path)
