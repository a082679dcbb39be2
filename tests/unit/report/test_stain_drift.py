"""Drift is told against the study's own colours, and only of colours that were measured."""

import numpy as np
import pytest

from ishcount.report.stain_drift import FAR_DEG, far_slides, stain_drift_deg

RED = np.array([0.21, 0.85, 0.48]) / np.linalg.norm([0.21, 0.85, 0.48])


def slide(name, colour, source="measured"):
    vector = {"stain": "fast_red", "rgb_od": list(colour), "source": source}
    return {"slide_id": name, "stains": {"vectors": [vector]}}


def turned(degrees):
    side = np.cross(RED, [0.0, 0.0, 1.0])
    angle = np.radians(degrees)
    return np.cos(angle) * RED + np.sin(angle) * side / np.linalg.norm(side)


def test_the_slide_that_drifted_is_named_with_its_angle():
    study = [slide(name, RED) for name in "abcd"] + [slide("late", turned(9))]
    drift = stain_drift_deg(study)
    assert drift["late"]["fast_red"] == pytest.approx(9, abs=0.1)
    assert drift["a"]["fast_red"] == pytest.approx(0, abs=0.1)
    assert [name for name, _ in far_slides(drift)] == ["late"]
    assert "9 degrees" in far_slides(drift)[0][1]


def test_a_drift_within_what_counts_bear_is_not_said():
    study = [slide(name, RED) for name in "abcd"] + [slide("late", turned(FAR_DEG - 1))]
    assert far_slides(stain_drift_deg(study)) == []


def test_colours_taken_from_reference_and_studies_of_two_slides_have_no_drift():
    assert stain_drift_deg([slide(name, RED, "reference") for name in "abcd"]) == {}
    assert stain_drift_deg([slide("a", RED), slide("b", turned(9))]) == {}
    assert stain_drift_deg([{"slide_id": "failed"}]) == {}
