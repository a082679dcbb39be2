"""The only module that writes files.

A file is written under a temporary name in its own folder, flushed, synced to disk and moved into place, so
that a reader sees the old file or the new one and never half of one. Text is UTF-8 with `\\n`; a text cell
that
a spreadsheet would run as a formula gets a leading apostrophe, which `read_csv` takes off again.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shutil
import unicodedata
import uuid
import zipfile
import zlib
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ishcount.core.errors import OutputError

FORMULA_START = ("=", "+", "-", "@", "\t", "\r")
ROW_GROUP_ROWS = 65_536  # fixed, so that equal tables are equal bytes
_PLAIN_NAME = re.compile(r"[A-Za-z0-9._-]{1,80}")
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}


@contextmanager
def _as_output_error(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(
            f"cannot write {path.name!r} in {str(path.parent)!r}: {reason}; "
            "check the folder's rights and free space, then run the same command again"
        ) from error


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows cannot open a folder for syncing
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def replacing(path: Path, *, synced: bool = True) -> Iterator[Path]:
    """A temporary path beside `path`; what is written there is synced and moved into place at the end.

    synced False: for files with a checksum that are cheap to make again after a power failure.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    with _as_output_error(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            if synced:
                with open(temporary, "rb+") as file:
                    os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        if synced:
            _sync_folder(path.parent)


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 with the line ends it has."""
    write_bytes(path, text.encode("utf-8"))


def append_text(path: Path, text: str) -> int:
    """Append UTF-8 text and sync it to disk before returning; the file's new size in bytes."""
    with _as_output_error(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        is_new = not path.exists()
        with open(path, "ab") as file:
            file.write(text.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
        if is_new:
            _sync_folder(path.parent)
    return size


def plain_json(value: Any) -> Any:
    """`value` with numpy scalars, arrays and paths made plain, and numbers that are not finite made null."""
    if isinstance(value, Mapping):
        return {str(key): plain_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain_json(item) for item in value]
    if isinstance(value, np.ndarray):
        return plain_json(value.tolist())
    if isinstance(value, np.generic):
        return plain_json(value.item())
    if value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value) if isinstance(value, Path) else value


def write_json(path: Path, value: Any) -> None:
    """Write strict JSON (no NaN), indented, keys in the order given."""
    write_text(path, json.dumps(plain_json(value), indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def safe_text(value: Any) -> Any:
    """Text that no spreadsheet takes for a formula; anything but text is returned as it is."""
    return "'" + value if isinstance(value, str) and value.startswith(FORMULA_START) else value


def plain_text(value: Any) -> Any:
    """`safe_text` undone."""
    shielded = isinstance(value, str) and value[:1] == "'" and value[1:].startswith(FORMULA_START)
    return value[1:] if shielded else value


def _is_text(column: pd.Series[Any]) -> bool:
    return pd.api.types.is_object_dtype(column) or pd.api.types.is_string_dtype(column)


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV; missing is empty, text is shielded, floats are written to the last bit."""
    shielded = table.rename(columns=safe_text)
    for name in shielded.columns[[_is_text(shielded[name]) for name in shielded.columns]]:
        shielded[name] = shielded[name].map(safe_text, na_action="ignore")
    write_text(path, shielded.to_csv(index=False, lineterminator="\n"))


def read_csv(path: Path, **options: Any) -> pd.DataFrame:
    """Read a table as `write_csv` wrote it, shields taken off."""
    table = pd.read_csv(path, encoding="utf-8-sig", **options).rename(columns=plain_text)
    for name in table.columns[[_is_text(table[name]) for name in table.columns]]:
        table[name] = table[name].map(plain_text, na_action="ignore")
    return table


def write_parquet(path: Path, table: pd.DataFrame) -> None:
    """Write a table as Parquet (zstd, fixed row groups): equal tables give equal bytes."""
    write_parquet_parts(path, [table])


def write_parquet_parts(path: Path, parts: Iterable[pd.DataFrame]) -> None:
    """Write a table that comes in consecutive parts, at least one: the bytes do not tell where they were cut.

    In memory are one part and one row group.
    """
    import pyarrow.parquet as pq

    with replacing(path) as temporary, ExitStack() as closing:
        writer = None
        for group in _row_groups(parts):
            if writer is None:
                writer = closing.enter_context(pq.ParquetWriter(temporary, group.schema, compression="zstd"))
            writer.write_table(group, row_group_size=ROW_GROUP_ROWS)


def _row_groups(parts: Iterable[pd.DataFrame]) -> Iterator[Any]:
    """Arrow tables of `ROW_GROUP_ROWS` rows, the last of what is left; at least one, if without rows."""
    import pyarrow as pa

    held, is_first = None, True
    for part in parts:
        arrow = pa.Table.from_pandas(part, preserve_index=False).replace_schema_metadata({})
        held = arrow if held is None else pa.concat_tables([held, arrow])
        while held.num_rows >= ROW_GROUP_ROWS:
            yield held.slice(0, ROW_GROUP_ROWS).combine_chunks()  # pages must not end where parts do
            held, is_first = held.slice(ROW_GROUP_ROWS), False
    if held is not None and (held.num_rows or is_first):
        yield held.combine_chunks()


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write named arrays, each with a checksum, so that a damaged file is found when it is read.

    Not synced to disk: it holds parts of a result, found damaged and made again after a power failure.
    """
    with replacing(path, synced=False) as temporary, open(temporary, "wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def read_arrays(path: Path, only: Container[str] | None = None) -> dict[str, np.ndarray]:
    """Arrays (all, or those named in `only`) as `write_arrays` wrote them; ValueError when damaged."""
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files if only is None or name in only}
    except (zipfile.BadZipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path.name} is damaged") from error


def write_array(path: Path, array: np.ndarray, *, synced: bool = True) -> None:
    """Write one array so that `map_array` can read parts of it."""
    with replacing(path, synced=synced) as temporary, open(temporary, "wb") as file:
        np.save(file, array, allow_pickle=False)


def map_array(path: Path) -> np.ndarray:
    """An array on disk, read-only: only the parts that are used come into memory."""
    try:
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except ValueError:  # nothing in it, which cannot be mapped
        return np.asarray(np.load(path, allow_pickle=False))


def write_folder(path: Path, fill: Callable[[Path], None]) -> None:
    """Let `fill` write into a temporary folder, then move it to `path`, replacing what was there."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    old = temporary.with_suffix(".old")
    with _as_output_error(path):
        temporary.mkdir(parents=True)
        try:
            fill(temporary)
            if path.exists():
                os.replace(path, old)
            os.replace(temporary, path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)
        _sync_folder(path.parent)


def folder_name(slide_id: str) -> str:
    """A folder name that is safe on every system: the id itself where it is, else a slug with a hash."""
    stem = slide_id.split(".")[0].casefold()
    if (
        _PLAIN_NAME.fullmatch(slide_id)
        and stem not in _RESERVED
        and slide_id.strip(".")
        and slide_id[-1] != "."
    ):
        return slide_id
    ascii_text = unicodedata.normalize("NFKD", slide_id).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^A-Za-z0-9_-]+", "-", ascii_text).strip("-")[:60] or "slide"
    return f"{slug}-{hashlib.sha256(slide_id.encode('utf-8', 'surrogatepass')).hexdigest()[:10]}"
