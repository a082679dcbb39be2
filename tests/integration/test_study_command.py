"""`ishcount study` on drawn slides, from the command line: rows, files, exit codes, the same bytes again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from ishcount.truth.simulate.spec import PhantomSpec
from ishcount.truth.simulate.writer import write_phantom
from tests.unit.study.fake_engine import differing

pytestmark = pytest.mark.slow


def ishcount(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ishcount", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=550, encoding="utf-8")


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three drawn slides of two patients, a broken one, one that is not there, and their sheet."""
    folder = tmp_path_factory.mktemp("phantoms")
    lines = ["slide,slide_id,patient,group,marker,chromogen,role,batch"]
    for number, (patient, group, role, preset) in enumerate(
        [
            ("p1", "EM", "target", "easy"),
            ("p2", "normal", "target", "rare"),
            ("p1", "EM", "negative_control", "blank"),
        ]
    ):
        spec = PhantomSpec(preset=preset, seed=40 + number, width_um=350, height_um=300)
        write_phantom(spec, folder, f"s{number}")
        lines.append(f"s{number}.tif,s{number},{patient},{group},IFNG,fast_red,{role},b1")
    whole = (folder / "s0.tif").read_bytes()
    (folder / "broken.tif").write_bytes(whole[: len(whole) // 3])
    lines.append("broken.tif,broken,p3,EM,IFNG,fast_red,target,b1")
    lines.append("gone.tif,gone,p4,normal,IFNG,fast_red,target,b1")
    (folder / "sheet.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def counted(phantoms: Path) -> tuple[subprocess.CompletedProcess[str], Path]:
    out = phantoms / "out"
    words = (
        "study",
        phantoms / "sheet.csv",
        "-o",
        out,
        "--case",
        "EM",
        "--control",
        "normal",
        "--workers",
        "2",
    )
    return ishcount(*words), out


def test_every_slide_has_its_row_and_bad_ones_their_reason(
    counted: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    done, out = counted
    assert done.returncode == 3, done.stderr
    table = pd.read_csv(out / "densities.csv")
    status = table.drop_duplicates("slide_id").set_index("slide_id")["status"]
    assert status.to_dict() == {"broken": "failed", "gone": "failed", "s0": "ok", "s1": "ok", "s2": "ok"}
    failed = table[table["status"] == "failed"].set_index("slide_id")
    assert failed.loc["gone", "error_code"] == "E_IO"
    assert failed["reason"].str.len().min() > 10
    assert failed["n_positive"].isna().all()
    said = done.stderr.splitlines()
    assert [line.startswith("[") for line in said] == [True] * 5 + [False]  # in a log one line per slide
    assert "patients without a density are in no number (1 in EM, 1 in normal)" in said[-1]


def test_every_file_of_the_contract_is_there(counted: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    _, out = counted
    here = {
        "densities.csv", "densities.parquet", "densities.xlsx", "statistics.json", "report.html",
        "report.pdf", "run.json", "params.toml",
    }  # fmt: skip
    assert here <= {path.name for path in out.iterdir()}
    slide = {"summary.json", "cells.parquet", "dots.parquet", "tissue.geojson", "cells.geojson", "qc.png",
             "density.png", "labels.ome.zarr"}  # fmt: skip
    assert slide <= {path.name for path in (out / "slides" / "s0").iterdir()}


def test_the_control_stands_for_its_patient_and_its_batch(
    counted: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    _, out = counted
    flags = (
        pd.read_csv(out / "densities.csv")
        .drop_duplicates("slide_id")
        .set_index("slide_id")["flags"]
        .fillna("")
    )
    assert "CONTROL_MISSING" not in flags["s0"]
    assert "CONTROL_MISSING" not in flags["s1"]
    assert "CONTROL_" not in flags["s2"]


def test_one_process_writes_the_same_bytes_as_two(
    counted: tuple[subprocess.CompletedProcess[str], Path], phantoms: Path
) -> None:
    _, out = counted
    words = ("study", phantoms / "sheet.csv", "--case", "EM", "--control", "normal", "--workers", "0")
    assert ishcount(*words, "-o", phantoms / "one").returncode == 3
    assert differing(out, phantoms / "one") == []


def test_a_second_run_counts_nothing_and_writes_the_same_bytes(
    counted: tuple[subprocess.CompletedProcess[str], Path], phantoms: Path
) -> None:
    _, out = counted
    before = {path: path.read_bytes() for path in out.glob("*.*") if path.is_file()}
    del before[out / "run.json"]
    words = ("study", phantoms / "sheet.csv", "-o", out, "--case", "EM", "--control", "normal", "--json")
    done = ishcount(*words)
    assert done.returncode == 3
    about = json.loads((out / "run.json").read_text())
    assert [slide["kept_from_earlier_run"] for slide in about["slides"]] == [True, True, True, False, False]
    assert {path: path.read_bytes() for path in before} == before
    rows = json.loads(done.stdout)["densities"]
    assert {row["slide_id"] for row in rows} == {"s0", "s1", "s2", "broken", "gone"}


def test_evaluate_finds_the_truth_beside_the_slides(
    counted: tuple[subprocess.CompletedProcess[str], Path], phantoms: Path
) -> None:
    _, out = counted
    done = ishcount("evaluate", out, phantoms, "--json")
    assert done.returncode == 0, done.stderr
    slides = {row["slide_id"]: row for row in json.loads(done.stdout)["slides"]}
    assert set(slides) == {"s0", "s1", "s2"}
    assert slides["s0"]["positive_cells"]["f1"] > 0.5  # the bars themselves are kept in tests/truth


def test_groups_must_be_named_before_anything_is_counted(phantoms: Path) -> None:
    done = ishcount("study", phantoms / "sheet.csv", "-o", phantoms / "never")
    assert done.returncode == 2
    assert "--case and --control" in done.stderr
    assert not (phantoms / "never").exists()


def test_a_dry_run_says_what_it_would_do_and_writes_nothing(phantoms: Path) -> None:
    words = ("study", phantoms / "sheet.csv", "-o", phantoms / "dry", "--case", "EM", "--control", "normal")
    done = ishcount(*words, "--dry-run", "--json")
    assert done.returncode == 0
    plan = json.loads(done.stdout)
    assert {slide["slide_id"]: slide["status"] for slide in plan["slides"]}["gone"] == "would fail"
    assert not (phantoms / "dry").exists()


def test_a_region_is_counted_alone_and_flagged(phantoms: Path) -> None:
    words = ("quantify", phantoms / "s0.tif", "-o", phantoms / "part", "--marker", "IFNG:fast_red")
    done = ishcount(*words, "--region", "50,50,200,150", "--outputs", "tables")
    assert done.returncode == 0, done.stderr
    row = pd.read_csv(phantoms / "part" / "densities.csv").iloc[0]
    assert "REGION_ONLY" in row["flags"]
    half_cells = 2 * 0.35 * 0.004  # the raster decides: up to half a cell of 4 um more on each side
    assert row["area_mm2"] <= 0.2 * 0.15 + half_cells
    assert not (phantoms / "part" / "slides" / "s0" / "qc.png").exists()


@pytest.mark.skipif(os.name == "nt", reason="no such permission bits there")
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_exit_6(phantoms: Path) -> None:
    locked = phantoms / "read-only"
    locked.mkdir(mode=0o500)
    assert ishcount("quantify", phantoms / "s0.tif", "-o", locked / "out", "--marker", "IFNG").returncode == 6


def test_a_file_in_place_of_the_folder_is_exit_6(phantoms: Path) -> None:
    (phantoms / "file").write_text("")
    done = ishcount("quantify", phantoms / "s0.tif", "-o", phantoms / "file", "--marker", "IFNG")
    assert done.returncode == 6
    assert len(done.stderr.splitlines()) == 1
