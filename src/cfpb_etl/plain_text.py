"""Text of servers, files and other programs, made safe to show: plain, short, without secrets.

Such text can contain codes that control a terminal, or marks that reverse the order of letters. It
can be of any length, and it can repeat an address with a password or a token.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from itertools import islice
from typing import TYPE_CHECKING
from unicodedata import category
from urllib.parse import unquote, unquote_plus

if TYPE_CHECKING:
    from collections.abc import Collection

MAX_FIELD = 300  # characters of one value in a message
MAX_LINE = 2_000  # characters of a message
_MAX_NAME, _MAX_NAMES = 60, 3  # characters of a name, and names, in a message
_MIN_SECRET = 4  # characters; a shorter value occurs everywhere, also in text that is not secret
_BEGINNING = 16  # characters of a longer secret that are searched for
_HIDDEN = "…"

# What follows the question mark of an address, also if the address is percent-encoded or in HTML.
_QUERY = re.compile(r"(\?|%(?:25)*3f|&#(?:63|x3f);)[^\s\"'<>]+", re.IGNORECASE)
# What comes before the @ of an address. The lengths are limited, because text of any kind is
# searched.
_LOGIN = re.compile(
    r"(//|%2f%2f)[^\s\"'<>?#]{0,500}(?:@|%40)|[^\s\"'<>/:@]{1,100}:(?!//)[^\s\"'<>@]{1,400}@",
    re.IGNORECASE,
)

_secrets: dict[str, None] = {}  # the queries of addresses that this process has used


def plain(text: str, most: int = MAX_LINE) -> str:
    r"""Return a text as one line of printable characters, with at most `most` of its characters.

    Letters of all languages stay as they are. Characters that control a terminal, end a line or
    change the direction of writing become escapes. Of a longer text, the middle is left out.

    >>> plain("Crédit\x1b[31m\n")
    'Crédit\\x1b[31m\\n'
    """
    text = shortened(text, most)
    if text.isprintable():
        return text
    return "".join(each if _is_plain(each) else _escaped(each) for each in text)


def shortened(text: str, most: int) -> str:
    """Return a text without its middle if it has more than `most` characters."""
    if len(text) <= most:
        return text
    half = (most - 1) // 2
    return f"{text[:half]}…{text[-half:]}"


def _is_plain(letter: str) -> bool:
    return letter.isprintable() or category(letter) == "Zs"  # such as a no-break space


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode()


def listed(names: Collection[str], most: int = 10) -> str:
    """Return the first names of a collection for a message, as `plain` text.

    >>> listed(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    shown = ", ".join(plain(name, _MAX_NAME) for name in islice(names, most))
    more = len(names) - most
    return f"{shown} and {more:,} more" if more > 0 else shown


def quoted(names: Collection[str]) -> str:
    """Return the first names of a collection for a message, in quotes.

    >>> quoted(["a.csv", "b.csv", "c.csv", "d.csv", "e.csv"])
    "'a.csv', 'b.csv', 'c.csv' and 2 more"
    """
    first = [repr(name[:_MAX_NAME]) for name in islice(names, _MAX_NAMES)]
    more = len(names) - len(first)
    return ", ".join(first) + (f" and {more:,} more" if more else "")


# --- secrets --------------------------------------------------------------------------------


def hide(query: str) -> None:
    """Remember the query of an address as secret, for `without_secrets`."""
    if query not in _secrets:
        _secrets[query] = None
        _pattern.cache_clear()


def without_secrets(text: str) -> str:
    """Return a text of another program without the logins and queries of addresses.

    The values of hidden queries are removed wherever they occur in the text.
    """
    text = _LOGIN.sub(lambda found: f"{found[1] or ''}{_HIDDEN}@", text)
    return without_known_secrets(_QUERY.sub(lambda found: f"{found[1]}{_HIDDEN}", text))


def without_known_secrets(text: str) -> str:
    """Return a text without the values of the queries that this process has hidden."""
    pattern = _pattern()
    return text if pattern is None else pattern.sub(_HIDDEN, text)


@cache
def _pattern() -> re.Pattern[str] | None:
    """Return a pattern for the values of all secrets in any spelling; None without secrets."""
    values = {value for query in _secrets for value in _values(query)}
    longest_first = sorted(values, key=len, reverse=True)
    spellings = [
        "".join(map(_spellings, value[:_BEGINNING]))
        # A server or a limit of length can have cut the rest off.
        + (r"[^\s\"'<>]*" if len(value) > _BEGINNING else "")
        for value in longest_first
    ]
    return re.compile("|".join(spellings), re.IGNORECASE) if spellings else None


def _values(query: str) -> set[str]:
    """Return the texts in a query that can be secret: the whole query, and each value."""
    pieces = [query, *re.split("[&;]", query)]
    pieces += [piece.partition("=")[2] or piece for piece in pieces[1:]]
    decoded = {each for piece in pieces for each in (piece, unquote(piece), unquote_plus(piece))}
    return {each for each in decoded if len(each) >= _MIN_SECRET}


@lru_cache(4096)
def _spellings(letter: str) -> str:
    """Return a pattern for a letter, also percent-encoded once or more, in HTML, or in JSON."""
    encoded = "".join(f"%(?:25)*{byte:02x}" for byte in letter.encode("utf-8", "surrogatepass"))
    code = ord(letter)
    named = {"&": ["&amp;"], "<": ["&lt;"], ">": ["&gt;"], "/": [r"\\/"], " ": [r"\+"]}
    spellings = [encoded, f"&#0*{code};", f"&#x0*{code:x};", rf"\\u{code:04x}"]
    spellings += [*named.get(letter, ()), re.escape(letter)]  # % after %25, and & after &amp;
    return f"(?:{'|'.join(spellings)})"
