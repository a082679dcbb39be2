"""Reporting guidelines filled in as far as a result folder can know; what it cannot know stays open.

Items are put in our own short words; the guidelines themselves are MISFISHIE (Deutsch et al., Nature
Biotechnology 2008), the community checklists for images and image analysis (Schmied et al., Nature Methods
2024) and STROBE (von Elm et al., 2007).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

OPEN = "to be filled in by the authors"


@dataclass(frozen=True, slots=True)
class Item:
    """One line of a checklist; `answer` is None where only the authors know."""

    name: str
    answer: str | None


@dataclass(frozen=True, slots=True)
class Checklist:
    """A guideline with its items."""

    name: str
    items: tuple[Item, ...]

    @property
    def n_open(self) -> int:
        """How many items the authors must still fill in."""
        return sum(item.answer is None for item in self.items)


# (item, key of the facts; "" for what a result folder can never know)
_MISFISHIE = (
    ("Experimental design: aim, factors and groups", "groups"),
    ("Experimental design: number of specimens, replicates and sections", "numbers"),
    ("Experimental design: links to raw data and publication", ""),
    ("Biomaterials: source, diagnosis, site, age and sex of patients", "covariates"),
    ("Biomaterials: fixation, embedding, block age and section thickness", "blocks"),
    ("Reporters: probes, sequences or catalogue numbers, lots", "probes"),
    ("Staining: protocol, pretreatment, instrument, dates", "staining"),
    ("Staining: dyes and counterstain", "chromogens"),
    ("Staining: positive and negative controls and how they turned out", "controls"),
    ("Imaging: scanner, objective, pixel size, file format", "imaging"),
    ("Image characterisation: what was counted and how it was scored", "counting"),
    ("Image characterisation: who judged, blinded to what", "review"),
)
_IMAGE_ANALYSIS = (
    ("Workflow: software, version and where to get it", "software"),
    ("Workflow: all steps from image to number", "steps"),
    ("Workflow: parameters used, and how they were chosen", "parameters"),
    ("Workflow: the same settings for every image", "same_settings"),
    ("Workflow: where the code and an example with expected output are", "example"),
    ("Workflow: manual steps and who did them", "review"),
    ("Validation: accuracy against truth or hand counts on these slides", ""),
    ("Validation: how results change with the key parameters", "sensitivity"),
    ("Data: slides left out, and why", "excluded"),
    ("Data: what was flagged as doubtful", "flags"),
    ("Images: shown with scale bars; adjustments stated", "pictures"),
    ("Data: where the raw slides and the tables are deposited", ""),
)
_STROBE = (
    ("1 Title and abstract name the design", ""),
    ("2-3 Background and objectives, with hypotheses stated beforehand", "protocol"),
    ("4-5 Study design, setting and dates", ""),
    ("6 Participants: eligibility, sources, selection, matching", ""),
    ("7 Variables: outcome, exposure, confounders defined", "outcome"),
    ("8 Measurement: how each was measured, the same in all groups", "same_settings"),
    ("9 Bias: what was done about it (blinding, controls)", "bias"),
    ("10 Study size: how it was arrived at", ""),
    ("11 Quantitative variables: how handled, groupings", "outcome"),
    ("12 Statistical methods, missing data, sensitivity analyses", "statistics"),
    ("13 Participants: numbers at each stage, reasons for leaving out", "excluded"),
    ("14 Descriptive data: characteristics, missing values", "covariates"),
    ("15-16 Outcome data and main results with intervals", "results"),
    ("17 Other analyses: subgroups, sensitivity", "sensitivity"),
    ("18-21 Key results, limitations, interpretation, generalisability", "limitations"),
    ("22 Funding", ""),
)


def checklists(facts: Mapping[str, str]) -> list[Checklist]:
    """The three guidelines with `facts` (key -> sentence) filled in; a missing fact leaves its item open."""
    named = (
        ("MISFISHIE (in situ hybridisation experiments)", _MISFISHIE),
        ("Image-analysis checklist", _IMAGE_ANALYSIS),
        ("STROBE (observational studies)", _STROBE),
    )
    return [
        Checklist(name, tuple(Item(item, facts.get(key) or None) for item, key in items))
        for name, items in named
    ]
