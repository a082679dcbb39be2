"""Undo, redo, calls, cuts and exclusions against a model that keeps whole copies and counts by loops."""

import copy

import numpy as np
import pandas as pd
import shapely
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ishcount.core.decisions import Call
from ishcount.review.live import LiveCounts
from ishcount.review.log import Change, Entry
from ishcount.review.state import ReviewState

MARKERS = ("IFNG", "IL15")
CUT = 0.5
N_CELLS = 12

corner = st.integers(0, 10)
rectangle = st.tuples(corner, corner, st.integers(1, 10), st.integers(1, 10))
marker = st.sampled_from(MARKERS)
cell = st.integers(1, N_CELLS)
call = st.none() | st.sampled_from(list(Call))
steps = st.lists(
    st.tuples(st.just("call"), marker, st.lists(cell, min_size=1, max_size=3, unique=True), call)
    | st.tuples(st.just("exclude"), st.sampled_from("abc"), st.none() | rectangle)
    | st.tuples(st.just("cut"), marker, st.sampled_from([None, 0.2, 0.5, 0.8]))
    | st.tuples(st.sampled_from(["undo", "redo"])),
    max_size=40,
)


def some_cells(seed):
    rng = np.random.default_rng(seed)
    cells = pd.DataFrame({"cell_id": np.arange(1, N_CELLS + 1, dtype=np.uint32)})
    cells["x_um"], cells["y_um"] = rng.uniform(0.1, 19.9, N_CELLS), rng.uniform(0.1, 19.9, N_CELLS)
    cells["compartment"] = rng.choice(["dermis", "epidermis"], N_CELLS)
    for name in MARKERS:
        cells[f"{name}_score"] = rng.choice([0, 0.1, 0.3, 0.5, 0.7, 0.9], N_CELLS).astype(np.float32)
        cells[f"{name}_positive"] = cells[f"{name}_score"] >= CUT
    return cells


class Model:
    """Brute force: the whole state is copied before each act."""

    def __init__(self, cells):
        self.cells = cells
        self.now = {"calls": {}, "exclude": {}, "cut": {}}
        self.past, self.future = [], []

    def act(self, change):
        self.past.append(copy.deepcopy(self.now))
        self.future.clear()
        change(self.now)

    def undo(self):
        if self.past:
            self.future.append(self.now)
            self.now = self.past.pop()

    def redo(self):
        if self.future:
            self.past.append(self.now)
            self.now = self.future.pop()

    def count(self, name, compartment):
        n_cells = n_positive = 0
        for row in self.cells.itertuples():
            calls = {m: self.now["calls"].get((m, row.cell_id)) for m in MARKERS}
            inside = any(
                x < row.x_um < x + w and y < row.y_um < y + h for x, y, w, h in self.now["exclude"].values()
            )
            if inside or Call.NOT_A_CELL in calls.values() or compartment not in ("tissue", row.compartment):
                continue
            n_cells += 1
            positive = getattr(row, f"{name}_score") >= np.float32(self.now["cut"].get(name, CUT))
            if calls[name] in (Call.POSITIVE, Call.NEGATIVE):
                positive = calls[name] == Call.POSITIVE
            n_positive += bool(positive)
        return n_cells, n_positive


class Reader:
    """The real thing: entries folded into a state, the items it changed shown to the live counts."""

    def __init__(self, cells):
        self.live = LiveCounts(cells, dict.fromkeys(MARKERS, CUT))
        self.state = ReviewState()
        self.entries = []

    def write(self, *changes):
        act = self.entries[-1].act + 1 if self.entries else 1
        for change in changes:
            fields = {name: getattr(change, name) for name in change.__struct_fields__}
            entry = Entry(
                schema=1, sequence=len(self.entries) + 1, act=act, utc="", reviewer="AB", session="s",
                slide_id="1", result_digest="d", **fields,
            )  # fmt: skip
            self.entries.append(entry)
            for item in self.state.fold(entry):
                self.show(item)

    def show(self, item):
        value = self.state.value(item.operation, item.name, item.marker)
        if item.operation == "call":
            self.live.set_call(item.marker, item.name, None if value is None else Call.from_word(value))
        elif item.operation == "cut":
            self.live.set_cut(item.marker, value)
        else:
            self.live.exclude(item.name, None if value is None else np.array(value["polygon_um"], float))


