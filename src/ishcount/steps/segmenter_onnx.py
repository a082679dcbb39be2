"""Nuclei from the user's own network: a local ONNX file beside a small TOML that says how to feed it.

Nothing is ever downloaded. The TOML, in the folder of the model (paths are relative to it):

    model = "nuclei.onnx"       # the file
    pixel_size_um = 0.5         # pixels the network was trained on
    layout = "NCHW"             # or "NHWC"
    scale = 0.00392156862745    # input = (grey level * scale - mean) / std, channels red, green, blue
    mean = [0.0, 0.0, 0.0]
    std = [1.0, 1.0, 1.0]
    output = "probability"      # or "classes" or "labels"
    threshold = 0.5             # for "probability"
    tile_px = 512               # inner side of the squares that are fed
    halo_px = 32                # context on each side, cut off again

Give its path as `network` in the section [nuclei] of the parameters. Blocks are read with 28 um round
them: where the network looks farther than some 16 um (the margin less half a large nucleus), nuclei near the
borders of blocks may change a little with --block-um.

`probability`: one channel, 0-1, of being nucleus. `classes`: three channels (background, inside, border),
the highest wins. `labels`: one channel of instance numbers; only with a tile that holds the whole array,
since numbers of two tiles mean nothing to each other. Touching nuclei of the first two kinds are cut by a
watershed on the distance.
"""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field, ValidationError

from ishcount.core.errors import UsageError
from ishcount.core.settings import Settings
from ishcount.core.units import PixelSize
from ishcount.core.watershed import flood

Rgb = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int32]


class NetworkSettings(Settings):
    """The TOML beside a network, see the module's text."""

    model: str = Field(description="ONNX file, relative to the TOML")
    pixel_size_um: float = Field(gt=0.05, le=5, description="pixel size the network was trained on, um")
    layout: Literal["NCHW", "NHWC"] = Field("NCHW", description="order of the input's axes")
    scale: float = Field(1 / 255, gt=0, description="factor on grey levels 0-255")
    mean: tuple[float, float, float] = Field((0, 0, 0), description="taken off after scaling (R, G, B)")
    std: tuple[float, float, float] = Field((1, 1, 1), description="divided by after that (R, G, B)")
    output: Literal["probability", "classes", "labels"] = Field("probability", description="what comes out")
    threshold: float = Field(0.5, gt=0, lt=1, description="probability from which a pixel is nucleus")
    tile_px: int = Field(512, ge=32, le=8192, description="inner side of a fed square, px")
    halo_px: int = Field(
        32, ge=0, le=512, description="context round it, px: half the receptive field or more"
    )
    seed_um: float = Field(2.0, gt=0, description="one nucleus within this radius, um (half a lymphocyte)")
    min_area_um2: float = Field(8.0, ge=0, description="smaller objects are no nuclei, um2")


