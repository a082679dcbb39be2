"""Stamping kernels: they add the optical density of many small things to a block of RGB optical density.

Blocks are (3, rows, columns) float32; `origin` is the block's corner in um, `step` the side of a pixel in
um. Pixel centres lie half a step from the corner.
"""

# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import math

import numba


@numba.njit(cache=True)  # pragma: no cover
def stamp_nuclei(od, labels, origin_x, origin_y, step, shapes, ids, vector, tile, contrast):
    """Nuclei as lumpy ellipses with chromatin and a darker rim; `labels` gets the id of the last one on
    top.

    `shapes` (n, 15): x, y, long, short, angle, OD, edge width (um), a2, p2, a3, p3, a4, p4, texture x,
    texture y.
    """
    rows, columns = labels.shape
    size = tile.shape[0]
    for i in range(len(shapes)):
        x0, y0, a, b, angle, amount, edge = shapes[i, :7]
        reach = max(a, b) * 1.35 + 2 * edge
        cos, sin = math.cos(angle), math.sin(angle)
        first_row = max(int((y0 - reach - origin_y) / step), 0)
        last_row = min(int((y0 + reach - origin_y) / step) + 1, rows)
        first_column = max(int((x0 - reach - origin_x) / step), 0)
        last_column = min(int((x0 + reach - origin_x) / step) + 1, columns)
        for row in range(first_row, last_row):
            y = origin_y + (row + 0.5) * step - y0
            for column in range(first_column, last_column):
                x = origin_x + (column + 0.5) * step - x0
                u, v = (cos * x + sin * y) / a, (cos * y - sin * x) / b
                turn = math.atan2(v, u)
                border = (
                    1.0
                    + shapes[i, 7] * math.cos(2 * turn + shapes[i, 8])
                    + shapes[i, 9] * math.cos(3 * turn + shapes[i, 10])
                    + shapes[i, 11] * math.cos(4 * turn + shapes[i, 12])
                )
                inside_um = (border - math.sqrt(u * u + v * v)) * min(a, b)
                if inside_um < -edge:
                    continue
                weight = min(max(0.5 + 0.5 * inside_um / edge, 0.0), 1.0)
                weight = weight * weight * (3 - 2 * weight)
                ty = int((y + y0) * 4 + shapes[i, 14]) % size
                tx = int((x + x0) * 4 + shapes[i, 13]) % size
                rim = math.exp(-((inside_um - 0.45) ** 2) / 0.18)
                value = amount * weight * max(0.85 + contrast * (0.8 * tile[ty, tx] + 0.9 * rim), 0.15)
                for channel in range(3):
                    od[channel, row, column] += value * vector[channel]
                if inside_um >= 0 and ids[i] > 0:
                    labels[row, column] = ids[i]


@numba.njit(cache=True)  # pragma: no cover
def _edge(distance, softness):
    return 0.5 * math.erfc(distance / (1.4142135623730951 * softness))


@numba.njit(cache=True)  # pragma: no cover
def stamp_particles(od, origin_x, origin_y, step, particles, vectors):
    """Round or long particles whose summed OD times pixel area is exact, wherever the pixel grid falls.

    `particles` (n, 7): x, y, semi-axis, semi-axis, angle, softness (sd of the edge, um), integrated OD (OD
    x um2). `vectors` (n, 3): the colour of each.
    """
    rows, columns = od.shape[1], od.shape[2]
    for i in range(len(particles)):
        x0, y0, a, b, angle, softness, strength = particles[i]
        reach = max(a, b) + 3.5 * softness
        cos, sin = math.cos(angle), math.sin(angle)
        first_row, last_row = (
            math.floor((y0 - reach - origin_y) / step),
            int((y0 + reach - origin_y) / step) + 1,
        )
        first_column = math.floor((x0 - reach - origin_x) / step)
        last_column = int((x0 + reach - origin_x) / step) + 1
        if last_row <= 0 or last_column <= 0 or first_row >= rows or first_column >= columns:
            continue
        total = 0.0
        for turn in range(
            2
        ):  # first the sum over the whole particle, then the share of each pixel in the block
            for row in range(first_row, last_row):
                y = origin_y + (row + 0.5) * step - y0
                for column in range(first_column, last_column):
                    x = origin_x + (column + 0.5) * step - x0
                    u, v = cos * x + sin * y, cos * y - sin * x
                    r = math.sqrt((u / a) ** 2 + (v / b) ** 2)
                    distance = (r - 1) * min(a, b) if r > 1e-9 else -min(a, b)
                    value = _edge(distance, softness)
                    if turn == 0:
                        total += value
                    elif 0 <= row < rows and 0 <= column < columns:
                        for channel in range(3):
                            od[channel, row, column] += (
                                value * strength / (total * step * step) * vectors[i, channel]
                            )


@numba.njit(cache=True)  # pragma: no cover
def stamp_red_cells(od, origin_x, origin_y, step, cells, vector):
    """Red cells: discs paler in the middle. `cells` (n, 4): x, y, radius (um), OD at the rim."""
    rows, columns = od.shape[1], od.shape[2]
    for i in range(len(cells)):
        x0, y0, radius, amount = cells[i]
        for row in range(
            max(int((y0 - radius - 1 - origin_y) / step), 0),
            min(int((y0 + radius + 1 - origin_y) / step) + 1, rows),
        ):
            y = origin_y + (row + 0.5) * step - y0
            for column in range(
                max(int((x0 - radius - 1 - origin_x) / step), 0),
                min(int((x0 + radius + 1 - origin_x) / step) + 1, columns),
            ):
                x = origin_x + (column + 0.5) * step - x0
                r = math.sqrt(x * x + y * y)
                value = amount * _edge(r - radius, 0.25) * (1 - 0.4 * math.exp(-((r / (0.45 * radius)) ** 2)))
                for channel in range(3):
                    od[channel, row, column] += value * vector[channel]


@numba.njit(cache=True)  # pragma: no cover
def stamp_blobs(od, origin_x, origin_y, step, blobs, vector):
    """Diffuse Gaussian clouds. `blobs` (n, 4): x, y, sd (um), OD in the middle."""
    rows, columns = od.shape[1], od.shape[2]
    for i in range(len(blobs)):
        x0, y0, spread, amount = blobs[i]
        reach = 3.2 * spread
        for row in range(
            max(int((y0 - reach - origin_y) / step), 0), min(int((y0 + reach - origin_y) / step) + 1, rows)
        ):
            y = origin_y + (row + 0.5) * step - y0
            for column in range(
                max(int((x0 - reach - origin_x) / step), 0),
                min(int((x0 + reach - origin_x) / step) + 1, columns),
            ):
                x = origin_x + (column + 0.5) * step - x0
                value = amount * math.exp(-0.5 * (x * x + y * y) / (spread * spread))
                for channel in range(3):
                    od[channel, row, column] += value * vector[channel]
