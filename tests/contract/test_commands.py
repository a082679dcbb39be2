"""Every command: help with an example, a place in the README, and an end that fits the contract."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from ishcount.cli.app import _listen_for_the_end, app


def command_names() -> list[str]:
    return sorted(command.name or command.callback.__name__ for command in app.registered_commands)  # type: ignore[union-attr]


def ishcount(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ishcount", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=300, encoding="utf-8")


def test_the_version_is_printed() -> None:
    done = ishcount("--version")
    assert (done.returncode, done.stdout.split()[0]) == (0, "ishcount")


@pytest.mark.parametrize("name", command_names())
def test_every_command_has_help_with_an_example(name: str) -> None:
    done = ishcount(name, "--help")
    assert done.returncode == 0
    assert f"ishcount {name}" in done.stdout.partition("Example:")[2]
    assert done.stderr == ""


def test_every_command_is_in_the_readme(readme: str) -> None:
    assert [name for name in command_names() if f"ishcount {name}" not in readme] == []


@pytest.mark.parametrize("name", command_names())
def test_every_option_and_argument_is_explained(name: str) -> None:
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    assert [parameter.name for parameter in command.params if not parameter.help] == []


WRONG = {
    "unknown command": (("count", "x.svs"), "No such command"),
    "unknown option": (("info", "x.svs", "--nope"), "No such option"),
    "no marker": (("quantify", "x.svs", "-o", "out"), "--marker"),
    "bad region": (("quantify", "x.svs", "-o", "out", "--marker", "IFNG", "--region", "1,2"), "X,Y,W,H"),
    "bad shard": (("quantify", "x.svs", "-o", "out", "--marker", "IFNG", "--shard", "3/2"), "I/N"),
    "bad outputs": (
        ("quantify", "x.svs", "-o", "out", "--marker", "IFNG", "--outputs", "few"),
        "all or tables",
    ),
    "bad pixel size": (("quantify", "x.svs", "-o", "out", "--marker", "IFNG", "--mpp", "250"), "0.05 to 5"),
    "bad marker": (("quantify", "x.svs", "-o", "out", "--marker", "A+B"), "holds '+'"),
    "unknown preset": (
        ("quantify", "x.svs", "-o", "out", "--marker", "A", "--preset", "best"),
        "no preset 'best'",
    ),
    "no sheet": (("study", "none.csv", "-o", "out"), "cannot read the sheet"),
    "no result": (("report", "nowhere"), "no result folder"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_command_line_ends_with_2_and_one_line_that_teaches(case: str, tmp_path: Path) -> None:
    words, says = WRONG[case]
    done = ishcount(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1
    assert says in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_traceback_appears_only_with_debug(tmp_path: Path) -> None:
    assert "Traceback" not in ishcount("report", "nowhere", cwd=tmp_path).stderr
    assert "Traceback" in ishcount("--debug", "report", "nowhere", cwd=tmp_path).stderr


def test_names_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    name = "a\x1b[2J\x1b]0;owned\x07.svs"
    (tmp_path / name).write_bytes(b"no slide")
    done = ishcount("info", name, cwd=tmp_path)
    assert done.returncode == 4
    assert "\x1b" not in done.stdout + done.stderr
    assert "\\x1b" in done.stdout


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no such signal there")
def test_nohup_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGTERM)}
    try:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        _listen_for_the_end()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert callable(signal.getsignal(signal.SIGTERM))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.mark.skipif(sys.platform == "win32", reason="no such pipes there")
def test_a_reader_that_leaves_early_is_no_error() -> None:
    command = f"{sys.executable} -m ishcount --help | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert done.stderr == ""
