"""What is written is whole, shielded and comes back."""

import math
import os

import numpy as np
import pandas as pd
import pytest

from ishcount.core import files
from ishcount.core.errors import OutputError


def test_text_that_a_spreadsheet_would_run_is_shielded_and_comes_back(tmp_path):
    table = pd.DataFrame(
        {"patient": ["=1+1", "-5", "@x", "plain", None], "value": [-1.5, 0.1, 2.0, 3.0, np.nan]}
    )
    files.write_csv(tmp_path / "t.csv", table)
    assert "'=1+1" in (tmp_path / "t.csv").read_text()
    assert "'-5" in (tmp_path / "t.csv").read_text()
    assert "\n'@x,2.0" in (tmp_path / "t.csv").read_text()
    back = files.read_csv(tmp_path / "t.csv")
    assert back["patient"].tolist()[:4] == ["=1+1", "-5", "@x", "plain"]
    assert back["value"].tolist()[:4] == [-1.5, 0.1, 2.0, 3.0]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, pd.NA, np.float32("nan")])
def test_numbers_that_are_none_become_null_in_json(tmp_path, value):
    files.write_json(tmp_path / "x.json", {"a": value})
    assert (tmp_path / "x.json").read_text() == '{\n "a": null\n}\n'


def test_equal_tables_give_equal_bytes(tmp_path):
    table = pd.DataFrame({"a": np.arange(1000), "b": ["x"] * 1000})
    for name in ("one", "two"):
        files.write_parquet(tmp_path / name, table.copy())
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_damaged_partial_file_is_noticed(tmp_path):
    path = tmp_path / "part.npz"
    files.write_arrays(path, {"x": np.arange(100)})
    assert files.read_arrays(path)["x"].tolist() == list(range(100))
    raw = bytearray(path.read_bytes())
    raw[-5] ^= 1
    path.write_bytes(raw)
    with pytest.raises(ValueError, match="damaged"):
        files.read_arrays(path)


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_write_that_fails_at_any_call_keeps_the_old_file_and_leaves_nothing_behind(
    tmp_path, monkeypatch, call
):
    path = tmp_path / "densities.csv"
    path.write_text("old")

    def full(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, call, full)
    with pytest.raises(OutputError, match="No space left"):
        files.write_text(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["densities.csv"]


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path):
    target = tmp_path / "labels.ome.zarr"
    files.write_folder(target, lambda folder: (folder / "a").write_text("1"))
    with pytest.raises(RuntimeError):
        files.write_folder(target, lambda folder: (_ for _ in ()).throw(RuntimeError("half-way")))
    assert (target / "a").read_text() == "1"
    files.write_folder(target, lambda folder: (folder / "b").write_text("2"))
    assert [p.name for p in target.iterdir()] == ["b"]
    assert [p.name for p in tmp_path.iterdir()] == ["labels.ome.zarr"]


@pytest.mark.parametrize(
    "slide_id", ["../../x", "/etc/x", "C:\\x", ".", "..", "CON", "con.svs", "a/b", "x" * 300, "é", ""]
)
def test_an_unsafe_id_becomes_a_harmless_folder(slide_id):
    name = files.folder_name(slide_id)
    assert name != slide_id
    assert "/" not in name
    assert "\\" not in name
    assert len(name) <= 80
    assert name.strip(".")


@pytest.mark.parametrize("slide_id", ["EM-01", "slide.1_a"])
def test_a_safe_id_is_its_own_folder(slide_id):
    assert files.folder_name(slide_id) == slide_id


def test_ids_that_differ_get_folders_that_differ():
    assert len({files.folder_name(text) for text in ("a/b", "a?b", "a b", "é", "è")}) == 5
