"""Keys of the review: what they do, how a person changes them, and how they work whichever layer is active.

napari gives a key to the active layer before the viewer, so each action is bound on the viewer and on every
layer; keys typed while a button of the dock has the focus come through `from_qt`. A JSON file (action -> key)
remaps them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ishcount.core.errors import UsageError

DEFAULT_KEYS = {
    "previous": "J",
    "next": "K",
    "positive": "G",
    "negative": "H",
    "unsure": "U",
    "not_a_cell": "N",
    "undo": "Control-Z",
    "redo": "Control-Shift-Z",
    "overlay": "Q",
    "next_queue": "W",
    "centre": "0",
}
KEYS_FILE = "ISHCOUNT_REVIEW_KEYS"
"""Environment variable with the path of the JSON file; else `review_keys.json` in the user's configuration.
"""


def keys_path() -> Path:
    """Where a person's own keys are looked for."""
    given = os.environ.get(KEYS_FILE)
    if given:
        return Path(given)
    base = os.environ.get("XDG_CONFIG_HOME") or os.environ.get("APPDATA") or Path.home() / ".config"
    return Path(base) / "ishcount" / "review_keys.json"


def read_keys(path: Path | None = None) -> dict[str, str]:
    """Key of every action: the defaults, with a person's own laid over.

    UsageError when the file names an unknown action or gives one key to two actions.
    """
    path = keys_path() if path is None else path
    if not path.exists():
        return dict(DEFAULT_KEYS)
    try:
        own = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"the keys in {str(path)!r} cannot be read ({error}); mend the file or remove it"
        ) from error
    unknown = sorted(set(own) - set(DEFAULT_KEYS)) if isinstance(own, dict) else ["(no object)"]
    if unknown:
        raise UsageError(
            f"{str(path)!r} names unknown actions {', '.join(unknown)}; known are {', '.join(DEFAULT_KEYS)}"
        )
    keys = {**DEFAULT_KEYS, **{action: str(key) for action, key in own.items()}}
    if len({key.lower() for key in keys.values()}) < len(keys):
        raise UsageError(f"{str(path)!r} gives one key to two actions; give each its own")
    return keys


def bind(target: Any, keys: Mapping[str, str], act: Callable[[str], None]) -> None:
    """Bind every action on a viewer or a layer; `act` is called with the action's name."""

    def pressed(action: str) -> Callable[[Any], None]:
        return lambda _: act(action)

    for action, key in keys.items():
        target.bind_key(key, pressed(action), overwrite=True)


def unbind(target: Any, keys: Mapping[str, str]) -> None:
    """Take the bindings off again."""
    for key in keys.values():
        target.bind_key(key, None, overwrite=True)


def from_qt(event: Any) -> str:
    """A Qt key event in napari's words, for example `Control-Shift-Z`; "" for a modifier alone."""
    from qtpy.QtCore import Qt
    from qtpy.QtGui import QKeySequence

    name = QKeySequence(event.key()).toString()
    if not name.isascii() or not name.strip():
        return ""
    held = event.modifiers()
    words = {
        "Control": Qt.KeyboardModifier.ControlModifier,
        "Shift": Qt.KeyboardModifier.ShiftModifier,
        "Alt": Qt.KeyboardModifier.AltModifier,
    }
    return "-".join([word for word, bit in words.items() if held & bit] + [name.upper()])
