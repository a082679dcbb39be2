"""Compartments of skin: epidermis along the surface, horn outside it, dermis inside, depth and length."""

from ishcount.steps.compartments.find import CompartmentParams, find_compartments

__all__ = ["CompartmentParams", "find_compartments"]
