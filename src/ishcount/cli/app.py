"""All commands in one place, and the way every one of them ends: an exit code and at most one line."""

from __future__ import annotations

import os
import signal
import sys
from typing import Annotated, Any

import typer

from ishcount._version import __version__
from ishcount.cli import counting, looking, phantoms, results, spiking, statistics
from ishcount.cli.say import note, plain, say

app = typer.Typer(
    name="ishcount",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain help: half the start-up time, and readable in a log
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
for module in (counting, looking, statistics, results, phantoms, spiking):
    module.register(app)


@app.callback()
def ishcount(
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Positive cells per mm2 from chromogenic RNA in situ hybridisation in skin."""


def run(arguments: list[str] | None = None) -> None:
    """Parse, call, and leave with the exit code of the contract."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    if words == ["--version"]:
        say(f"ishcount {__version__}")
        raise SystemExit(0)
    raise SystemExit(_guarded(words, debug=debug))


def _guarded(words: list[str], *, debug: bool) -> int:
    try:
        _listen_for_the_end()
        return int(app(words, standalone_mode=False) or 0)
    except BrokenPipeError:  # whoever read our output has left, e.g. `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        note("ishcount: interrupted; what was finished is kept")
        return 130
    except BaseException as error:
        if debug and not isinstance(error, SystemExit):
            import traceback

            traceback.print_exception(error)
        return _explain(error)


def _explain(error: BaseException) -> int:
    """One line on standard error, and the exit code."""
    from ishcount.core.errors import IshcountError

    code = getattr(error, "exit_code", None)
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    if isinstance(error, typer.Exit):
        return error.exit_code
    if isinstance(error, typer.Abort):
        return 130
    if isinstance(error, IshcountError):
        note(f"ishcount: {plain(error)}")
        return error.exit_code
    if hasattr(error, "format_message"):  # the command line itself is wrong
        where = getattr(getattr(error, "ctx", None), "command_path", "ishcount")
        message = " ".join(str(error.format_message()).split())
        if message:
            note(f"{where}: {plain(message)} See `{where} --help`.")
        return 2
    if isinstance(code, int):  # stopped from outside
        note(f"ishcount: {'interrupted' if code == 130 else 'terminated'}; what was finished is kept")
        return code
    name = type(error).__name__
    note(f"ishcount: a mistake of ours ({name}: {plain(error)}); run again with --debug and report it")
    return 70


def _listen_for_the_end() -> None:
    """SIGTERM and SIGHUP end a run as Ctrl-C does: in order, with everything finished kept."""

    def stop(_number: int, _frame: Any) -> None:
        from ishcount.core.errors import Stopped

        raise Stopped(143)

    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # `nohup` ignores SIGHUP
            signal.signal(number, stop)
