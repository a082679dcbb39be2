"""Many slides, whatever happens to some of them; what is redone and what is kept."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas as pd
import pytest

from ishcount.core.errors import OutputError, Stopped, UsageError
from ishcount.params import make_params
from ishcount.study.jobs import RunOptions
from ishcount.study.lock import Shard
from tests.unit.study.fake_engine import SERIAL, differing, run, statuses, study, work_done


def test_every_slide_gets_its_row_and_the_sheets_columns_travel_along(tmp_path: Path) -> None:
    slides = {"a": "blocks=3", "b": "blocks=1"}
    sheet = study(tmp_path, slides, columns=",patient,n_cells,stainer", values=",p,9,Bond")
    result = run(sheet, tmp_path / "out")
    assert result.exit_code == 0
    table = pd.read_csv(tmp_path / "out" / "densities.csv")
    assert list(table["slide_id"]) == ["a", "b"]
    assert list(table["n_positive"]) == [3, 0]
    assert set(table["stainer"]) == {"Bond"}
    assert set(table["sheet_n_cells"]) == {9}
    assert table["n_cells"].isna().all()
    assert list(pd.read_parquet(tmp_path / "out" / "densities.parquet")["slide_id"]) == ["a", "b"]


FAULTS = {
    "prepare=refuse": "E_TILE", "count=refuse": "E_TILE", "finish=refuse": "E_TILE", "b1=refuse": "E_TILE",
    "prepare=crash": "E_INTERNAL", "b1=crash": "E_INTERNAL", "finish=crash": "E_INTERNAL", "b1=stale": "E_IO",
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_slide_fails_alone(tmp_path: Path, fault: str) -> None:
    sheet = study(tmp_path, {"a": "blocks=2", "bad": f"blocks=3 {fault}", "c": "blocks=4"})
    result = run(sheet, tmp_path / "out")
    assert statuses(result) == {"a": ("ok", ""), "bad": ("failed", FAULTS[fault]), "c": ("ok", "")}
    assert result.exit_code == 3
    table = pd.read_csv(tmp_path / "out" / "densities.csv").set_index("slide_id")
    assert table.loc["bad", "status"] == "failed"
    assert table.loc["bad", "error_code"] == FAULTS[fault]
    assert isinstance(table.loc["bad", "reason"], str)
    assert pd.isna(table.loc["bad", "n_positive"])
    assert not (tmp_path / "out" / "slides" / "bad" / "summary.json").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
@pytest.mark.parametrize(("fault", "code"), [("b1=die", "E_WORKER"), ("prepare=hang", "E_TIMEOUT")])
def test_a_slide_that_kills_or_hangs_its_worker_fails_alone(tmp_path: Path, fault: str, code: str) -> None:
    sheet = study(tmp_path, {"a": "blocks=2", "bad": f"blocks=3 {fault}", "c": "blocks=4"})
    result = run(sheet, tmp_path / "out", RunOptions(n_workers=2, timeout_s=10))
    assert statuses(result) == {"a": ("ok", ""), "bad": ("failed", code), "c": ("ok", "")}


def test_a_missing_file_and_a_pipe_fail_with_their_reason(tmp_path: Path) -> None:
    sheet = study(tmp_path, {"a": "blocks=2", "gone": "", "loop": ""})
    (tmp_path / "gone.svs").unlink()
    (tmp_path / "loop.svs").unlink()
    (tmp_path / "loop.svs").symlink_to("loop.svs")
    failed = ("failed", "E_IO")
    assert statuses(run(sheet, tmp_path / "out")) == {"a": ("ok", ""), "gone": failed, "loop": failed}


@pytest.mark.parametrize("n_workers", [0, 2])
def test_our_own_mistake_leaves_its_traceback_beside_the_partial_files(
    tmp_path: Path, n_workers: int
) -> None:
    sheet = study(tmp_path, {"bad": "b1=crash", "c": "blocks=1"})
    (bad, _) = run(sheet, tmp_path / "out", RunOptions(n_workers=n_workers)).outcomes
    assert "ZeroDivisionError" in bad.reason
    assert "error.txt" in bad.reason
    text = (tmp_path / "out" / ".ishcount" / "slides" / "bad" / "error.txt").read_text()
    assert "Traceback" in text
    assert "fake_engine.py" in text


def test_no_slide_left_standing_is_exit_4(tmp_path: Path) -> None:
    assert run(study(tmp_path, {"a": "prepare=refuse"}), tmp_path / "out").exit_code == 4


def test_a_full_disk_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        run(study(tmp_path, {"a": "finish=full", "b": ""}), tmp_path / "out")


def test_workers_and_this_process_write_the_same_bytes(tmp_path: Path) -> None:
    sheet = study(tmp_path, {name: f"blocks={n}" for n, name in enumerate("abcdef")})
    for out, options in (("one", SERIAL), ("two", RunOptions(n_workers=2))):
        run(sheet, tmp_path / out, options)
    assert differing(tmp_path / "one", tmp_path / "two") == []


def test_a_finished_slide_is_not_counted_again(tmp_path: Path) -> None:
    sheet = study(tmp_path, {"a": "blocks=2", "b": "blocks=2"})
    run(sheet, tmp_path / "out")
    assert len(work_done(tmp_path / "out")) == 6
    result = run(sheet, tmp_path / "out")
    assert work_done(tmp_path / "out") == []
    assert [outcome.is_kept for outcome in result.outcomes] == [True, True]


def test_a_changed_slide_is_counted_again_and_no_other(tmp_path: Path) -> None:
    sheet = study(tmp_path, {"a": "blocks=2", "b": "blocks=2"})
    run(sheet, tmp_path / "out")
    work_done(tmp_path / "out")
    (tmp_path / "b.svs").write_text("blocks=3")
    result = run(sheet, tmp_path / "out")
    assert {line.split()[0] for line in work_done(tmp_path / "out")} == {"b"}
    assert list(result.densities["n_positive"]) == [1, 3]  # type: ignore[index]


def test_only_missing_blocks_are_counted_after_a_failure(tmp_path: Path) -> None:
    sheet = study(tmp_path, {"a": "blocks=4 b3=refuse"})
    options = RunOptions(n_workers=0)
    run(sheet, tmp_path / "out", options)
    first = work_done(tmp_path / "out")
    assert first == ["a prepare", "a b0", "a b1", "a b2"]
    run(sheet, tmp_path / "out", options)
    assert work_done(tmp_path / "out") == []
    run(sheet, tmp_path / "out", RunOptions(n_workers=0, resume=False))
    assert work_done(tmp_path / "out") == first


def test_a_damaged_partial_file_is_counted_again(tmp_path: Path) -> None:
    sheet = study(tmp_path, {"a": "blocks=3 finish=refuse"})
    run(sheet, tmp_path / "out")
    work_done(tmp_path / "out")
    block = tmp_path / "out" / ".ishcount" / "slides" / "a" / "b1.npz"
    block.write_bytes(block.read_bytes()[:-3])
    run(sheet, tmp_path / "out")
    assert work_done(tmp_path / "out") == ["a b1"]


@pytest.mark.parametrize("name", ["cells.parquet", "summary.json"])
def test_a_damaged_or_missing_result_is_made_again(tmp_path: Path, name: str) -> None:
    sheet = study(tmp_path, {"a": "blocks=2"})
    run(sheet, tmp_path / "out")
    work_done(tmp_path / "out")
    (tmp_path / "out" / "slides" / "a" / name).unlink()
    assert run(sheet, tmp_path / "out").exit_code == 0
    assert len(work_done(tmp_path / "out")) == 3


def test_without_the_state_folder_slides_are_counted_again_to_the_same_bytes(tmp_path: Path) -> None:
    import shutil

    sheet = study(tmp_path, {"a": "blocks=2"})
    run(sheet, tmp_path / "out")
    shutil.copytree(tmp_path / "out", tmp_path / "before")
    shutil.rmtree(tmp_path / "out" / ".ishcount")
    run(sheet, tmp_path / "out")
    assert differing(tmp_path / "before", tmp_path / "out") == []


def test_an_archived_slide_keeps_its_result(tmp_path: Path) -> None:
    sheet = study(tmp_path, {"a": "blocks=2"})
    run(sheet, tmp_path / "out")
    (tmp_path / "a.svs").unlink()
    assert statuses(run(sheet, tmp_path / "out")) == {"a": ("ok", "")}
    recount = RunOptions(n_workers=0, resume=False)
    assert statuses(run(sheet, tmp_path / "out", recount)) == {"a": ("failed", "E_IO")}


def test_reviews_survive_a_recount(tmp_path: Path) -> None:
    sheet = study(tmp_path, {"a": "blocks=2"})
    run(sheet, tmp_path / "out")
    log = tmp_path / "out" / "slides" / "a" / "review" / "kim.jsonl"
    log.parent.mkdir()
    log.write_text("decisions")
    params = make_params({"density": {"min_dots": 2}})
    run(sheet, tmp_path / "out", RunOptions(n_workers=0, resume=False, overwrite=True), params=params)
    assert log.read_text() == "decisions"


def test_other_parameters_in_a_used_folder_need_consent(tmp_path: Path) -> None:
    sheet = study(tmp_path, {"a": "blocks=2"})
    run(sheet, tmp_path / "out")
    params = make_params({"density": {"min_dots": 2}})
    with pytest.raises(UsageError, match=r"density.min_dots was 1, now 2.*--overwrite"):
        run(sheet, tmp_path / "out", params=params)
    work_done(tmp_path / "out")
    assert run(sheet, tmp_path / "out", RunOptions(n_workers=0, overwrite=True), params=params).exit_code == 0
    assert len(work_done(tmp_path / "out")) == 3


def test_an_interrupted_run_keeps_what_is_finished_and_says_what_is_not(tmp_path: Path) -> None:
    sheet = study(tmp_path, {"a": "blocks=2", "b": "blocks=3 b1=interrupt", "c": ""})
    with pytest.raises(Stopped) as stopped:
        run(sheet, tmp_path / "out")
    assert stopped.value.exit_code == 130
    table = pd.read_csv(tmp_path / "out" / "densities.csv").set_index("slide_id")
    assert list(table["status"]) == ["ok", "skipped", "skipped"]
    work_done(tmp_path / "out")
    (tmp_path / "b.svs").write_text("blocks=3")
    run(sheet, tmp_path / "out")
    assert "a prepare" not in work_done(tmp_path / "out")


def test_shards_cover_the_study_and_a_whole_run_merges_them_without_counting(tmp_path: Path) -> None:
    sheet = study(tmp_path, dict.fromkeys("abcde", "blocks=2"))
    for index in (1, 2, 3):
        result = run(sheet, tmp_path / "out", RunOptions(n_workers=0, shard=Shard(index, 3)))
        assert result.densities is None
    assert len(work_done(tmp_path / "out")) == 15
    run(sheet, tmp_path / "out")
    assert work_done(tmp_path / "out") == []
    run(sheet, tmp_path / "whole")
    assert differing(tmp_path / "out", tmp_path / "whole") == []


def test_a_shard_without_slides_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="fewer shards"):
        run(study(tmp_path, {"a": ""}), tmp_path / "out", RunOptions(n_workers=0, shard=Shard(2, 2)))


def test_run_json_says_where_each_slide_lies_and_how_long_each_stage_took(tmp_path: Path) -> None:
    run(study(tmp_path, {"a": "blocks=2"}), tmp_path / "out")
    about = json.loads((tmp_path / "out" / "run.json").read_text())
    assert about["slides"][0]["path"] == str(tmp_path / "a.svs")
    assert set(about["slides"][0]["seconds"]) == {"identify", "plan", "divide", "count", "finish", "rows"}
    assert about["versions"]["numpy"]


def test_other_slides_of_the_folder_stay_in_the_table_when_asked(tmp_path: Path) -> None:
    run(study(tmp_path, {"a": "blocks=2"}), tmp_path / "out")
    result = run(study(tmp_path, {"b": "blocks=3"}), tmp_path / "out", keep_others=True)
    assert list(result.densities["slide_id"].sort_values()) == ["a", "b"]  # type: ignore[index]
