"""What is installed: both packages, the sample study, types and data; the same words in CI and README."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_ci_runs_the_readmes_own_test_line(readme: str) -> None:
    script = (ROOT / ".ci" / "run").read_text("utf-8").splitlines()
    (line,) = [line for line in script if line.endswith("python -m tests")]
    assert line in readme.splitlines()


def test_every_dependency_says_what_it_is_for() -> None:
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    core = tomllib.loads(text)["project"]["dependencies"]
    explained = [line for line in text.splitlines() if line.strip().startswith('"') and "#" in line]
    assert [name for name in core if not any(f'"{name}"' in line for line in explained)] == []


def test_imports_flow_one_way() -> None:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, encoding="utf-8")
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_the_wheel_holds_both_packages_and_the_sample_study(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=300)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        "ishcount/__init__.py", "ishcount/py.typed", "ishcount/report/templates/report.html.j2",
        "ishcount/sample_images/sheet.csv", "ishcount_napari/napari.yaml", "ishcount_napari/__init__.py",
    }  # fmt: skip
    assert wanted - names == set()
    slides = {name for name in names if name.startswith("ishcount/sample_images/") and name.endswith(".tif")}
    assert len(slides) >= 10
    assert [name for name in names if name.startswith("tests/")] == []
    metadata = next(name for name in names if name.endswith("entry_points.txt"))
    entries = zipfile.ZipFile(wheel).read(metadata).decode()
    assert "ishcount = ishcount.cli:main" in entries
    assert "napari.manifest" in entries
