"""A review session without any window."""

import numpy as np
import pytest

from ishcount.core.decisions import Call
from ishcount.core.errors import SlideError, UsageError
from ishcount.result import load_slide_result
from ishcount.review.apply import apply_review
from ishcount_napari.session import Session
from tests.result_folder import MARKER, make_result


@pytest.fixture
def made(tmp_path):
    return make_result(tmp_path / "result")[0]


def open_session(made, reviewer="AB"):
    return Session(load_slide_result(made.slide_folder), reviewer=reviewer, image=str(made.image))


def test_deciding_goes_on_to_the_next_undecided_cell(made):
    session = open_session(made)
    first = session.current
    session.decide(Call.NEGATIVE)
    assert session.current not in (None, first)
    assert session.progress == (1, len(session.queue.ids))


def test_the_count_follows_each_decision_and_undo_brings_the_cell_back(made):
    session = open_session(made)
    before, first = session.numbers(), session.current
    session.decide(Call.NEGATIVE)
    assert session.numbers().tally.n_positive == before.tally.n_positive - 1
    assert session.numbers().tally.n_positive_automatic == before.tally.n_positive_automatic
    assert session.undo()
    assert session.numbers() == before
    assert session.current == first
    assert session.redo()
    assert session.numbers().tally.n_positive == before.tally.n_positive - 1


def test_undo_with_nothing_to_undo_says_so_and_writes_nothing(made):
    session = open_session(made)
    assert not session.undo()
    assert not session.redo()
    assert not session.log.path.exists()


def test_a_session_goes_on_where_it_was_closed(made):
    session = open_session(made)
    session.decide(Call.NEGATIVE)
    x, y = session.live.x_um[0], session.live.y_um[0]
    session.exclude([[x - 5, y - 5], [x + 5, y - 5], [x + 5, y + 5], [x - 5, y + 5]], reason="fold")
    session.choose_cut(0.5)
    session.add_cell(200.0, 200.0)
    session.give_verdict("signed_off")
    again = open_session(made)
    assert again.numbers() == session.numbers()
    assert again.verdict == ("signed_off", "")
    assert again.n_decisions == 1
    assert again.undo(), "what was done before closing can still be undone"


@pytest.mark.parametrize("compartment", ["tissue", "epidermis", "dermis", "viable"])
def test_the_dock_and_the_report_give_the_same_numbers(made, compartment):
    session = open_session(made)
    for call in (Call.NEGATIVE, Call.POSITIVE, Call.NOT_A_CELL, Call.UNSURE, Call.NEGATIVE):
        session.decide(call)
    session.decide(Call.POSITIVE, session.live.cell_id[:4].tolist())
    session.exclude([[50, 50], [200, 50], [200, 120], [50, 120]], reason="ink")
    session.correct_outline("epidermis", [[[40, 40], [560, 40], [560, 200], [40, 200]]])
    session.add_cell(300.0, 300.0)
    session.add_cell(100.0, 100.0, reason="inside the exclusion: does not count")
    session.choose_cut(0.5)
    shown = session.numbers(compartment)
    decisions = apply_review(session.result)
    row = session.result.densities(decisions=decisions).set_index("compartment").loc[compartment]
    assert (shown.tally.n_cells, shown.tally.n_positive) == (row["n_cells"], row["n_positive"])
    assert shown.area_mm2 == pytest.approx(row["area_mm2"], rel=1e-12)
    assert (shown.per_mm2, shown.low, shown.high) == pytest.approx(
        (row["positive_per_mm2"], row["ci_low"], row["ci_high"])
    )


def test_a_preview_of_a_cut_is_not_a_decision(made):
    session = open_session(made)
    session.preview_cut(0.1)
    assert session.numbers().tally.n_positive > session.numbers().tally.n_positive_automatic
    assert open_session(made).numbers().tally.n_positive == session.numbers().tally.n_positive_automatic


@pytest.mark.parametrize(
    "queue", ["positives", "uncertain", "unreviewed", "compartment", "rejected", "unsure"]
)
def test_queues_hold_cells_without_doubles(made, queue):
    session = open_session(made)
    session.decide(Call.UNSURE)
    session.choose_queue(queue, {"compartment": "dermis", "rejected": "melanin"}.get(queue, ""))
    assert len(session.queue.ids) == len(set(session.queue.ids.tolist())) > 0


def test_the_most_uncertain_queue_begins_at_the_cut(made):
    session = open_session(made)
    session.choose_queue("uncertain")
    score = session.live.score[MARKER][session.live.rows(session.queue.ids.tolist())]
    assert np.all(np.diff(np.abs(score - 0.9)) >= -1e-6)
    assert score.min() > 0


def test_disagreements_between_readers_come_up_for_the_one_who_settles_them(made):
    first, second = open_session(made, "AB"), open_session(made, "CD")
    cell, other = first.queue.ids[:2].tolist()
    first.decide(Call.POSITIVE, [cell, other])
    second.decide(Call.NEGATIVE, [cell])
    second.decide(Call.POSITIVE, [other])
    settling = open_session(made, "consensus")
    settling.choose_queue("disagreements")
    assert settling.queue.ids.tolist() == [cell]
    settling.decide(Call.NEGATIVE)
    settling.choose_queue("disagreements")
    assert settling.queue.ids.tolist() == []


def test_bulk_labelling_is_one_act(made):
    session = open_session(made)
    chosen = session.queue.ids[:6].tolist()
    session.decide(Call.NEGATIVE, chosen)
    assert session.n_decisions == 6
    session.undo()
    assert session.n_decisions == 0


def test_unblinding_is_logged_and_cannot_be_undone(made):
    session = Session(load_slide_result(made.slide_folder), reviewer="AB", alias="slide 3")
    session.set_blinded(True)
    assert session.title == "slide 3"
    session.set_blinded(False, reason="study closed")
    assert session.title == made.slide_id
    logged = [(entry.operation, entry.new) for entry in session.log.entries]
    assert logged == [("blind", True), ("blind", False)]
    assert not session.undo()


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda s: s.exclude([[0, 0], [9, 0], [9, 9]], reason=" "), "needs a reason"),
        (lambda s: s.exclude([[0, 0], [9, 0]], reason="fold"), "polygon with an area"),
        (lambda s: s.give_verdict("not_evaluable"), "needs a reason"),
    ],
)
def test_acts_without_what_they_need_are_refused_and_not_logged(made, act, words):
    session = open_session(made)
    with pytest.raises(UsageError, match=words):
        act(session)
    assert session.log.entries == []


def test_a_log_of_another_result_is_refused_on_opening(made):
    open_session(made).decide(Call.NEGATIVE)
    path = made.slide_folder / "cells.parquet"
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(SlideError, match="another result"):
        open_session(made)


def test_the_nearest_cell_is_found_and_none_far_from_all(made):
    session = open_session(made)
    assert session.nearest(session.live.x_um[7] + 1, session.live.y_um[7]) == session.live.cell_id[7]
    assert session.nearest(2.0, 2.0) is None


def test_listeners_hear_what_changed(made):
    session, heard = open_session(made), []
    session.listeners.append(heard.append)
    session.decide(Call.NEGATIVE)
    assert {"cells", "counts"} in heard
    assert {"current"} in heard
