"""A study under review: order and aliases, audits over its slides, agreement of two readers. No window."""

import numpy as np
import pytest

from ishcount.core.decisions import Call
from ishcount.core.errors import UsageError
from ishcount.result import load_result
from ishcount.review.audited import audit_table, write_audits
from ishcount_napari.auditing import corrected, declare_field_read, draw_audit
from ishcount_napari.session import Session
from ishcount_napari.study import open_study
from tests.result_folder import MARKER, make_result

IDS = ("EM-01", "EM-02", "NS-01")


@pytest.fixture
def out(tmp_path):
    return make_result(tmp_path / "result", slide_ids=IDS)[0].out


def session_at(out, slide_id, reviewer="AB"):
    return Session(open_study(out).slide(slide_id), reviewer=reviewer)


def read_audit(session, *, errors=0, fields=True):
    """Read the whole audit; the tool is right but for the first `errors` called cells."""
    plan = draw_audit(session, seed=3)
    wrong = set(plan.strata[0].order[:errors])
    score = session.live.score[MARKER]
    for cell in plan.cell_ids:
        called = score[session.live.rows([cell])[0]] >= 0.9 and cell not in wrong
        session.decide(Call.POSITIVE if called else Call.NEGATIVE, [cell])
    if fields:
        for field in plan.fields:
            declare_field_read(session, field.name)
    return plan


def test_blinded_slides_come_in_another_order_under_aliases(out):
    plain, blinded = open_study(out), open_study(out, blinded=True)
    assert [shown for _, shown in plain.order] == list(IDS)
    assert [shown for _, shown in blinded.order] == ["slide 1", "slide 2", "slide 3"]
    assert sorted(slide for slide, _ in blinded.order) == list(IDS)
    assert blinded.order == open_study(out, blinded=True).order, "two readers speak of the same slide 2"


def test_a_slide_read_blinded_stays_hidden_in_the_list(out):
    session_at(out, "EM-02").set_blinded(True)
    shown = {slide: name for slide, name, *_ in open_study(out).progress("AB")}
    assert shown["EM-01"] == "EM-01"
    assert shown["EM-02"].startswith("slide ")


def test_progress_tells_decisions_and_verdict_of_each_slide(out):
    session = session_at(out, "EM-01")
    session.decide(Call.NEGATIVE)
    session.give_verdict("signed_off")
    assert ("EM-01", "EM-01", 1, "signed_off") in open_study(out).progress("AB")
    assert ("EM-01", "EM-01", 0, "") in open_study(out).progress("CD")


def test_an_unknown_slide_is_refused_with_what_there_is(out):
    with pytest.raises(UsageError, match="there are EM-01, EM-02, NS-01"):
        open_study(out).slide("EM-99")


def test_without_an_audit_there_is_no_table_and_no_file(out):
    assert audit_table(load_result(out)).empty
    assert write_audits(out, load_result(out)) is None
    assert not (out / "audits.csv").exists()


def test_an_audit_that_confirms_the_tool_gives_its_density_with_an_interval(out):
    read_audit(session_at(out, "EM-01"))
    row = audit_table(load_result(out)).iloc[0]
    assert row["precision"] == 1.0
    assert row["corrected_ci_low"] <= row["corrected_per_mm2"] <= row["corrected_ci_high"]
    assert row["corrected_per_mm2"] == pytest.approx(row["automatic_per_mm2"], rel=0.25)
    assert row["n_decisions"] == 78


def test_false_calls_found_in_the_audit_lower_the_density(out):
    read_audit(session_at(out, "EM-01"), errors=7)
    row = audit_table(load_result(out)).iloc[0]
    assert row["precision"] == pytest.approx(8 / 15)
    assert row["corrected_per_mm2"] < 0.8 * row["automatic_per_mm2"]


def test_a_plan_nobody_read_has_no_numbers_but_a_reason(out):
    draw_audit(session_at(out, "EM-01"), seed=3)
    row = audit_table(load_result(out)).iloc[0]
    assert np.isnan(row["corrected_per_mm2"])
    assert row["reason"] == "drawn, but nothing read yet"


def test_without_fields_the_upper_limit_is_missing(out):
    read_audit(session_at(out, "EM-01"), fields=False)
    row = audit_table(load_result(out)).iloc[0]
    assert np.isnan(row["corrected_ci_high"])
    assert row["proposed_ci_high"] > 0


def test_the_dock_and_the_table_agree_and_slides_narrow_each_other(out):
    sessions = [session_at(out, slide_id) for slide_id in IDS]
    for session in sessions:
        read_audit(session)
    alone = corrected(sessions[0])
    others = open_study(out).other_audits(IDS[0], MARKER)
    together = corrected(sessions[0], others)
    assert len(others) == 2
    assert together.width < alone.width
    table = write_audits(out, load_result(out)).set_index("slide_id")
    area = sessions[0].area_mm2()
    assert table.loc[IDS[0], "corrected_per_mm2"] == pytest.approx(together.n_positive / area)
    assert table.loc[IDS[0], "corrected_ci_high"] == pytest.approx(together.high / area)
    assert (out / "audits.csv").exists()


def test_agreement_is_taken_on_the_audit_sample_alone(out):
    first = session_at(out, "EM-01", "AB")
    plan = read_audit(first)
    second = session_at(out, "EM-01", "CD")
    for cell in plan.cell_ids[:40]:
        second.decide(Call.NEGATIVE, [cell])
    outside = [int(cell) for cell in second.live.cell_id if int(cell) not in set(plan.cell_ids)][:30]
    second.decide(Call.POSITIVE, outside)
    found = open_study(out).agreement(MARKER, "AB", "CD")
    assert found["calls"]["n_both"] == 40
    assert found["calls"]["table"][0][0] == 0
    assert open_study(out).readers() == ["AB", "CD"]


def test_drawing_the_audit_is_logged_whole(out):
    session = session_at(out, "EM-01")
    plan = draw_audit(session, seed=9, n_decisions=60)
    (entry,) = session.log.entries
    assert entry.operation == "plan"
    assert entry.new["seed"] == 9
    assert [tuple(stratum["order"]) for stratum in entry.new["strata"]] == [s.order for s in plan.strata]
    assert len(plan.fields) == 4
    assert all(0 < field.tissue_mm2 <= 0.04 for field in plan.fields)


def test_a_second_reader_is_asked_for_the_same_audit(out):
    plan = draw_audit(session_at(out, "EM-01", "AB"), seed=9)
    second = session_at(out, "EM-01", "CD")
    second.choose_queue("audit")
    assert second.plan == plan
    assert second.queue.ids.tolist() == plan.cell_ids
