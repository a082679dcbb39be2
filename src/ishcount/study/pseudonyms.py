"""Slide and patient ids that say nothing, and the key to them kept apart from the results.

An id becomes a keyed hash (HMAC-SHA256), so it cannot be guessed by hashing likely names. The key and the
table of true ids lie beside the result folder, never in it: `results.key.csv` for `results`.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pandas as pd

from ishcount.core.errors import UsageError
from ishcount.core.files import read_csv, write_csv
from ishcount.study.sheet import COLUMNS, Sheet, SheetRow

DROPPED = ("slide", "annotations", "run_date")
"""Known columns that can name a person or a day; unknown columns are dropped as well."""


def key_path(out: Path) -> Path:
    """Where the key to the pseudonyms of the results in `out` lies."""
    out = out.absolute()
    return out.with_name(f"{out.name}.key.csv")


def pseudonymised(sheet: Sheet, out: Path) -> Sheet:
    """The sheet with hashed ids and without columns that could name somebody; writes the key beside `out`.

    The same key is used again where there is one, so that later runs into `out` give the same ids.
    """
    path = key_path(out)
    known, secret = _read_key(path)
    rows = tuple(_hidden(row, secret) for row in sheet.rows)
    for row, hidden in zip(sheet.rows, rows, strict=True):
        known[hidden.slide_id] = ("slide", row.slide_id, str(row.slide.absolute()))
        if row.patient:
            known[hidden.patient] = ("patient", row.patient, "")
    lines = [(kind, name, true, file) for name, (kind, true, file) in sorted(known.items())]
    table = pd.DataFrame(
        [("key", secret.hex(), "", ""), *lines],
        columns=["kind", "pseudonym", "true_id", "path"],
        dtype="string",
    )
    write_csv(path, table)
    os.chmod(path, 0o600)
    kept = tuple(name for name in sheet.columns if name in COLUMNS and name not in DROPPED)
    lost = [name for name in sheet.columns if name not in COLUMNS or name == "run_date"]
    said = [f"--pseudonymise leaves out the columns {', '.join(lost)}"] if lost else []
    return Sheet(rows, kept, (*sheet.warnings, *said))


def _hidden(row: SheetRow, secret: bytes) -> SheetRow:
    slide_id = _hash("S", row.slide_id, secret)
    patient = _hash("P", row.patient, secret) if row.patient else ""
    own = {name: cell for name, cell in row.own.items() if name in COLUMNS and name not in DROPPED}
    own |= {name: value for name, value in (("slide_id", slide_id), ("patient", patient)) if name in own}
    controls = tuple(_hash("S", name, secret) for name in row.control_for)
    if "control_for" in own:
        own["control_for"] = ";".join(controls)
    return replace(row, slide_id=slide_id, patient=patient, control_for=controls, own=MappingProxyType(own))


def _hash(prefix: str, text: str, secret: bytes) -> str:
    digest = hmac.new(secret, f"{prefix}:{text}".encode("utf-8", "surrogatepass"), hashlib.sha256)
    return f"{prefix}-{digest.hexdigest()[:12]}"


def _read_key(path: Path) -> tuple[dict[str, tuple[str, str, str]], bytes]:
    if not path.exists():
        return {}, secrets.token_bytes(32)
    try:
        table = read_csv(path, dtype=str, keep_default_na=False)
        secret = bytes.fromhex(table.loc[table["kind"] == "key", "pseudonym"].iloc[0])
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise UsageError(
            f"{path.name} is not the key of earlier pseudonyms ({error}); move it away"
        ) from error
    rows = table[table["kind"] != "key"].to_dict("records")
    return {row["pseudonym"]: (row["kind"], row["true_id"], row["path"]) for row in rows}, secret
