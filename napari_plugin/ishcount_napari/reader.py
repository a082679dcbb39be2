"""Opening by drag and drop or `napari FILE`: a result folder opens the review, a slide opens as a pyramid."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ishcount.core.errors import IshcountError, UsageError

LayerData = tuple[Any, dict[str, Any], str]
Reader = Callable[[Any], list[LayerData]]


def get_reader(path: str | list[str]) -> Reader | None:
    """A reader for a result folder, one slide's folder in it, or a slide; None for other folders."""
    first = Path(path[0] if isinstance(path, list) else path)
    if result_of(first) is not None:
        return read_result
    if first.is_dir():
        return None
    return read_slide


def result_of(path: Path) -> tuple[Path, str | None] | None:
    """The result folder and slide id that a folder stands for; None when it is none."""
    if (path / "densities.parquet").is_file():
        return path, None
    if (path / "summary.json").is_file() and (path.parent.parent / "densities.parquet").is_file():
        from ishcount.result import load_slide_result

        return path.parent.parent, load_slide_result(path).slide_id
    return None


def read_result(path: str | list[str]) -> list[LayerData]:
    """Open the review of a result folder in the viewer at hand; the layers come with the review."""
    import napari

    from ishcount_napari.launch import add_dock

    first = Path(path[0] if isinstance(path, list) else path)
    found = result_of(first)
    viewer = napari.current_viewer()
    if found is None or viewer is None:
        raise UsageError(f"{first.name!r} is no result folder of ishcount, or no viewer is open")
    add_dock(viewer).open_result(*found)
    return [(None,)]  # type: ignore[list-item]  # napari's sign for "read, and nothing to add"


def read_slide(path: str | list[str]) -> list[LayerData]:
    """Slides as lazily read pyramids, in micrometres where the pixel size is known."""
    from ishcount.slide.open import open_slide
    from ishcount_napari.place import image_place
    from ishcount_napari.pyramid import pyramid

    layers: list[LayerData] = []
    for name in path if isinstance(path, list) else [path]:
        try:
            slide = open_slide(name)
        except IshcountError as error:
            raise ValueError(str(error)) from error
        place = image_place(slide.pixel_size) if slide.pixel_size else {}
        about = {"name": Path(name).name, "rgb": True, "multiscale": True, "contrast_limits": (0, 255)}
        layers.append((pyramid(slide), {**about, **place}, "image"))
    return layers
