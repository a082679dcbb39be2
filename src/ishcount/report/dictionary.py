"""Every column of every table: its unit and what it means, in one place for workbook and report."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from ishcount.core.flags import MEANING


@dataclass(frozen=True, slots=True)
class Column:
    """How a column is explained and shown. `style` is a key of `workbook.NUMBER_FORMATS`."""

    unit: str
    meaning: str
    style: str = "text"


_NAME, _COUNT, _AREA, _DENSITY, _SHARE, _LENGTH = "text", "count", "area", "density", "decimal", "decimal"
_PER_MM2 = "cells per mm2"

COLUMNS: dict[str, Column] = {
    "slide_id": Column("", "name of the slide, unique in the study", _NAME),
    "patient": Column("", "the unit of comparison; slides of one patient are taken together", _NAME),
    "group": Column("", "group of the patient, from the sample sheet", _NAME),
    "marker": Column("", "gene or control probe; two names joined by + are cells positive for both", _NAME),
    "chromogen": Column("", "dye of the probe", _NAME),
    "role": Column("", "target, positive_control or negative_control; only targets are compared", _NAME),
    "compartment": Column("", "tissue is everything; else a layer of the skin or an annotated class", _NAME),
    "status": Column("", "ok, partial (some area could not be read), failed or skipped", _NAME),
    "error_code": Column("", "kind of failure; empty when none", _NAME),
    "reason": Column("", "why a slide failed, or why a number is missing, in one sentence", _NAME),
    "area_mm2": Column("mm2", "area behind the density of this row", _AREA),
    "area_low_mm2": Column("mm2", "area with the tissue threshold moved one way: a systematic band", _AREA),
    "area_high_mm2": Column("mm2", "area with the tissue threshold moved the other way", _AREA),
    "outline_mm2": Column("mm2", "area inside the filled outer outline, holes and artefacts included", _AREA),
    "n_cells": Column("cells", "nuclei counted in the compartment", _COUNT),
    "n_positive": Column("cells", "cells with at least min_dots counted copies", _COUNT),
    "n_positive_2": Column("cells", "cells with at least 2 counted copies", _COUNT),
    "n_positive_3": Column("cells", "cells with at least 3 counted copies", _COUNT),
    "positive_per_mm2": Column(_PER_MM2, "positive cells / area_mm2: the result", _DENSITY),
    "ci_low": Column(_PER_MM2, "lower limit of the 95 % interval of positive_per_mm2", _DENSITY),
    "ci_high": Column(_PER_MM2, "upper limit of that interval", _DENSITY),
    "ci_method": Column("", "how the interval was made", _NAME),
    "estimated_per_mm2": Column(
        _PER_MM2, "density expected from the scores if they are right on average; beside the count", _DENSITY
    ),
    "percent_positive": Column("%", "positive cells per 100 cells", _SHARE),
    "n_copies": Column("copies", "counted copies (dots, clusters split) in cells", _COUNT),
    "n_copies_outside_cells": Column("copies", "counted copies too far from every nucleus", _COUNT),
    "copies_per_cell": Column("copies", "copies in cells / n_cells", _SHARE),
    "h_score": Column("0-400", "sum of score x percentage of cells with it, from the bins below", _SHARE),
    "score_0": Column("cells", "cells with 0 copies", _COUNT),
    "score_1": Column("cells", "cells with 1-3 copies (bins are parameters)", _COUNT),
    "score_2": Column("cells", "cells with 4-9 copies", _COUNT),
    "score_3": Column("cells", "cells with 10-15 copies", _COUNT),
    "score_4": Column("cells", "cells with more than 15 copies", _COUNT),
    "acd_score": Column("0-4", "one score of the slide by the assay maker's scheme", _COUNT),
    "epidermis_mm": Column("mm", "length of the epidermis on the slide", _LENGTH),
    "positive_per_mm_epidermis": Column("cells per mm", "n_positive / epidermis_mm", _DENSITY),
    "reviewed": Column("", "a person reviewed this slide", _NAME),
    "n_positive_reviewed": Column("cells", "positive cells after review", _COUNT),
    "positive_per_mm2_reviewed": Column(_PER_MM2, "density after review", _DENSITY),
    "reviewed_ci_low": Column(_PER_MM2, "lower limit of its 95 % interval", _DENSITY),
    "reviewed_ci_high": Column(_PER_MM2, "upper limit of its 95 % interval", _DENSITY),
    "reviewers": Column("", "who reviewed", _NAME),
    "mpp_x_um": Column("um", "width of a level-0 pixel", "precise"),
    "mpp_y_um": Column("um", "height of a level-0 pixel", "precise"),
    "mpp_source": Column("", "where the pixel size comes from", _NAME),
    "flags": Column("", "doubts, joined by ;, explained at the end of this sheet", _NAME),
    "ishcount_version": Column("", "version that counted", _NAME),
    "params_digest": Column("", "digest of every parameter that can change a count", _NAME),
    "slide_digest": Column("", "digest of the slide's content", _NAME),
    "protocol_digest": Column("", "digest of the protocol fixed before groups were read", _NAME),
    # Patients
    "n_slides": Column("slides", "slides of the patient behind the density", _COUNT),
    "n_sections": Column("sections", "sections of the patient behind the density", _COUNT),
    "pair": Column("", "before or during treatment, of the same patient", _NAME),
    "slides": Column("", "ids of those slides", _NAME),
    # QC
    "width_px": Column("px", "width of level 0", _COUNT),
    "height_px": Column("px", "height of level 0", _COUNT),
    "tissue_area_mm2": Column("mm2", "area of tissue on the slide", _AREA),
    "artefacts_mm2": Column("mm2", "area left out as artefact, all kinds", _AREA),
    "stain_source": Column("", "whether stain colours were measured on the slide or taken as known", _NAME),
    "stain_mismatch": Column("", "how far the colours are from the chromogen asked for", _NAME),
    "stain_drift_deg": Column(
        "degrees", "farthest of the slide's stain colours from that stain's median over the study", "precise"
    ),
    # Statistics
    "case": Column("", "group that stands first; differences are case - control", _NAME),
    "control": Column("", "group compared with the case", _NAME),
    "measure": Column("", "the density compared", _NAME),
    "role_of_result": Column("", "primary (fixed beforehand), secondary, exploratory or descriptive", _NAME),
    "n_case": Column("patients", "patients of the case group with a density", _COUNT),
    "n_control": Column("patients", "patients of the control group with a density", _COUNT),
    "n_not_measured": Column("slides", "slides of the patient without a density", _COUNT),
    "exposure": Column("mm2", "area behind the patient's density (adjacent levels averaged)", _AREA),
    "quantity": Column("", "test or effect size", _NAME),
    "estimand": Column("", "the question the number answers", _NAME),
    "estimate": Column("as measured", "estimate of the estimand", _DENSITY),
    "low": Column("as measured", "lower limit of its interval; empty: unbounded or not computable", _DENSITY),
    "high": Column("as measured", "upper limit of its interval", _DENSITY),
    "statistic": Column("", "test statistic", "fine"),
    "df": Column("", "degrees of freedom", "fine"),
    "p": Column("", "two-sided P at full precision", "p"),
    "p_text": Column("", "P as a journal prints it", _NAME),
    "p_holm": Column("", "P of the primary test after Holm's correction over markers", "p"),
    # Controls
    "passed": Column("", "the control shows what it should", _NAME),
    "linked": Column("", "slides the control stands for", _NAME),
    "upper_limit": Column(_PER_MM2, "exact one-sided upper 95 % limit of the control's density", _DENSITY),
    "limit": Column(_PER_MM2, "largest upper limit with which a negative control passes", _DENSITY),
    "n_blanks": Column("slides", "negative controls behind the limits of a batch and dye", _COUNT),
    "limit_of_blank": Column(_PER_MM2, "density that 95 % of blanks stay below (CLSI EP17)", _DENSITY),
    "limit_of_detection": Column(_PER_MM2, "density found above that limit in 95 % of slides", _DENSITY),
    "limit_of_quantitation": Column(_PER_MM2, "density measured with the stated precision", _DENSITY),
    "largest_false_per_mm2": Column(_PER_MM2, "rate of false cells that min_dots had to keep to", _DENSITY),
    # Sensitivity
    "dot_cut": Column("0-1", "least score at which a dot counts", "precise"),
    "min_dots": Column("copies", "copies that make a cell positive", _COUNT),
    "ownership": Column("", "rule by which a dot is given to a cell", _NAME),
    "mean_case": Column(_PER_MM2, "mean of the case group's patients by this rule", _DENSITY),
    "mean_control": Column(_PER_MM2, "mean of the control group's patients by this rule", _DENSITY),
    "false_per_mm2": Column(_PER_MM2, "positive cells of the negative controls by this rule", _DENSITY),
    "false_upper_per_mm2": Column(_PER_MM2, "its upper 95 % limit", _DENSITY),
    "remark": Column("", "the rule used, the one blanks ask for, or why a number is missing", _NAME),
    # Parameters and Dictionary
    "parameter": Column("", "dotted name, as in params.toml", _NAME),
    "value": Column("", "value used", _NAME),
    "column": Column("", "name of a column or flag", _NAME),
    "unit": Column("", "its unit", _NAME),
    "meaning": Column("", "what it says", _NAME),
    "sheet": Column("", "sheets that have it", _NAME),
    # Cells (cells.parquet) and dots (dots.parquet)
    "cell_id": Column("", "number of the cell on its slide, from 1; the value in labels.ome.zarr", _COUNT),
    "x_um": Column("um", "from the left edge of level-0 pixel (0, 0), to the right", "precise"),
    "y_um": Column("um", "from its upper edge, downwards", "precise"),
    "nucleus_area_um2": Column("um2", "area of the nucleus", _SHARE),
    "cell_area_um2": Column("um2", "area of the nucleus grown by at most cell_expansion_um", _SHARE),
    "section": Column("", "number of the section the cell lies in", _COUNT),
    "depth_um": Column("um", "below the dermo-epidermal junction; negative above", _SHARE),
    "M_dots": Column("dots", "counted dots of marker M that the cell owns", _COUNT),
    "M_dots_nucleus": Column("dots", "of these, dots inside the nucleus", _COUNT),
    "M_copies": Column("copies", "copies these dots stand for", _COUNT),
    "M_score": Column("0-1", "highest dot_cut at which the cell would be positive for M", "precise"),
    "M_positive": Column("", "M_score is at least dot_cut", _NAME),
    "dot_id": Column("", "number of the dot on its slide", _COUNT),
    "area_um2": Column("um2", "area of the dot", _SHARE),
    "peak_od": Column("OD", "greatest optical density of the dye in the dot", _SHARE),
    "integrated_od": Column("OD x um2", "optical density summed over the dot's area", _SHARE),
    "copies_low": Column("copies", "least copies the dot can stand for", _COUNT),
    "copies_high": Column("copies", "most copies the dot can stand for", _COUNT),
    "in_nucleus": Column("", "the dot lies inside its owner's nucleus", _NAME),
    "score": Column("0-1", "probability that the dot is real", "precise"),
}  # fmt: skip


def column(name: str) -> Column:
    """The entry of a column; a column of the user's own sheet is text without a unit."""
    if name in COLUMNS:
        return COLUMNS[name]
    if name.startswith("artefact_") and name.endswith("_mm2"):
        return Column("mm2", f"area left out as {name[9:-4].replace('_', ' ')}", "area")
    if name.startswith("qc_"):
        return Column("", "quality measure of the slide", "precise")
    return Column("", "from the sample sheet", "general")


def dictionary_table(columns_of_sheets: dict[str, list[str]]) -> pd.DataFrame:
    """Rows `column, unit, meaning, sheet`: the columns of the sheets in order, those of the cell and dot
    tables, then every flag."""
    places: dict[str, list[str]] = {}
    for sheet, names in columns_of_sheets.items():
        for name in names:
            places.setdefault(name, []).append(sheet)
    listed = list(places) + [name for name in COLUMNS if name not in places]
    rows = [
        (name, column(name).unit, column(name).meaning, ", ".join(places.get(name, ["other tables"])))
        for name in listed
    ]
    rows += [(str(flag.name), "flag", meaning, "flags") for flag, meaning in MEANING.items()]
    return pd.DataFrame(rows, columns=["column", "unit", "meaning", "sheet"], dtype="string")