def polygon(rectangle):
    x, y, w, h = rectangle
    return np.array(shapely.box(x, y, x + w, y + h).exterior.coords)[:-1].tolist()


def play(model, reader, step):
    kind, *rest = step
    if kind == "call":
        name, ids, call = rest
        word = None if call is None else call.word

        def change(now):
            for cell_id in ids:
                now["calls"].pop((name, cell_id), None)
                if call is not None:
                    now["calls"][name, cell_id] = call

        changes = [
            Change(operation="call", marker=name, item=i, old=reader.state.value("call", i, name), new=word)
            for i in ids
        ]
    elif kind == "exclude":
        key, area = rest
        value = None if area is None else {"polygon_um": polygon(area)}

        def change(now):
            now["exclude"].pop(key, None)
            if area is not None:
                now["exclude"][key] = area

        changes = [Change(operation="exclude", item=key, old=reader.state.value("exclude", key), new=value)]
    elif kind == "cut":
        name, cut = rest

        def change(now):
            now["cut"].pop(name, None)
            if cut is not None:
                now["cut"][name] = cut

        old = reader.state.value("cut", "", name)
        changes = [Change(operation="cut", marker=name, old=old, new=cut)]
    else:
        target = reader.state.can_undo if kind == "undo" else reader.state.can_redo
        if target is not None:
            reader.write(Change(operation=kind, new=target))
        getattr(model, kind)()
        return
    model.act(change)
    reader.write(*changes)


def tallies(counts):
    return [(counts(name, place)) for name in MARKERS for place in ("tissue", "dermis", "epidermis")]


def every_cell_called_then_excluded(call):
    """What random steps seldom bring together: an exclusion over cells that were called something."""
    everyone = list(range(1, N_CELLS + 1))
    areas = [("exclude", "a", (0, 0, 10, 10)), ("exclude", "b", (2, 2, 10, 10)), ("exclude", "a", None)]
    return [
        ("call", MARKERS[0], everyone, call),
        *areas,
        ("undo",),
        ("undo",),
        ("undo",),
        ("undo",),
        ("redo",),
    ]


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 5), steps=steps)
@example(seed=0, steps=every_cell_called_then_excluded(Call.NOT_A_CELL))
@example(seed=1, steps=every_cell_called_then_excluded(Call.UNSURE))
@example(seed=2, steps=every_cell_called_then_excluded(Call.NEGATIVE))
def test_any_order_of_decisions_undo_and_redo_counts_like_brute_force(seed, steps):
    cells = some_cells(seed)
    model, reader = Model(cells), Reader(cells)
    for step in steps:
        play(model, reader, step)

        def live(name, place):
            tally = reader.live.tally(name, place)
            return tally.n_cells, tally.n_positive

        assert tallies(live) == tallies(model.count)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 5), steps=steps)
def test_a_reopened_log_gives_the_same_state(seed, steps):
    cells = some_cells(seed)
    model, reader = Model(cells), Reader(cells)
    for step in steps:
        play(model, reader, step)
    again = ReviewState(reader.entries)
    assert {item: found.value for item, found in again.values.items()} == {
        item: found.value for item, found in reader.state.values.items()
    }
    assert (again.can_undo, again.can_redo) == (reader.state.can_undo, reader.state.can_redo)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 5), steps=steps)
def test_undoing_everything_gives_back_the_automatic_result(seed, steps):
    cells = some_cells(seed)
    model, reader = Model(cells), Reader(cells)
    for step in steps:
        play(model, reader, step)
    while reader.state.can_undo is not None:
        reader.write(Change(operation="undo", new=reader.state.can_undo))
    assert reader.state.values == {}
    for name in MARKERS:
        tally = reader.live.tally(name)
        assert tally.n_positive == tally.n_positive_automatic == int(cells[f"{name}_positive"].sum())


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 5), steps=steps)
def test_the_look_up_table_agrees_with_the_counts(seed, steps):
    cells = some_cells(seed)
    model, reader = Model(cells), Reader(cells)
    for step in steps:
        play(model, reader, step)
    live = reader.live
    for name in MARKERS:
        looks = live.looks(name)[live.cell_id]
        assert looks.tolist() == [live.look(name, row) for row in range(N_CELLS)]
        open_positive = np.isin(looks, [2, 5]) | ((looks == 3) & live.effective(name))
        assert int(open_positive.sum()) == live.tally(name).n_positive
