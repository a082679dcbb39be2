"""The truth of a phantom: tables, rasters and areas, to a folder and back."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ishcount.core.errors import UsageError
from ishcount.core.files import write_json, write_parquet
from ishcount.truth.simulate.artefacts import ARTEFACT_BITS
from ishcount.truth.simulate.scene import Scene
from ishcount.truth.simulate.spec import PhantomSpec
from ishcount.truth.simulate.tissue import CODE_NAMES, GLASS, GRID_UM, HOLE

FORMAT = 1
LABEL_FILE = "nuclei_labels.tif"
VIABLE = ("epidermis", "dermis", "follicle", "gland")


@dataclass(frozen=True)
class PhantomTruth:
    """What is really on a phantom slide. Lengths in um, areas in mm2, places from the corner of the image.

    `nuclei`: nucleus_id, x_um, y_um, kind, compartment, area_um2, faint, in_focus, in_plane, counted (in
    the plane and on countable tissue) and per marker `M_copies`, `M_positive` (at least one dot of its own,
    and in the plane). `dots`: dot_id, marker, x_um, y_um, nucleus_id (0: none), strength_od_um2,
    diameter_um, in_focus, clustered. `code` (see `CODE_NAMES`) and `artefacts` (see `ARTEFACT_BITS`): uint8
    at `grid_um`. `labels`: uint32 of (rows, columns) on the nuclei grid, one pixel for `label_factor`
    level-0 pixels each way, or None. `area_mm2`: outline, tissue, viable, every compartment and artefact.
    """

    spec: dict[str, Any]
    nuclei: pd.DataFrame
    dots: pd.DataFrame
    confounders: pd.DataFrame
    code: npt.NDArray[np.uint8]
    artefacts: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint32] | None
    area_mm2: dict[str, float]
    epidermis_mm: float
    junction_mm: float
    stains: dict[str, list[float]]
    label_factor: int
    grid_um: float = GRID_UM

    @property
    def markers(self) -> tuple[str, ...]:
        """The markers on the slide."""
        return tuple(self.spec["markers"])

    @property
    def countable(self) -> npt.NDArray[np.bool_]:
        """Where tissue is counted: no glass, no hole, no artefact."""
        return np.asarray(~np.isin(self.code, (GLASS, HOLE)) & (self.artefacts == 0), np.bool_)


def truth_of(scene: Scene, labels: npt.NDArray[np.uint32] | None) -> PhantomTruth:
    """The truth of a scene; `labels` when they are to be kept."""
    tissue, bits = scene.skin.tissue, scene.artefacts.bits
    return PhantomTruth(
        spec=spec_dict(scene.spec),
        nuclei=_nuclei(scene),
        dots=scene.dots,
        confounders=scene.confounders.drop(columns="softness_um"),
        code=tissue.code,
        artefacts=bits,
        labels=labels,
        area_mm2=_areas_mm2(tissue.code, tissue.outline, bits),
        epidermis_mm=tissue.profile.epidermis_mm,
        junction_mm=tissue.profile.junction_mm,
        stains=_stains(scene),
        label_factor=scene.spec.label_factor,
    )


def spec_dict(spec: PhantomSpec) -> dict[str, Any]:
    """A spec as plain JSON values."""
    plain = asdict(spec)
    plain["confounders"] = None if spec.confounders is None else sorted(spec.confounders)
    return {key: list(value) if isinstance(value, tuple) else value for key, value in plain.items()}


def _stains(scene: Scene) -> dict[str, list[float]]:
    staining = scene.staining
    named = {"haematoxylin": staining.haematoxylin}
    named.update(zip(scene.spec.markers, staining.chromogens, strict=True))
    return {name: [round(float(part), 6) for part in vector] for name, vector in named.items()}


def _nuclei(scene: Scene) -> pd.DataFrame:
    drawn, tissue = scene.nuclei, scene.skin.tissue
    rows, columns = tissue.code.shape
    row = np.clip((drawn["y_um"] / GRID_UM).astype(int), 0, rows - 1)
    column = np.clip((drawn["x_um"] / GRID_UM).astype(int), 0, columns - 1)
    spoilt = (scene.artefacts.bits[row, column] > 0) | np.isin(tissue.code[row, column], (GLASS, HOLE))
    lumps = sum(drawn[f"a{k}"] ** 2 for k in (2, 3, 4))
    table = drawn[["nucleus_id", "x_um", "y_um", "kind", "compartment"]].copy()
    table["area_um2"] = np.pi * drawn["long_um"] * drawn["short_um"] * (1 + lumps / 2)
    table[["faint", "in_focus", "in_plane"]] = drawn[["faint", "in_focus", "in_plane"]]
    table["counted"] = drawn["in_plane"].to_numpy() & ~spoilt
    for marker in scene.spec.markers:
        owners = scene.dots.loc[scene.dots["marker"] == marker, "nucleus_id"].to_numpy(int)
        copies = np.bincount(owners, minlength=len(drawn) + 1)[1:]
        table[f"{marker}_copies"] = copies
        table[f"{marker}_positive"] = (copies > 0) & drawn["in_plane"].to_numpy()
    return table


def _areas_mm2(
    code: npt.NDArray[np.uint8], outline: npt.NDArray[np.bool_], bits: npt.NDArray[np.uint8]
) -> dict[str, float]:
    def mm2(mask: npt.NDArray[np.bool_]) -> float:
        return float(mask.sum() * GRID_UM**2 * 1e-6)

    tissue = ~np.isin(code, (GLASS, HOLE)) & (bits == 0)
    areas = {"outline": mm2(outline), "tissue": mm2(tissue)}
    for number, name in enumerate(CODE_NAMES):
        if number not in (GLASS, HOLE):
            areas[name] = mm2(tissue & (code == number))
    areas["viable"] = sum(areas[name] for name in VIABLE)
    areas["hole"] = mm2(code == HOLE)
    for name, bit in ARTEFACT_BITS.items():
        areas[f"artefact_{name}"] = mm2((bits & bit) > 0)
    return areas


def save_truth(truth: PhantomTruth, folder: Path) -> None:
    """Write tables (Parquet), rasters (TIFF) and truth.json into a folder; labels are written by their
    maker.
    """
    import tifffile

    write_parquet(folder / "nuclei.parquet", truth.nuclei)
    write_parquet(folder / "dots.parquet", truth.dots)
    write_parquet(folder / "confounders.parquet", truth.confounders)
    planes = np.stack([truth.code, truth.artefacts])
    tifffile.imwrite(
        folder / "regions.tif",
        planes,
        compression="zlib",
        photometric="minisblack",
        metadata=None,
        software=False,
    )
    write_json(
        folder / "truth.json",
        {
            "format": FORMAT, "spec": truth.spec, "grid_um": truth.grid_um,
            "label_factor": truth.label_factor, "area_mm2": truth.area_mm2,
            **_totals(truth), "epidermis_mm": truth.epidermis_mm, "junction_mm": truth.junction_mm,
            "stains": truth.stains,
            "codes": dict(enumerate(CODE_NAMES)), "artefact_bits": ARTEFACT_BITS,
        },
    )  # fmt: skip


def _totals(truth: PhantomTruth) -> dict[str, Any]:
    """What a perfect count would report."""
    counted = truth.nuclei[truth.nuclei["counted"]]
    area_mm2 = truth.area_mm2["tissue"]
    positive = {marker: int(counted[f"{marker}_positive"].sum()) for marker in truth.markers}
    return {
        "n_nuclei": len(truth.nuclei),
        "n_counted": len(counted),
        "nuclei_per_mm2": len(counted) / area_mm2 if area_mm2 else None,
        "n_positive": positive,
        "positive_per_mm2": {name: n / area_mm2 if area_mm2 else None for name, n in positive.items()},
    }


def save_labels(labels: npt.NDArray[np.uint32], folder: Path) -> None:
    """Write the nuclei's label image beside the truth."""
    import tifffile

    tifffile.imwrite(
        folder / LABEL_FILE, labels, compression="zstd", tile=(256, 256), photometric="minisblack",
        metadata=None, software=False,
    )  # fmt: skip


def load_truth(folder: Path) -> PhantomTruth:
    """The truth that `write_phantom` left in `<slide_id>.truth`. UsageError when there is none."""
    import tifffile

    if not (folder / "truth.json").is_file():
        raise UsageError(
            f"no truth in {str(folder)!r}: truth.json is missing; give a folder made by ishcount simulate"
        )
    facts = json.loads((folder / "truth.json").read_text("utf-8"))
    code, artefacts = tifffile.imread(folder / "regions.tif")
    label_file = folder / LABEL_FILE
    return PhantomTruth(
        spec=facts["spec"],
        nuclei=pd.read_parquet(folder / "nuclei.parquet"),
        dots=pd.read_parquet(folder / "dots.parquet"),
        confounders=pd.read_parquet(folder / "confounders.parquet"),
        code=code,
        artefacts=artefacts,
        labels=tifffile.imread(label_file) if label_file.is_file() else None,
        area_mm2=facts["area_mm2"],
        epidermis_mm=facts["epidermis_mm"],
        junction_mm=facts["junction_mm"],
        stains=facts["stains"],
        label_factor=facts["label_factor"],
        grid_um=facts["grid_um"],
    )
