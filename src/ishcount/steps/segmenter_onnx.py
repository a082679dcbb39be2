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


def segment(rgb: Rgb, pixel_size: PixelSize, network: Network, *, shape: tuple[int, int]) -> Labels:
    """Nuclei of `rgb` (uint8 (h, w, 3) at `pixel_size`) as labels int32 of `shape` (the nuclei grid), from 1.

    The picture is resampled to the network's pixel size, fed square by square and the answer is laid on the
    grid.
    """
    settings = network.settings
    factor = pixel_size.mean_um / settings.pixel_size_um
    width, height = (max(1, round(side * factor)) for side in (rgb.shape[1], rgb.shape[0]))
    shrinking = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    picture = np.asarray(cv2.resize(rgb, (width, height), interpolation=shrinking), np.uint8)
    if settings.output == "labels" and max(picture.shape[:2]) > settings.tile_px:
        raise UsageError(
            f"a network that gives labels must see a block of {max(picture.shape[:2])} px at once, "
            f'tile_px is {settings.tile_px}; raise it or use output = "probability"'
        )
    answer = _answers(picture, network)
    if settings.output == "labels":
        found = np.rint(answer[0]).astype(np.int32)
    else:
        inside = (
            answer[0] >= settings.threshold if settings.output == "probability" else answer.argmax(0) == 1
        )
        found = _cut(
            inside.astype(np.uint8), PixelSize(settings.pixel_size_um, settings.pixel_size_um), settings
        )
    on_grid = cv2.resize(found.astype(np.float64), shape[::-1], interpolation=cv2.INTER_NEAREST)
    return np.unique(np.r_[0.0, on_grid.ravel()], return_inverse=True)[1][1:].reshape(shape).astype(np.int32)


def _answers(picture: Rgb, network: Network) -> npt.NDArray[np.float32]:
    """Output planes float32 (channels, h, w), square by square with mirrored context at the picture's
    edge.
    """
    settings = network.settings
    height, width = picture.shape[:2]
    side, halo = settings.tile_px, settings.halo_px
    rows, cols = -(-height // side), -(-width // side)
    below, right = rows * side - height, cols * side - width
    framed = cv2.copyMakeBorder(picture, halo, halo + below, halo, halo + right, cv2.BORDER_REFLECT)
    planes: npt.NDArray[np.float32] | None = None
    for y in range(0, rows * side, side):
        for x in range(0, cols * side, side):
            tile = np.asarray(framed[y : y + side + 2 * halo, x : x + side + 2 * halo], np.uint8)
            answer = _feed(tile, network)
            if planes is None:
                planes = np.zeros((len(answer), rows * side, cols * side), np.float32)
            planes[:, y : y + side, x : x + side] = answer[:, halo : halo + side, halo : halo + side]
    assert planes is not None  # a picture has at least one pixel, so one square
    return planes[:, :height, :width]


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
