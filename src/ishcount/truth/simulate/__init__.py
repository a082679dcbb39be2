"""Phantom slides of skin with exact truth. They share no code with the detector.

`draw_phantom(spec)` gives pixels and truth in memory, `write_phantom(spec, folder, slide_id)` a slide file
with its truth beside it, in bounded memory.
"""

from ishcount.truth.simulate.render import Phantom, draw_phantom
from ishcount.truth.simulate.spec import CONFOUNDERS, PRESETS, PhantomSpec
from ishcount.truth.simulate.truth import PhantomTruth, load_truth
from ishcount.truth.simulate.writer import write_phantom

__all__ = [
    "CONFOUNDERS",
    "PRESETS",
    "Phantom",
    "PhantomSpec",
    "PhantomTruth",
    "draw_phantom",
    "load_truth",
    "write_phantom",
]
