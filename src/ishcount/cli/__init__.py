"""The command line: parse, call, print; no science. Each command's work is imported when it runs."""

from __future__ import annotations


def main() -> None:
    """Run the command line and leave with its exit code."""
    from ishcount.cli.app import run

    run()
