"""Pseudonyms: no name reaches the results, the same run gives the same ids, the key leads back."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from ishcount.core.errors import UsageError
from ishcount.core.files import read_csv
from ishcount.study.jobs import RunOptions
from ishcount.study.pseudonyms import key_path, pseudonymised
from ishcount.study.run import run_study
from ishcount.study.sheet import read_sheet
from tests.unit.study.fake_engine import FAKE

CANARIES = ("Doe-John", "MRN4711", "2024-05-06", "Seaside Hospital", "secret-folder")


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    folder = tmp_path / "secret-folder"
    folder.mkdir()
    (folder / "Doe-John.svs").write_text("blocks=2")
    (folder / "Doe-John-2.svs").write_text("b1=refuse")
    path = folder / "sheet.csv"
    path.write_text(
        "slide,slide_id,patient,group,marker,role,control_for,run_date,batch,hospital\n"
        "Doe-John.svs,Doe-John,MRN4711,EM,IFNG,target,,2024-05-06,b1,Seaside Hospital\n"
        "Doe-John-2.svs,,MRN4711,EM,dapB,negative_control,Doe-John,2024-05-06,b1,Seaside Hospital\n"
    )
    return path


def test_no_name_reaches_the_results(sheet: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    hidden = pseudonymised(read_sheet(sheet), out)
    options = RunOptions(n_workers=0, names_hidden=True, command=("study", str(sheet)))
    run_study(hidden, out, options=options, engine=FAKE)
    content = b"".join(path.read_bytes() for path in out.rglob("*") if path.is_file())
    names = "\n".join(str(path.relative_to(out)) for path in out.rglob("*"))
    assert [canary for canary in CANARIES if canary.encode() in content or canary in names] == []
    table = read_csv(out / "densities.csv")
    assert set(table["batch"]) == {"b1"}
    assert set(table["control_for"].dropna()) <= set(table["slide_id"])


def test_the_key_leads_back_and_is_for_its_owner_only(sheet: Path, tmp_path: Path) -> None:
    hidden = pseudonymised(read_sheet(sheet), tmp_path / "out")
    path = key_path(tmp_path / "out")
    assert path.parent == tmp_path
    table = read_csv(path).set_index("pseudonym")
    assert table.loc[hidden.rows[0].slide_id, "true_id"] == "Doe-John"
    assert table.loc[hidden.rows[0].patient, "true_id"] == "MRN4711"
    assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0


def test_a_second_run_uses_the_same_ids_and_another_folder_others(sheet: Path, tmp_path: Path) -> None:
    read = read_sheet(sheet)
    first = [row.slide_id for row in pseudonymised(read, tmp_path / "out").rows]
    assert [row.slide_id for row in pseudonymised(read, tmp_path / "out").rows] == first
    assert [row.slide_id for row in pseudonymised(read, tmp_path / "other").rows] != first


def test_a_file_that_is_no_key_is_not_overwritten(sheet: Path, tmp_path: Path) -> None:
    key_path(tmp_path / "out").write_text("precious\n")
    with pytest.raises(UsageError, match="move it away"):
        pseudonymised(read_sheet(sheet), tmp_path / "out")
    assert key_path(tmp_path / "out").read_text() == "precious\n"
