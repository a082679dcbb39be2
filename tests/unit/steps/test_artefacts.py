"""Defocus is told from bare stroma."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from ishcount.steps.artefacts import ArtefactParams, find_blur, focus_energy

Array = np.ndarray[Any, Any]


def field(rng: np.random.Generator) -> Array:
    """A field of 400 x 400 um at 0.5 um/px: nuclei with sharp edges on pale stroma, grey levels."""
    picture = np.full((800, 800), 225, np.float32)
    for _ in range(900):
        x, y = rng.integers(0, 800, 2)
        cv2.circle(picture, (int(x), int(y)), 6, 120, -1)
    return cv2.GaussianBlur(picture, (0, 0), 0.6)


def energy_of(picture: Array, rng: np.random.Generator) -> Array:
    noisy = np.clip(np.rint(picture + rng.normal(0, 1, picture.shape)), 0, 255).astype(np.uint8)
    return focus_energy(np.repeat(noisy[..., None], 3, axis=2), 0.5, 8)


def test_a_disc_out_of_focus_is_found_and_nothing_else(rng: np.random.Generator) -> None:
    picture = field(rng)
    disc = np.zeros(picture.shape, np.float32)
    cv2.circle(disc, (400, 400), 200, 1, -1)
    picture += (cv2.GaussianBlur(picture, (0, 0), 4) - picture) * disc
    tissue = np.ones((100, 100), np.bool_)
    found = find_blur(energy_of(picture, rng), tissue, ~tissue, 4.0)
    truth = cv2.resize(disc, (100, 100), interpolation=cv2.INTER_AREA) > 0.5
    assert (found & ~truth).sum() < 0.1 * truth.sum()
    assert (found & truth).sum() > 0.6 * truth.sum()


def test_a_sharp_field_has_no_blur_even_where_it_has_no_nuclei(rng: np.random.Generator) -> None:
    picture = field(rng)
    picture[300:500, 300:500] = 225
    tissue = np.ones((100, 100), np.bool_)
    assert not find_blur(energy_of(picture, rng), tissue, ~tissue, 4.0).any()


def test_focus_is_the_same_in_every_block(rng: np.random.Generator) -> None:
    picture = np.repeat(np.rint(field(rng)).astype(np.uint8)[..., None], 3, axis=2)
    whole = focus_energy(picture, 0.5, 8)
    part = focus_energy(picture[160:640, 160:640], 0.5, 8)
    assert np.allclose(part[:, 5:-5, 5:-5], whole[:, 25:75, 25:75], rtol=1e-4)


def test_a_slide_out_of_focus_in_half_does_not_lower_its_own_bar(rng: np.random.Generator) -> None:
    picture = field(rng)
    half = np.zeros(picture.shape, np.float32)
    half[:, :480] = 1
    picture += (cv2.GaussianBlur(picture, (0, 0), 4) - picture) * half
    tissue = np.ones((100, 100), np.bool_)
    found = find_blur(energy_of(picture, rng), tissue, ~tissue, 4.0, ArtefactParams(least_share=0))
    assert found[:, :50].mean() > 0.9
    assert found[:, 70:].mean() < 0.05


def test_a_last_cell_may_be_a_single_pixel_of_either_parity(rng: np.random.Generator) -> None:
    picture = rng.integers(120, 250, (64, 64, 3), dtype=np.uint8)  # 9 cells of 7 pixels and one of 1 pixel
    for size in (57, 64):  # the last cell begins at pixel 56 and 63
        energy = focus_energy(picture[:size, :size], 0.6, 7)
        assert energy.shape == (2, size // 7 + 1, size // 7 + 1)
        assert (energy[0, :-1, :-1] > 0).all()
