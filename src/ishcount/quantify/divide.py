"""Compartments of a planned slide: found on their own, because blocks are counted without them."""

from __future__ import annotations

from dataclasses import replace

from ishcount.core.annotations import read_annotations
from ishcount.core.flags import names, parse
from ishcount.core.tissue_map import TissueMap
from ishcount.quantify.job import (
    Plan,
    SlideJob,
    read_divided,
    read_overview_picture,
    read_plan,
    read_tissue,
    read_whole,
    write_divided,
)
from ishcount.steps.compartments import find_compartments
from ishcount.steps.tissue import annotate


def as_asked(tissue: TissueMap, job: SlideJob) -> TissueMap:
    """The tissue map with the user's annotations, sections and region of interest laid over."""
    if job.annotations:
        tissue = annotate(tissue, read_annotations(job.annotations))
    if job.sections is not None:
        tissue = tissue.only_sections(job.sections)
    return tissue.only_region(job.region_um) if job.region_um else tissue


def divide(job: SlideJob) -> None:
    """Find the compartments of a planned slide and keep them for `finish`; any time after `prepare`."""
    white = read_plan(job).stains.white
    found = find_compartments(read_whole(job), read_overview_picture(job), white, job.params.compartments)
    write_divided(job, as_asked(found, job))


def divided(job: SlideJob, plan: Plan) -> tuple[Plan, TissueMap]:
    """Plan and tissue map with what is known of the compartments, found now if nobody did."""
    try:
        found = read_divided(job)
    except (OSError, ValueError, KeyError):
        divide(job)
        found = read_divided(job)
    tissue = replace(
        read_tissue(job),
        compartment=found.compartment,
        compartment_names=found.compartment_names,
        depth_um=found.depth_um,
        epidermis_mm=found.epidermis_mm,
        flags=found.flags,
    )
    flags = parse(";".join(plan.flags)) | found.flags
    return replace(plan, flags=tuple(names(flags).split(";"))), tissue
