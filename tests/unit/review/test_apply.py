"""Reviews on their way back into the study."""

import numpy as np
import pytest

from ishcount.core.decisions import Call
from ishcount.core.errors import SlideError
from ishcount.result import load_slide_result
from ishcount.review.apply import CONSENSUS, apply_review
from ishcount.review.log import Change, ReviewLog
from tests.result_folder import DERMIS, EPIDERMIS, MARKER, MPP, TISSUE, make_result


@pytest.fixture
def result(tmp_path):
    return load_slide_result(make_result(tmp_path / "result")[0].slide_folder)


def write(result, reviewer, *changes):
    log = ReviewLog(result.folder, reviewer=reviewer, slide_id=result.slide_id, result_digest=result.digest())
    log.append(list(changes))


def call(cell, word):
    return Change(operation="call", marker=MARKER, item=int(cell), new=word)


def box_um(x, y, width, height):
    return (np.array([[x, y], [x + width, y], [x + width, y + height], [x, y + height]]) * MPP).tolist()


def counted(result, compartment="tissue"):
    rows = result.densities(decisions=apply_review(result)).set_index("compartment")
    return rows.loc[compartment]


def ids(result, positive):
    return result.cells.loc[result.cells[f"{MARKER}_positive"] == positive, "cell_id"].tolist()


def test_no_log_means_no_decisions(result):
    assert apply_review(result) is None


def test_one_readers_calls_change_the_reviewed_count_and_nothing_on_disk(result):
    before = result.digest()
    automatic = int(result.cells[f"{MARKER}_positive"].sum())
    wrong, missed = ids(result, True)[:2], ids(result, False)[:5]
    write(result, "AB", *[call(cell, "negative") for cell in wrong], *[call(c, "positive") for c in missed])
    assert counted(result)["n_positive"] == automatic + 3
    assert result.digest() == before
    assert apply_review(result).reviewers == ("AB",)


def test_an_exclusion_takes_cells_and_exactly_its_tissue_area_out(result):
    x, y, width, height = EPIDERMIS
    # Half of it lies beside the tissue, which has no area to lose.
    polygon = box_um(x - 100, y, 200, height)
    write(result, "AB", Change(operation="exclude", item="X:1", new={"polygon_um": polygon}, reason="fold"))
    removed = 100 * height * MPP**2 * 1e-6
    cells = result.cells
    inside = ((cells["x_um"] < (x + 100) * MPP) & (cells["y_um"] < (y + height) * MPP)).sum()
    for name, area_px in (("tissue", TISSUE[2] * TISSUE[3]), ("epidermis", width * height)):
        row = counted(result, name)
        assert row["area_mm2"] == pytest.approx(area_px * MPP**2 * 1e-6 - removed, rel=1e-9)
    assert counted(result)["n_cells"] == len(cells) - inside
    assert counted(result, "dermis")["area_mm2"] == pytest.approx(DERMIS[2] * DERMIS[3] * MPP**2 * 1e-6)


def test_overlapping_exclusions_take_their_area_once(result):
    x, y, _, height = EPIDERMIS
    polygon = {"polygon_um": box_um(x, y, 100, height)}
    write(result, "AB", *[Change(operation="exclude", item=f"X:{n}", new=polygon) for n in range(3)])
    lost = TISSUE[2] * TISSUE[3] - 100 * height
    assert counted(result)["area_mm2"] == pytest.approx(lost * MPP**2 * 1e-6, rel=1e-9)


def test_a_redrawn_epidermis_moves_area_and_cells_from_the_dermis(result):
    x, y, width, height = EPIDERMIS
    deeper = {"polygons_um": [box_um(x, y, width, height + 200)]}
    write(result, "AB", Change(operation="outline", item="epidermis", new=deeper))
    moved = 200 * width * MPP**2 * 1e-6
    epidermis, dermis = counted(result, "epidermis"), counted(result, "dermis")
    assert epidermis["area_mm2"] == pytest.approx(width * height * MPP**2 * 1e-6 + moved)
    assert dermis["area_mm2"] == pytest.approx(DERMIS[2] * DERMIS[3] * MPP**2 * 1e-6 - moved)
    below = result.cells["y_um"] < (y + height + 200) * MPP
    assert (epidermis["n_cells"], dermis["n_cells"]) == (below.sum(), (~below).sum())
    assert counted(result)["n_cells"] == len(result.cells)


def test_a_shrunk_tissue_outline_drops_cells_and_area_everywhere(result):
    x, y, width, height = TISSUE
    half = {"polygons_um": [box_um(x, y, width // 2, height)]}
    write(result, "AB", Change(operation="outline", item="tissue", new=half))
    inside = result.cells["x_um"] < (x + width // 2) * MPP
    assert counted(result)["n_cells"] == inside.sum()
    assert counted(result)["area_mm2"] == pytest.approx(width * height * MPP**2 * 1e-6 / 2)
    assert counted(result, "dermis")["area_mm2"] == pytest.approx(DERMIS[2] * DERMIS[3] * MPP**2 * 1e-6 / 2)


def test_an_added_cell_counts_in_its_compartment_and_not_outside_tissue(result):
    def added(name, x, y):
        value = {"x_um": x * MPP, "y_um": y * MPP, "positive": [MARKER]}
        return Change(operation="add", item=name, new=value)

    automatic = int(result.cells[f"{MARKER}_positive"].sum())
    write(result, "AB", added("M:1", DERMIS[0] + 50, DERMIS[1] + 50), added("M:2", 2, 2))
    assert counted(result)["n_positive"] == automatic + 1
    assert counted(result)["n_cells"] == len(result.cells) + 1
    assert [cell.compartment for cell in apply_review(result).added] == ["dermis"]


def test_a_cell_in_dispute_keeps_its_automatic_class_until_consensus(result):
    cell = ids(result, True)[0]
    automatic = len(ids(result, True))
    write(result, "AB", call(cell, "negative"))
    write(result, "CD", call(cell, "positive"))
    assert counted(result)["n_positive"] == automatic
    write(result, CONSENSUS, call(cell, "negative"))
    assert counted(result)["n_positive"] == automatic - 1
    assert apply_review(result).reviewers == ("AB", "CD", "consensus")


def test_what_one_of_two_readers_excludes_stays_in(result):
    x, y, _, height = EPIDERMIS
    for reader, width in (("AB", 200), ("CD", 100)):
        polygon = {"polygon_um": box_um(x, y, width, height)}
        write(result, reader, Change(operation="exclude", item="X:1", new=polygon))
    kept = TISSUE[2] * TISSUE[3] - 100 * height
    assert counted(result)["area_mm2"] == pytest.approx(kept * MPP**2 * 1e-6, rel=1e-9)


def test_not_a_cell_leaves_every_count(result):
    write(result, "AB", call(ids(result, True)[0], "not_a_cell"))
    row = counted(result)
    assert row["n_cells"] == len(result.cells) - 1
    assert row["n_positive"] == len(ids(result, True)) - 1
    assert apply_review(result).calls[MARKER][ids(result, True)[0]] == Call.NOT_A_CELL


def test_a_review_of_an_earlier_result_is_refused(result):
    write(result, "AB", call(1, "positive"))
    path = result.folder / "dots.parquet"
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(SlideError, match="another result"):
        apply_review(load_slide_result(result.folder))
