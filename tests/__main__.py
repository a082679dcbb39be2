"""Everything that is checked, in one command: `python -m tests [pytest's options]`.

Linter, types, import rules, then all tests, slow ones too (`-m "not slow"` leaves them out), so that
pytest's closing line is the last. A display is made with `xvfb-run` where there is none; without either, the
tests that need a window say that they were skipped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def virtual_display() -> list[str]:
    """The words to put before a command that opens windows; none where a display is at hand."""
    at_hand = sys.platform in ("darwin", "win32") or os.environ.get("DISPLAY")
    tool = shutil.which("xvfb-run")
    return [] if at_hand or tool is None else [tool, "-a", "-s", "-screen 0 1920x1200x24 +extension GLX"]


def main(pytest_options: list[str]) -> int:
    scripts = Path(sys.executable).parent
    steps = [
        [sys.executable, "-m", "ruff", "check", "."],
        [sys.executable, "-m", "mypy"],
        [str(scripts / "lint-imports"), "--no-cache"],
        [*virtual_display(), sys.executable, "-m", "pytest", "-m", "slow or not slow", *pytest_options],
    ]
    failed = []
    for step in steps:
        print("::", " ".join(step), flush=True)
        if subprocess.run(step, cwd=ROOT).returncode:
            failed.append(" ".join(step))
    for step in failed:
        print("failed:", step, file=sys.stderr, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
