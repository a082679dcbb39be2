"""What can go wrong, as a tree.

IshcountError                 anything ishcount says to a person in one line
    SlideError                this slide cannot be counted; the run goes on (exit 3 or 4)
    UsageError                the command line, a sheet or the parameters are wrong (exit 2)
    LockedError               another run uses the output folder (exit 5)
    OutputError               the output cannot be written: no right, no space (exit 6)
Stopped                       no error: the run was ended from outside (exit 130 or 143)

A message is one sentence: what was wrong, what was found, what to do.
"""

from __future__ import annotations

SLIDE_CODES = {
    "E_FORMAT": "not a slide that any reader knows",
    "E_TRUNCATED": "the file ends before its pixels do",
    "E_TILE": "a tile cannot be decoded",
    "E_MPP": "no usable pixel size",
    "E_STAIN": "the stains are not those of chromogenic in situ hybridisation",
    "E_PIXELTYPE": "pixels that cannot be turned into 8-bit RGB by a stated rule",
    "E_IO": "the file cannot be read",
    "E_TIMEOUT": "the slide took longer than allowed",
    "E_ANNOT": "the annotations cannot be used",
    "E_ID": "the slide's identity is not usable",
    "E_WORKER": "the process that counted the slide died",
    "E_INTERNAL": "a mistake of ours",
}


class IshcountError(Exception):
    """Base of all errors ishcount raises on purpose; `code` is machine readable, the text is for people."""

    exit_code = 70
    default_code = "E_INTERNAL"

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code or self.default_code

    def __reduce__(self) -> tuple[type[IshcountError], tuple[str, str]]:
        """Survive the way between processes with the code kept."""
        return type(self), (str(self), self.code)


class SlideError(IshcountError):
    """One slide cannot be counted. `code` is one of `SLIDE_CODES`."""

    exit_code = 4
    default_code = "E_FORMAT"


class UsageError(IshcountError):
    """The command line, the sample sheet or the parameters ask for something impossible."""

    exit_code = 2
    default_code = "E_USAGE"


class LockedError(IshcountError):
    """The output folder is in use by another run."""

    exit_code = 5
    default_code = "E_LOCKED"


class OutputError(IshcountError):
    """The output cannot be written."""

    exit_code = 6
    default_code = "E_OUTPUT"


class Stopped(BaseException):
    """The run was ended from outside; `exit_code` is 130 (Ctrl-C) or 143 (terminated)."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code
