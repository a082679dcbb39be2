"""Every step's parameters in one frozen tree; TOML in and out; the digest of what can change a count."""

from __future__ import annotations

import difflib
import hashlib
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from ishcount.core.errors import UsageError
from ishcount.core.settings import Settings
from ishcount.stats.settings import StatisticsParams
from ishcount.steps.artefacts import ArtefactParams
from ishcount.steps.cells import CellParams
from ishcount.steps.clusters import ClusterParams
from ishcount.steps.compartments import CompartmentParams
from ishcount.steps.density import DensityParams
from ishcount.steps.dots import DotParams
from ishcount.steps.evidence import EvidenceParams
from ishcount.steps.nuclei import NucleiParams
from ishcount.steps.stains import StainParams
from ishcount.steps.tissue import TissueParams

WITHOUT_COUNTS = {"statistics", "protocol"}  # sections that cannot change a count


class BlockParams(Settings):
    """The grid of analysis blocks."""

    block_um: float = Field(
        512.0, ge=64, le=4096, description="side of an analysis block, um; may move 1 cell in 1,000"
    )
    n_windows: int = Field(
        48, ge=1, le=1000, description="level-0 windows sampled to learn stains, noise and thresholds"
    )
    window_um: float = Field(
        128.0, ge=16, le=1024, description="side of a sampled window, um: holds some 80 nuclei of skin"
    )


class Params(Settings):
    """All parameters. An unknown key is an error that names the nearest known one."""

    blocks: BlockParams = BlockParams()
    tissue: TissueParams = TissueParams()
    compartments: CompartmentParams = CompartmentParams()
    artefacts: ArtefactParams = ArtefactParams()
    stains: StainParams = StainParams()
    nuclei: NucleiParams = NucleiParams()
    dots: DotParams = DotParams()
    evidence: EvidenceParams = EvidenceParams()
    clusters: ClusterParams = ClusterParams()
    cells: CellParams = CellParams()
    density: DensityParams = DensityParams()
    statistics: StatisticsParams = StatisticsParams()
    protocol: dict[str, Any] = Field(
        {},
        description="the locked protocol: primary marker, compartment, area, cut, test, exclusions, blinding",
    )

    def digest(self) -> str:
        """SHA-256 (16 hex digits) of every parameter that can change a count."""
        content = self.model_dump(mode="json", exclude=WITHOUT_COUNTS)
        del content["nuclei"]["network"]  # where it lies; network_sha256 says what it is
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def protocol_digest(protocol: Mapping[str, Any]) -> str:
    """SHA-256 (16 hex digits) of a protocol whatever the order of its keys; empty without one."""
    if not protocol:
        return ""
    return hashlib.sha256(json.dumps(protocol, sort_keys=True, default=str).encode()).hexdigest()[:16]


PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    "specific": {"density": {"dot_cut": 0.95}},
    "sensitive": {"density": {"dot_cut": 0.7}},
    "two_dots": {"density": {"min_dots": 2}},
    "ihc_nuclei": {"nuclei": {"channels": "all_stains"}},
}


def make_params(content: dict[str, Any] | None = None, *, preset: str = "default") -> Params:
    """Parameters from a preset with `content` (nested as in TOML) laid over; UsageError names a bad key."""
    if preset not in PRESETS:
        raise UsageError(f"there is no preset {preset!r}; choose one of {', '.join(PRESETS)}")
    merged = _merge(PRESETS[preset], content or {})
    try:
        return Params.model_validate(merged)
    except ValidationError as error:
        raise UsageError(_explain(error)) from None


def read_params(path: Path, *, preset: str = "default") -> Params:
    """Parameters from a TOML file over a preset."""
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"cannot read the parameters {str(path)!r}: {error}") from None
    return make_params(content, preset=preset)


def params_toml(params: Params) -> str:
    """`params` as TOML with the meaning of each value beside it; `read_params` reads it back equal."""
    import tomli_w

    lines = []
    for section, field in Params.model_fields.items():
        value = getattr(params, section)
        lines.append(f"\n[{section}]")
        if not isinstance(value, Settings):
            lines.append(tomli_w.dumps(value).rstrip() if value else f"# {field.description}")
            continue
        lines += _section_toml(section, value)
    return "\n".join(lines).lstrip() + "\n"


def _section_toml(section: str, settings: Settings) -> list[str]:
    import tomli_w

    content = settings.model_dump(mode="json")
    lines, tables = [], []
    for name, entry in type(settings).model_fields.items():
        value = content[name]
        if value is None or value == {}:
            lines.append(f"# {name} is not set: {entry.description}")
        elif isinstance(value, dict):  # a table must follow the plain values of its section
            tables += [f"\n[{section}.{name}]", f"# {entry.description}", tomli_w.dumps(value).rstrip()]
        else:
            lines += [f"# {entry.description}", tomli_w.dumps({name: value}).rstrip()]
    return lines + tables


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _explain(error: ValidationError) -> str:
    first = error.errors()[0]
    place = [str(part) for part in first["loc"]]
    name = ".".join(place)
    if first["type"] != "extra_forbidden":
        return f"parameter {name} is {first['input']!r}: {first['msg'].lower()}"
    known = set(Params.model_fields)
    if len(place) > 1 and place[0] in known and (section := Params.model_fields[place[0]].annotation):
        known = set(getattr(section, "model_fields", {}))
    near = difflib.get_close_matches(place[-1], sorted(known), n=1)
    advice = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(sorted(known))}"
    return f"there is no parameter {name!r}; {advice}"
