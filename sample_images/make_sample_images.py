"""Draw the sample study anew: python sample_images/make_sample_images.py [FOLDER] (default: this folder)."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from ishcount.core.files import write_csv
from ishcount.truth.simulate.spec import PhantomSpec
from ishcount.truth.simulate.writer import write_phantom

WIDTH_UM, HEIGHT_UM = 600.0, 450.0
SEED = 20_200  # slide n of the list below has seed SEED + n

PIGMENT = 0.2
# patient, group, marker, chromogen, role, preset, share of positive cells. Denser than in real skin (where 9
# per mm2, two cells in a thousand, is a disease), so that slides of a fifth of a mm2 hold some.
SLIDES = (
    ("EM-1", "EM", "IFNG", "fast_red", "target", "medium", 0.060),
    ("EM-2", "EM", "IFNG", "fast_red", "target", "medium", 0.100),
    ("EM-3", "EM", "IFNG", "fast_red", "target", "medium", 0.030),
    ("EM-4", "EM", "IFNG", "fast_red", "target", "medium", 0.075),
    ("normal-1", "normal", "IFNG", "fast_red", "target", "rare", 0.004),
    ("normal-2", "normal", "IFNG", "fast_red", "target", "rare", 0.012),
    ("normal-3", "normal", "IFNG", "fast_red", "target", "rare", 0.000),
    ("normal-4", "normal", "IFNG", "fast_red", "target", "rare", 0.008),
    ("EM-1", "EM", "IL15", "dab", "target", "medium", 0.120),
    ("EM-2", "EM", "IL15", "dab", "target", "medium", 0.080),
    ("normal-1", "normal", "IL15", "dab", "target", "rare", 0.012),
    ("normal-2", "normal", "IL15", "dab", "target", "rare", 0.008),
    ("EM-1", "EM", "POLR2A", "fast_red", "positive_control", "easy", 0.900),
    ("EM-1", "EM", "dapB", "fast_red", "negative_control", "blank", None),
)
POLR2A_COPIES = 12.0  # per cell: a housekeeping gene in well kept RNA


def main(folder: Path) -> None:
    """Write every slide with its truth, and the sheet."""
    rows = []
    # the controls were stained with the Fast Red slides, so they say nothing about those in DAB
    red = ";".join(f"{patient}_{marker}" for patient, _, marker, dye, role, *_ in SLIDES
                   if dye == "fast_red" and role == "target")  # fmt: skip
    for number, (patient, group, marker, chromogen, role, preset, prevalence) in enumerate(SLIDES):
        slide_id = f"{patient}_{marker}"
        spec = PhantomSpec(
            preset=preset,
            chromogens=(chromogen,),
            markers=(marker,),
            width_um=WIDTH_UM,
            height_um=HEIGHT_UM,
            prevalence=prevalence,
            state="inflamed" if group == "EM" else "normal",
            pigment=PIGMENT,
            copies_mean=POLR2A_COPIES if marker == "POLR2A" else None,
            jpeg_quality=80,
            seed=SEED + number,
        )
        path = write_phantom(spec, folder, slide_id)
        rows.append(
            {
                "slide": path.name, "slide_id": slide_id, "patient": patient, "group": group,
                "marker": marker, "chromogen": chromogen, "role": role,
                "control_for": "" if role == "target" else red,
                "batch": "1", "section_um": 5, "scanner": "phantom",
            }
        )  # fmt: skip
        print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB")
    write_csv(folder / "sheet.csv", pd.DataFrame(rows))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
