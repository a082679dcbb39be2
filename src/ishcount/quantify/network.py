"""Nuclei by the user's own network, where the parameters name one."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ishcount.core.errors import UsageError
from ishcount.core.geometry import Block
from ishcount.core.optical_density import coarse
from ishcount.params import Params
from ishcount.quantify.job import Plan, SlideJob
from ishcount.steps.nuclei import Nuclei, find_nuclei, nuclei_of_labels
from ishcount.steps.segmenter_onnx import Network, read_network, segment


def with_network(params: Params) -> Params:
    """The parameters with the network's full path and SHA-256, which stand for it in every digest.

    UsageError when the extra, the description or the network is missing or wrong, or when the SHA-256 that
    was given is another. Without a network the parameters as they are.
    """
    if params.nuclei.network is None:
        return params
    path = Path(params.nuclei.network).expanduser().absolute()
    network = _network(str(path), params.nuclei.network_sha256)
    _ = network.session  # opened once here, so that a run that cannot work does not begin
    nuclei = params.nuclei.model_copy(update={"network": str(path), "network_sha256": network.fingerprint()})
    settled: Params = params.model_copy(update={"nuclei": nuclei})
    return settled


@lru_cache(maxsize=1)
def _network(path: str, sha256: str | None) -> Network:
    """The network, read once per process."""
    network = read_network(Path(path))
    found = network.fingerprint()
    if sha256 not in (None, found):
        raise UsageError(
            f"the network {path!r} has SHA-256 {found[:12]}..., these parameters name {str(sha256)[:12]}...: "
            "it was changed; bring the old one back, or take network_sha256 out of the parameters"
        )
    return network


def nuclei_of_block(
    rgb: npt.NDArray[np.uint8], stains: npt.NDArray[np.int16], block: Block, plan: Plan, job: SlideJob
) -> Nuclei:
    """Nuclei of all that was read of a block (`rgb` at level 0, `stains` int16 on the nuclei grid)."""
    grid, params = plan.grid_pixel_size, job.params.nuclei
    haematoxylin = coarse(stains[0])
    if params.network is None:
        chromogen = coarse(stains[1]) if params.channels == "all_stains" else None
        return find_nuclei(haematoxylin, grid, plan.nuclei, params, chromogen=chromogen)
    labels = segment(
        rgb,
        plan.pixel_size,
        _network(params.network, params.network_sha256),
        factor=plan.grid_factor,
        origin_px=(block.read.x, block.read.y),
    )
    return nuclei_of_labels(labels, haematoxylin, grid, plan.nuclei, params)
