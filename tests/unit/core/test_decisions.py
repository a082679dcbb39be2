"""Decisions laid over automatic classes."""

import numpy as np

from ishcount.core.decisions import AddedCell, Call, Decisions

IDS = np.array([1, 2, 3, 4, 5], dtype=np.uint32)
AUTOMATIC = np.array([True, False, True, False, True])


def test_no_decisions_leave_the_automatic_result_alone():
    decisions = Decisions()
    assert decisions.positive("IFNG", IDS, AUTOMATIC).tolist() == AUTOMATIC.tolist()
    assert decisions.counted(IDS).all()
    assert decisions.area_mm2("tissue", 2.0) == 2.0
    assert decisions.n_added("tissue") == 0


def test_a_reader_overrules_the_automatic_class_but_unsure_does_not():
    calls = {1: Call.NEGATIVE, 2: Call.POSITIVE, 3: Call.UNSURE, 99: Call.POSITIVE}
    decisions = Decisions(calls={"IFNG": calls})
    assert decisions.positive("IFNG", IDS, AUTOMATIC).tolist() == [False, True, True, False, True]
    assert decisions.positive("IL15", IDS, AUTOMATIC).tolist() == AUTOMATIC.tolist()


def test_excluded_cells_and_not_cells_stop_counting_for_every_marker():
    decisions = Decisions(calls={"IL15": {2: Call.NOT_A_CELL}}, excluded=frozenset({5}))
    assert decisions.counted(IDS).tolist() == [True, False, True, True, False]


def test_a_moved_cell_gets_its_new_compartment():
    decisions = Decisions(compartments={3: "epidermis", 4: ""})
    automatic = np.array(["dermis"] * 5, dtype=object)
    assert decisions.compartment(IDS, automatic).tolist() == ["dermis", "dermis", "epidermis", "", "dermis"]


def test_added_cells_count_in_tissue_and_in_their_compartment():
    cell = AddedCell(id="M:1", x_um=1.0, y_um=2.0, compartment="dermis", positive=frozenset({"IFNG"}))
    decisions = Decisions(added=(cell,))
    assert decisions.n_added("tissue", "IFNG") == decisions.n_added("dermis", "IFNG") == 1
    assert decisions.n_added("epidermis") == decisions.n_added("dermis", "IL15") == 0


def test_area_never_falls_below_zero():
    assert Decisions(area_change_mm2={"dermis": -3.0}).area_mm2("dermis", 2.0) == 0.0


def test_call_words_round_trip():
    assert [Call.from_word(call.word) for call in Call] == list(Call)
