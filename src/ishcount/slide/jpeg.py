"""What a JPEG stream says of itself, and whether its bytes can be what they claim.

A damaged JPEG decodes without complaint into invented pixels, so the stream is looked at before and after.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


class DamagedTile(Exception):
    """The bytes of one tile do not hold the pixels they should; the text says how."""


@dataclass(frozen=True, slots=True)
class JpegFrame:
    """What the headers of a JPEG stream say."""

    height: int
    width: int
    components: int
    sampling: tuple[tuple[int, int], ...]
    baseline: bool
    jfif: bool
    adobe_transform: int | None
    scan_start: int

    @property
    def chroma_subsampling(self) -> tuple[int, int]:
        """How many luminance samples one chroma sample stands for, horizontally and vertically."""
        (h0, v0), (h1, v1) = self.sampling[0], self.sampling[min(1, len(self.sampling) - 1)]
        return max(1, h0 // max(1, h1)), max(1, v0 // max(1, v1))


# A marker inside entropy-coded data that may not be there: anything but a stuffed zero, a restart or a fill
# byte.
_STRAY_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


def jpeg_frame(data: bytes) -> JpegFrame:
    """Read the headers of a JPEG stream up to its first scan; DamagedTile when there is no frame."""
    if data[:2] != b"\xff\xd8":
        raise DamagedTile("does not begin like a JPEG")
    position, frame, jfif, adobe = 2, None, False, None
    while position + 4 <= len(data):
        fill, marker, length = (
            data[position],
            data[position + 1],
            (data[position + 2] << 8) + data[position + 3],
        )
        if fill != 0xFF:
            break
        if marker == 0xFF:
            position += 1
            continue
        body = position + 4
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and body + 6 <= len(data):
            frame = marker, struct.unpack_from(">BHHB", data, body), body + 6
        elif marker == 0xE0 and data[body : body + 4] == b"JFIF":
            jfif = True
        elif marker == 0xEE and data[body : body + 5] == b"Adobe" and body + 12 <= len(data):
            adobe = data[body + 11]
        elif marker == 0xDA:
            if frame is None:
                break
            kind, (_, height, width, components), start = frame
            if not 1 <= components <= 4 or start + 3 * components > len(data):
                break
            steps = range(start, start + 3 * components, 3)
            sampling = tuple((data[step + 1] >> 4, data[step + 1] & 15) for step in steps)
            scan = position + 2 + length
            return JpegFrame(height, width, components, sampling, kind in (0xC0, 0xC1), jfif, adobe, scan)
        position += 2 + length
    raise DamagedTile("holds no JPEG frame")


def check_scan(frame: JpegFrame, data: bytes) -> bytes:
    """The entropy-coded bytes of a stream; DamagedTile when it ends too early or holds a stray marker."""
    end = data.rfind(b"\xff\xd9", max(0, len(data) - 64))  # some writers pad tiles to an even length
    if end < 0:
        raise DamagedTile("is a JPEG that ends too early")
    if frame.baseline and (stray := _STRAY_MARKER.search(data, frame.scan_start)) and stray.start() < end:
        raise DamagedTile("is a JPEG with garbage inside")
    return data[frame.scan_start : end]


def check_holes(scan: bytes, pixels: NDArray[np.uint8]) -> None:
    """DamagedTile when the stream's zeros are a hole and not the flat `pixels` (height, width, samples)."""
    if _ZERO_RUN in scan and _flat_blocks(pixels) * 4 < _longest_zero_run(scan):
        raise DamagedTile("is a JPEG with a hole of zeros inside")


# A lost sector reads as zeros. Real streams hold such runs only where blocks have no detail and the tables
# were made for them: a flat block is two codes in each of three components, each the commonest and so of 4
# bits at most. Zeros for n bytes then stand for n / 3 flat blocks or more; a hole makes few.
_ZERO_RUN = bytes(32)


def _longest_zero_run(data: bytes) -> int:
    return max((len(run) for run in re.findall(rb"\0{32,}", data)), default=0)


def _flat_blocks(pixels: NDArray[np.uint8]) -> int:
    """How many 8 x 8 blocks hold one value in their middle channel."""
    middle = pixels[:, :, pixels.shape[2] // 2]
    rows, columns = middle.shape[0] // 8, middle.shape[1] // 8
    blocks = middle[: rows * 8, : columns * 8].reshape(rows, 8, columns, 8)
    return int(np.count_nonzero(np.ptp(blocks, axis=(1, 3)) <= 1))