@dataclass(frozen=True)
class Network:
    """A network and how to feed it; the file is opened at the first use in each process."""

    path: Path
    settings: NetworkSettings

    @cached_property
    def session(self) -> Any:
        """The ONNX Runtime session, one thread: blocks are what runs in parallel."""
        try:
            import onnxruntime
        except ImportError:
            raise UsageError(
                "a network was asked for but ONNX Runtime is not installed; pip install 'ishcount[onnx]'"
            ) from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            return onnxruntime.InferenceSession(str(self.path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own exceptions share no base class
            reason = str(error).splitlines()[0]
            raise UsageError(f"ONNX Runtime cannot open the network {str(self.path)!r}: {reason}") from None

    def fingerprint(self) -> str:
        """SHA-256 of the network's file and settings: belongs in a result's digest."""
        settings = self.settings.model_dump_json().encode()
        return hashlib.sha256(self.path.read_bytes() + settings).hexdigest()


def read_network(path: Path) -> Network:
    """The network that a TOML describes; UsageError names what is missing or wrong."""
    try:
        settings = NetworkSettings.model_validate(tomllib.loads(path.read_text("utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"cannot read the network's description {str(path)!r}: {error}") from None
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise UsageError(f"the network's description {str(path)!r} is wrong: {wrong}") from None
    model = path.parent / settings.model
    if not model.is_file():
        raise UsageError(f"there is no network file {str(model)!r}; ishcount downloads none, put it there")
    return Network(model, settings)


def segment(
    rgb: Rgb, pixel_size: PixelSize, network: Network, *, factor: int = 1, origin_px: tuple[int, int] = (0, 0)
) -> Labels:
    """Nuclei of `rgb` (uint8 (h, w, 3) at `pixel_size`) as labels int32 from 1 on a grid `factor` coarser.

    origin_px: x, y of the array's first pixel in the slide, whole cells of the grid. The network's pixels and
    squares lie on a lattice of the slide, so that a place is fed alike whatever array it is seen in.
    """
    settings = network.settings
    ratio = settings.pixel_size_um / pixel_size.mean_um
    picture, first = _on_lattice(rgb, ratio, origin_px)
    if settings.output == "labels" and max(picture.shape[:2]) > settings.tile_px:
        raise UsageError(
            f"a network that gives labels must see a block of {max(picture.shape[:2])} px at once, "
            f'tile_px is {settings.tile_px}; raise it or use output = "probability"'
        )
    found = _objects(_answers(picture, first, network), settings)
    places = [
        _lattice_places(-(-side // factor), start / factor, ratio / factor, where, limit)
        for side, start, where, limit in zip(
            rgb.shape[1::-1], origin_px, first, found.shape[::-1], strict=True
        )
    ]
    on_grid = found[np.ix_(places[1], places[0])]
    _, dense = np.unique(np.r_[0, on_grid.ravel()], return_inverse=True)
    return dense[1:].reshape(on_grid.shape).astype(np.int32)


def _on_lattice(rgb: Rgb, ratio: float, origin_px: tuple[int, int]) -> tuple[Rgb, tuple[int, int]]:
    """The picture at the network's pixels, each `ratio` pixels of `rgb`, and the slide's number of its first
    one.
    """
    if ratio == 1:
        return rgb, origin_px
    if ratio > 1:  # what finer pixels show and coarser ones cannot is smoothed away first
        sigma = 0.5 * (ratio**2 - 1) ** 0.5
        rgb = np.asarray(cv2.GaussianBlur(rgb, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE), np.uint8)
    x, y = (int(start // ratio) for start in origin_px)
    width, height = (
        max(1, int((start + side) // ratio) - where)
        for start, side, where in zip(origin_px, rgb.shape[1::-1], (x, y), strict=True)
    )
    shift = [(where + 0.5) * ratio - 0.5 - start for where, start in zip((x, y), origin_px, strict=True)]
    steps = np.array([[ratio, 0, shift[0]], [0, ratio, shift[1]]])
    picture = cv2.warpAffine(
        rgb, steps, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    return np.asarray(picture, np.uint8), (x, y)


def _lattice_places(
    n_cells: int, start: float, ratio: float, first: int, limit: int
) -> npt.NDArray[np.int64]:
    """For each cell of the grid the network's pixel under its centre, counted from the picture's first."""
    centre = (np.arange(n_cells) + start + 0.5) / ratio
    return np.clip(np.floor(centre).astype(np.int64) - first, 0, limit - 1)


def _objects(answer: npt.NDArray[np.float32], settings: NetworkSettings) -> Labels:
    """Labels from what the network answers."""
    if settings.output == "labels":
        return np.rint(answer[0]).astype(np.int32)
    is_inside = answer[0] >= settings.threshold if settings.output == "probability" else answer.argmax(0) == 1
    pixel_size = PixelSize(settings.pixel_size_um, settings.pixel_size_um)
    return _cut(is_inside.astype(np.uint8), pixel_size, settings)


def _answers(picture: Rgb, first: tuple[int, int], network: Network) -> npt.NDArray[np.float32]:
    """Output planes float32 (channels, h, w), fed in squares of the slide, mirrored beyond the picture."""
    settings = network.settings
    height, width = picture.shape[:2]
    side, halo = settings.tile_px, settings.halo_px
    if settings.output == "labels":
        first = (0, 0)  # one square holds all
    left, above = first[0] % side, first[1] % side
    rows, cols = -(-(above + height) // side), -(-(left + width) // side)
    frame = (
        above + halo,
        rows * side - above - height + halo,
        left + halo,
        cols * side - left - width + halo,
    )
    framed = np.pad(picture, (frame[:2], frame[2:], (0, 0)), mode="symmetric")
    planes: npt.NDArray[np.float32] | None = None
    for y in range(0, rows * side, side):
        for x in range(0, cols * side, side):
            tile = np.asarray(framed[y : y + side + 2 * halo, x : x + side + 2 * halo], np.uint8)
            answer = _feed(tile, network)
            if planes is None:
                planes = np.zeros((len(answer), rows * side, cols * side), np.float32)
            planes[:, y : y + side, x : x + side] = answer[:, halo : halo + side, halo : halo + side]
    assert planes is not None  # a picture has at least one pixel, so one square
    return planes[:, above : above + height, left : left + width]


def _feed(tile: Rgb, network: Network) -> npt.NDArray[np.float32]:
    """One square through the network: (channels, h, w) of the square's own size, else UsageError."""
    settings, session = network.settings, network.session
    values = (tile * settings.scale - np.array(settings.mean)) / np.array(settings.std)
    values = values.astype(np.float32)[None]
    name = session.get_inputs()[0].name
    given = values.transpose(0, 3, 1, 2) if settings.layout == "NCHW" else values
    answer = np.asarray(session.run(None, {name: np.ascontiguousarray(given)})[0], np.float32)
    if answer.ndim == 4 and settings.layout == "NHWC":
        answer = answer.transpose(0, 3, 1, 2)
    planes = answer.reshape(-1, *answer.shape[-2:])
    channels = 3 if settings.output == "classes" else 1
    if planes.shape != (channels, *tile.shape[:2]):
        raise UsageError(
            f"the network answers {answer.shape} to a square of {tile.shape[:2]}; output = "
            f"{settings.output!r} needs {channels} channel(s) of the same size"
        )
    return planes


def _cut(inside: npt.NDArray[np.uint8], pixel_size: PixelSize, settings: NetworkSettings) -> Labels:
    """Objects of a mask, touching ones cut at their waist."""
    distance = cv2.distanceTransform(inside, cv2.DIST_L2, 5) * pixel_size.mean_um
    smooth = cv2.GaussianBlur(distance, (0, 0), pixel_size.to_px(0.5))
    levels = np.clip(np.rint(smooth * 20), 0, 254).astype(
        np.uint8
    )  # 20 levels per um: 12 um before saturation
    radius = max(1, round(pixel_size.to_px(settings.seed_um)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    peaks = (levels == cv2.dilate(levels, disc)) & (inside > 0)
    seeds = cv2.connectedComponents(peaks.astype(np.uint8), connectivity=8)[1].astype(np.int32)
    labels = flood(255 - levels, seeds, inside)
    area_um2 = np.bincount(labels.ravel()) * pixel_size.area_um2(1)
    small = area_um2 < settings.min_area_um2
    return np.where(small[labels], 0, labels).astype(np.int32)
