"""Tissue on the overview: glass, extent, ink, debris, sections, and the user's annotations."""

from ishcount.steps.tissue.annotated import annotate
from ishcount.steps.tissue.find import TissueParams, find_tissue

__all__ = ["TissueParams", "annotate", "find_tissue"]
