"""Damage slide files at random and say how each ends. Run as a program, so that a crash or a bomb is seen
from outside.

    python tests/hostile/mutants.py FOLDER FIRST LAST [MEGABYTES]

prints one line for each seed: `seed name outcome` with outcome `ok` or an error code, and dies with a
traceback on anything else.
"""

from __future__ import annotations

import contextlib
import random
import sys
import tempfile
from pathlib import Path

from ishcount.core.errors import SlideError
from ishcount.core.geometry import Region
from ishcount.slide.open import open_slide

MAX_FLIPS = 100
MAX_READ = 700


def limit_memory(megabytes: int) -> None:
    """Cap the address space of this process."""
    with contextlib.suppress(ImportError):  # Windows has no such limit
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))


def damage(data: bytes, seed: int) -> bytes:
    """The bytes with 1 to 100 changes, half of them near the directories, or cut, or with a hole of zeros."""
    chance = random.Random(seed)
    changed = bytearray(data)
    kind = chance.randrange(8)
    if kind == 0:
        return bytes(changed[: chance.randrange(len(changed))])
    if kind == 1:
        start = chance.randrange(len(changed))
        size = chance.randrange(1, 4096)
        changed[start : start + size] = bytes(len(changed[start : start + size]))
        return bytes(changed)
    near = [0, int.from_bytes(data[4:8], "little") % len(data)]
    for _ in range(chance.randint(1, MAX_FLIPS)):
        place = (
            chance.choice(near) + chance.randrange(400)
            if chance.random() < 0.5
            else chance.randrange(len(changed))
        )
        changed[place % len(changed)] = chance.choice((0, 255, 127, 128, chance.randrange(256)))
    return bytes(changed)


def outcome(path: Path) -> str:
    """`ok`, or the code of the one clean error."""
    try:
        with open_slide(path) as slide:
            part = Region(0, 0, min(slide.width, MAX_READ), min(slide.height, MAX_READ))
            pixels, valid = slide.read_masked(part)
            if pixels.shape[:2] != valid.shape or (pixels[~valid] != 255).any():
                raise AssertionError("masked pixels are not white")
            last = slide.levels[-1]
            slide.read_masked(
                Region(0, 0, min(last.width, MAX_READ), min(last.height, MAX_READ)), len(slide.levels) - 1
            )
    except SlideError as error:
        return error.code
    return "ok"


def main(folder: Path, first: int, last: int, megabytes: int = 3000) -> None:
    """Damage every file of `folder` in turn with seeds from `first` to below `last`."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    whole = [path.read_bytes() for path in files]
    limit_memory(megabytes)
    with tempfile.TemporaryDirectory() as scratch:
        for seed in range(first, last):
            number = seed % len(files)
            target = Path(scratch) / files[number].name
            target.write_bytes(damage(whole[number], seed))
            print(seed, files[number].name, end=" ", flush=True)
            print(outcome(target), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *(int(argument) for argument in sys.argv[2:5]))
