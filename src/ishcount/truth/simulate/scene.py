"""Everything on one glass: tissue, nuclei, dots, confounders, artefacts and colours, before any pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ishcount.truth.simulate.artefacts import Artefacts, draw_artefacts
from ishcount.truth.simulate.background import Layers, smooth_layers
from ishcount.truth.simulate.confounders import draw_confounders
from ishcount.truth.simulate.dots import draw_dots
from ishcount.truth.simulate.nuclei import draw_nuclei
from ishcount.truth.simulate.spec import PhantomSpec
from ishcount.truth.simulate.staining import Staining, draw_staining
from ishcount.truth.simulate.structures import Skin, draw_skin


@dataclass(frozen=True)
class Scene:
    """One slide's content in um; it does not depend on pixel size or camera."""

    spec: PhantomSpec
    skin: Skin
    nuclei: pd.DataFrame
    dots: pd.DataFrame
    confounders: pd.DataFrame
    artefacts: Artefacts
    staining: Staining
    layers: Layers


def draw_scene(spec: PhantomSpec) -> Scene:
    """The content of the slide that `spec` describes."""
    skin = draw_skin(spec)
    nuclei = draw_nuclei(spec, skin)
    return Scene(
        spec=spec,
        skin=skin,
        nuclei=nuclei,
        dots=draw_dots(spec, skin, nuclei),
        confounders=draw_confounders(spec, skin, nuclei),
        artefacts=draw_artefacts(spec, skin),
        staining=draw_staining(spec),
        layers=smooth_layers(skin.tissue),
    )


def nucleus_shapes(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """Rows for `paint.stamp_nuclei` (n, 15) and ids (0: drawn but out of the plane), in drawing order."""
    nuclei, staining = scene.nuclei, scene.staining
    edge = np.where(nuclei["in_focus"], 0.35, 0.9)
    amount = staining.nuclear_od * nuclei["stain"] * np.where(nuclei["in_focus"], 1.0, 0.75)
    columns = [
        *(nuclei[name] for name in ("x_um", "y_um", "long_um", "short_um", "angle_rad")), amount, edge,
        *(nuclei[f"{letter}{k}"] for k in (2, 3, 4) for letter in "ap"),
        nuclei["texture_x"], nuclei["texture_y"],
    ]  # fmt: skip
    shapes = np.column_stack([np.asarray(column, float) for column in columns])
    visible = nuclei["in_plane"].to_numpy()
    return shapes[visible], nuclei["nucleus_id"].to_numpy()[visible].astype(np.uint32)
