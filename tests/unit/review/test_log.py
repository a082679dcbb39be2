"""The review log on disk."""

import json
import os
import signal
import subprocess
import sys

import pytest

from ishcount.core.errors import LockedError, SlideError, UsageError
from ishcount.review.log import Change, ReviewLog, log_path, log_paths, read_log

CALL = Change(operation="call", marker="IFNG", item=7, old=None, new="positive", reason="clear dot")


def open_log(folder, reviewer="AB", digest="d1"):
    return ReviewLog(folder, reviewer=reviewer, slide_id="EM-01", result_digest=digest)


def test_a_decision_is_one_line_with_who_when_what_and_why(tmp_path):
    open_log(tmp_path).append([CALL])
    lines = log_path(tmp_path, "AB").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1
    line = json.loads(lines[0])
    expected = {
        "schema": 1, "sequence": 1, "act": 1, "reviewer": "AB", "slide_id": "EM-01", "result_digest": "d1",
        "operation": "call", "marker": "IFNG", "item": 7, "old": None, "new": "positive",
        "reason": "clear dot",
    }  # fmt: skip
    assert expected.items() <= line.items()
    assert line["utc"].endswith("Z")
    assert line["software"].startswith("ishcount ")


def test_reopening_goes_on_where_the_log_stopped(tmp_path):
    open_log(tmp_path).append([CALL, CALL])
    entries = open_log(tmp_path).append([CALL])
    assert (entries[0].sequence, entries[0].act) == (3, 2)
    assert [entry.sequence for entry in read_log(log_path(tmp_path, "AB"))] == [1, 2, 3]


@pytest.mark.parametrize("kept", [1, 20, -2])
def test_half_a_last_line_is_left_out_and_closed_off_by_the_next_append(tmp_path, kept):
    log = open_log(tmp_path)
    log.append([CALL])
    log.append([CALL])
    raw = log.path.read_bytes()
    start = raw.index(b"\n") + 1
    log.path.write_bytes(raw[:start] + raw[start:][:kept])
    assert len(read_log(log.path)) == 1
    before = log.path.read_bytes()
    open_log(tmp_path).append([CALL])
    assert log.path.read_bytes().startswith(before), "what was there is never rewritten"
    assert [entry.operation for entry in read_log(log.path)] == ["call", "recovered", "call"]


def test_a_last_line_that_lacks_only_its_line_end_is_kept(tmp_path):
    log = open_log(tmp_path)
    log.append([CALL])
    log.path.write_bytes(log.path.read_bytes().rstrip(b"\n"))
    open_log(tmp_path).append([CALL])
    assert [entry.operation for entry in read_log(log.path)] == ["call", "call"]


def test_a_damaged_line_in_the_middle_is_refused(tmp_path):
    log = open_log(tmp_path)
    log.append([CALL, CALL, CALL])
    lines = log.path.read_bytes().splitlines(keepends=True)
    log.path.write_bytes(lines[0] + lines[1][:30] + b"\n" + lines[2])
    with pytest.raises(SlideError, match="damaged at line 2"):
        read_log(log.path)


def test_a_missing_line_is_refused(tmp_path):
    log = open_log(tmp_path)
    log.append([CALL, CALL, CALL])
    lines = log.path.read_bytes().splitlines(keepends=True)
    log.path.write_bytes(lines[0] + lines[2])
    with pytest.raises(SlideError, match="lines are missing"):
        read_log(log.path)


def test_a_log_of_another_result_is_refused_with_what_to_do(tmp_path):
    open_log(tmp_path).append([CALL])
    with pytest.raises(SlideError, match=r"belongs to another result.*counted again") as refused:
        open_log(tmp_path, digest="d2")
    assert refused.value.code == "E_ID"


def test_a_log_of_a_newer_ishcount_is_refused(tmp_path):
    log = open_log(tmp_path)
    log.append([CALL])
    log.path.write_text(log.path.read_text().replace('"schema":1', '"schema":9'))
    with pytest.raises(SlideError, match="newer ishcount"):
        read_log(log.path)


def test_a_second_window_of_the_same_reader_is_noticed(tmp_path):
    first, second = open_log(tmp_path), open_log(tmp_path)
    first.append([CALL])
    with pytest.raises(LockedError, match="another window"):
        second.append([CALL])


def test_readers_have_a_file_each(tmp_path):
    open_log(tmp_path, "AB").append([CALL])
    open_log(tmp_path, "Dr. Mü/ller").append([CALL])
    assert len(log_paths(tmp_path)) == 2
    assert {read_log(path)[0].reviewer for path in log_paths(tmp_path)} == {"AB", "Dr. Mü/ller"}


def test_an_empty_reviewer_name_is_refused(tmp_path):
    with pytest.raises(UsageError, match="name is empty"):
        open_log(tmp_path, "  ")


@pytest.mark.skipif(os.name == "nt", reason="kill -9 is a POSIX signal")
def test_a_decision_survives_kill_9_a_moment_later(tmp_path):
    program = f"""
import pathlib, time
from ishcount.review.log import Change, ReviewLog
log = ReviewLog(pathlib.Path({str(tmp_path)!r}), reviewer="AB", slide_id="EM-01", result_digest="d1")
log.append([Change(operation="call", marker="IFNG", item=7, new="positive")])
print("decided", flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"decided\n"
        process.send_signal(signal.SIGKILL)
    (entry,) = read_log(log_path(tmp_path, "AB"), result_digest="d1")
    assert entry.new == "positive"
