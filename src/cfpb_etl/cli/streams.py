"""Standard streams that are closed, full, or unable to show a character."""

from __future__ import annotations

import codecs
import os
import re
import sys
from contextlib import suppress
from io import TextIOWrapper
from typing import TextIO

_REPLACEMENTS = {"…": "..", "’": "'"}  # characters that the program itself or CFPB writes
_MAX_DIGITS = 4  # of the number of columns and lines


def open_missing_streams() -> None:
    """Open the null device for each standard stream that is closed.

    A service, `pythonw` or `2>&-` starts a program without them. The next file that is opened, such
    as the database, would get descriptor 2, and error messages would be written into it.
    """
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null == descriptor:
                os.set_inheritable(null, True)  # noqa: FBT003 - it has no keyword
            else:
                os.dup2(null, descriptor)
                os.close(null)
        if getattr(sys, name) is None:
            # Not the descriptor: if it is open, another file has got it.
            setattr(sys, name, open(os.devnull, "r+", encoding="utf-8"))  # noqa: SIM115, PTH123


def prepare_streams() -> None:
    """Make all text printable in any encoding, and ignore a wrong size of the terminal.

    COLUMNS and LINES count only where the size is not known. rich fails with some of their values.
    """
    codecs.register_error("cfpb_etl.readable", _readable)
    columns = lines = 0
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a test or a notebook has other streams
            stream.reconfigure(errors="cfpb_etl.readable")
        with suppress(OSError, ValueError):
            columns, lines = os.get_terminal_size(stream.fileno())
    for name, size in (("COLUMNS", columns), ("LINES", lines)):
        valid = re.fullmatch(rf"[1-9]\d{{0,{_MAX_DIGITS - 1}}}", os.environ.get(name, ""), re.ASCII)
        if size or not valid:
            os.environ.pop(name, None)


def _readable(error: UnicodeError) -> tuple[str, int]:
    """Replace the characters that an encoding does not have, as an error handler of `codecs`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    characters = error.object[error.start : error.end]
    escaped = (character.encode("ascii", "backslashreplace").decode() for character in characters)
    return "".join(map(_REPLACEMENTS.get, characters, escaped)), error.end


def print_text(text: str, stream: TextIO) -> OSError | None:
    """Print a text, and return the error if this is not possible.

    After an error, nothing more is written to the stream. Otherwise Python would write the text
    once more at its exit, and end with another exit code.
    """
    try:
        print(text, file=stream, flush=True)
    except OSError as error:
        with suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())
            os.close(null)
        return error
    return None
