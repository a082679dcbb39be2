"""Methods, limitations and checklists are filled from the result and leave open what it cannot know."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from ishcount.params import make_params
from ishcount.report.checklists import checklists
from ishcount.report.methods import facts, limitations, methods_text
from ishcount.result import StudyResult, load_result
from tests.study_folder import make_study


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyResult:
    return load_result(make_study(tmp_path_factory.mktemp("methods") / "out"))


def text_of(study: StudyResult, **density: object) -> str:
    params = make_params({"density": density}).model_dump(mode="json")
    summaries = [slide.summary for slide in study.slides.values()]
    return " ".join(methods_text(study.densities, summaries, params, None, {"numpy": "2.4.6"}))


def test_the_methods_name_version_parameters_and_pixel_size(study: StudyResult) -> None:
    text = text_of(study)
    assert "ishcount 0.1.0 (parameters " in text
    assert "numpy 2.4.6" in text
    assert "0.25 um per pixel; source: given" in text
    assert "Fast Red and haematoxylin" in text


@pytest.mark.parametrize(
    ("density", "words"),
    [
        ({"dot_cut": 0.97}, "score was at least 0.97"),
        ({"min_dots": 3}, "counted dots amounting to 3 transcripts"),
    ],
)
def test_the_methods_say_the_parameters_that_were_used(study: StudyResult, density: dict, words: str) -> None:
    assert words in text_of(study, **density)


def test_what_only_the_authors_know_stays_open(study: StudyResult) -> None:
    summaries = [slide.summary for slide in study.slides.values()]
    known = facts(study.densities, summaries, make_params().model_dump(mode="json"), None)
    by_name = {item.name: item.answer for one in checklists(known) for item in one.items}
    assert by_name["22 Funding"] is None
    assert by_name["Staining: protocol, pretreatment, instrument, dates"] is None
    assert (
        by_name["Staining: positive and negative controls and how they turned out"]
        == "1 negative control slide"
    )
    assert by_name["Imaging: scanner, objective, pixel size, file format"] == "0.25 um per pixel"


def test_limitations_give_the_false_cells_the_scores_expect(study: StudyResult) -> None:
    summaries = [slide.summary for slide in study.slides.values()]
    assert any("0.31 false positive cells" in line for line in limitations(study.densities, None, summaries))


def test_recorded_covariates_are_listed_and_absent_ones_are_not(study: StudyResult) -> None:
    table = study.densities.assign(age=50.0, scanner=pd.NA)
    summaries = [slide.summary for slide in study.slides.values()]
    known = facts(table, summaries, make_params().model_dump(mode="json"), None)
    assert known["covariates"] == "recorded: age"


def test_a_table_made_elsewhere_claims_nothing_about_imaging() -> None:
    table = pd.DataFrame({"patient": ["a"], "group": ["EM"], "compartment": ["tissue"]})
    assert set(facts(table, [], make_params().model_dump(mode="json"), None)) == {"groups", "limitations"}


def test_the_checklists_are_named_with_their_open_items() -> None:
    found = checklists({})
    assert [one.name.split()[0] for one in found] == ["MISFISHIE", "Image-analysis", "STROBE"]
    assert all(one.n_open == len(one.items) for one in found)


def test_templates_travel_with_the_package() -> None:
    folder = Path(__file__).parents[3] / "src" / "ishcount" / "report" / "templates"
    assert {path.name for path in folder.iterdir()} == {"report.css", "report.html.j2", "report.typ"}


def test_how_controls_turned_out_is_filled_in_and_bias_stays_open_without_blinding(
    study: StudyResult,
) -> None:
    summaries = [slide.summary for slide in study.slides.values()]
    judged = {
        "controls": [{"role": "negative_control", "passed": False}],
        "confounding": [{"covariate": "batch"}],
    }
    params = make_params().model_dump(mode="json")
    found = facts(study.densities, summaries, params, judged)
    assert found["controls"] == "1 negative control slide, 0 passed"
    assert "bias" not in found
    blinded = params | {"protocol": {"blinding": "readers did not know the group"}}
    told = facts(study.densities, summaries, blinded, judged)["bias"].split("; ")
    assert told == [blinded["protocol"]["blinding"], found["controls"], "covariates against group: batch"]


def test_folds_are_said_to_be_left_out_only_where_some_were(study: StudyResult) -> None:
    params = make_params().model_dump(mode="json")
    plain = [dict(slide.summary, artefacts={"pen": 0.1}) for slide in study.slides.values()]
    folded = [dict(summary, artefacts={"fold": 0.1}) for summary in plain]
    texts = [" ".join(methods_text(study.densities, s, params, None, {})) for s in (plain, folded)]
    assert ["folds, ink" in text for text in texts] == [False, True]
