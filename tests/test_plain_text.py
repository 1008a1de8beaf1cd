"""Text of servers, files and other programs, made safe to show."""

from __future__ import annotations

import html
import json
from urllib.parse import quote, quote_plus

import pytest

from cfpb_etl import plain_text
from cfpb_etl.fetch.errors import UnreadableFileError
from cfpb_etl.fetch.http.errors import WrongContentError
from cfpb_etl.model.events import Headline, PartStored, Progress, Step, Warned
from cfpb_etl.model.load_stats import LoadStats
from cfpb_etl.model.wording import warnings
from cfpb_etl.plain_text import hide, listed, plain, quoted, without_secrets

# Each is harmful in another way.
HARMFUL = {
    "colours": "\x1b[31m",
    "the title of the window": "\x1b]0;title\x07",
    "an escape of one byte": "\x9b31m",
    "a line end": "\n",
    "a return": "\r",
    "a line end of Unicode": "\u2028",
    "a backspace": "\b",
    "zero": "\0",
    "delete": "\x7f",
    "from right to left": "\u202e",
    "an isolate": "\u2067",
    "a mark of direction": "\u200f",
    "a zero width": "\u200b",
    "half a character": "\udcff",
    "a private character": "\ue000",
    "a tag": "\U000e0041",
}


@pytest.mark.parametrize("text", HARMFUL.values(), ids=HARMFUL)
def test_no_character_controls_what_is_shown(text: str) -> None:
    """It becomes an escape, in errors, events and warnings too."""
    text = f"before{text}after"
    shown = [
        plain(text),
        quoted([text]),
        listed([text]),
        str(UnreadableFileError(path=text, detail=text)),
        str(WrongContentError(f"http://x/{text}", detail=text, body_start=text)),
        WrongContentError("http://x/", detail=text).brief,
        Warned(text).text,
        Headline(text).text,
        Step(text, text).title,
        Progress("Reading", text, None).so_far,
        PartStored(text, text, LoadStats()).text,
        *warnings(LoadStats(unknown_columns=frozenset({text}), warnings=(text,))),
    ]

    assert [each for each in shown if not each.isprintable() or "before" not in each] == []


@pytest.mark.parametrize(
    "title", ["Crédit Agricole", "Αλφα", "Банк", "银行", "البنك", "बैंक", "a\xa0b", "…•–", "🏦"]
)
def test_letters_of_all_languages_stay(title: str) -> None:
    """Titles and names that are not English stay readable."""
    assert plain(title) == title
    assert title in Warned(f"Unknown: {title}").text


def test_long_texts_are_cut() -> None:
    """The end of a message says what to do, so it is kept."""
    error = UnreadableFileError(path="p" * 5_000, detail="d" * 100_000)

    assert len(str(error)) < 1_500
    assert str(error).endswith(UnreadableFileError.remedy)
    assert len(Warned("x" * 10**6).text) <= plain_text.MAX_LINE
    assert plain("abcdefghij", 5) == "ab…ij"


def test_many_names_are_counted() -> None:
    """Not more than a few are shown, each not longer than a few words."""
    names = frozenset(f"{number:06}" + "x" * 500 for number in range(20_000))
    (line,) = warnings(LoadStats(unknown_columns=names))

    assert len(line) < 1_000
    assert line.endswith(" and 19,990 more")


# --- secrets --------------------------------------------------------------------------------

VALUE = "Se/Cr+3t&=<'t>k~n%2"
SPELLINGS = {
    "raw": VALUE,
    "encoded": quote(VALUE, safe=""),
    "encoded except slashes": quote(VALUE),
    "encoded as in forms": quote_plus(VALUE),
    "in lower case": quote(VALUE, safe="").lower(),
    "encoded twice": quote(quote(VALUE, safe=""), safe=""),
    "in HTML": html.escape(VALUE),
    "in HTML by numbers": "".join(f"&#{ord(each)};" for each in VALUE),
    "in HTML by hexadecimal numbers": "".join(f"&#x{ord(each):X};" for each in VALUE),
    "in JSON": json.dumps(VALUE.replace("&", "\\u0026")).replace("\\\\u", "\\u"),
    "each letter encoded": "".join(f"%{ord(each):02X}" for each in VALUE),
}


@pytest.fixture
def no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the secrets of other tests."""
    monkeypatch.setattr(plain_text, "_secrets", {})
    plain_text._pattern.cache_clear()


@pytest.mark.usefixtures("no_secrets")
@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
def test_a_secret_is_removed_in_any_spelling(spelling: str) -> None:
    """Servers and libraries repeat the values of a query in spellings of their own."""
    hide(f"a=1&token={quote(VALUE, safe='')}&b")

    assert without_secrets(f"start {spelling} end").strip('"') in ("start … end", 'start "…" end')


@pytest.mark.usefixtures("no_secrets")
@pytest.mark.parametrize("length", [16, 17, 100, 999])
def test_a_long_secret_that_is_cut_is_removed(length: int) -> None:
    """A server can repeat only its beginning."""
    hide(f"a={'0123456789' * 100}")

    assert without_secrets(f"<b>{('0123456789' * 100)[:length]}</b> ends") == "<b>…</b> ends"


@pytest.mark.usefixtures("no_secrets")
def test_a_query_without_names_is_a_secret() -> None:
    """Short pieces of a query are no secrets: they occur in any text."""
    hide("tokentokentoken")
    hide("v=2&c=CA")

    assert without_secrets("in 2 lines, CA: tokentokentoken") == "in 2 lines, CA: …"
    assert without_secrets("see v=2&c=CA") == "see …"


ADDRESSES = {
    "https://host/x.zip?token=abc (Caused by": "https://host/x.zip?… (Caused by",
    "url: /x.zip?a=1&b=2)": "url: /x.zip?…",
    "'/next/https%3A%2F%2Fh%2Fx%3Ftoken%3D1'": "'/next/https%3A%2F%2Fh%2Fx%3F…'",
    "http://me:it@host/": "http://…@host/",
    "https://token@host/x": "https://…@host/x",
    "http://me:p/w@d@host/x": "http://…@host/x",
    "me:it@host/x": "…@host/x",
    "next=https%3A%2F%2Fme%3Ait%40host": "next=https%3A%2F%2F…@host",
    "Is it? It is, at 10:30.": "Is it? It is, at 10:30.",
    "https://host/a:b/c": "https://host/a:b/c",
}


@pytest.mark.parametrize(("text", "shown"), ADDRESSES.items(), ids=ADDRESSES)
def test_logins_and_queries_are_removed_from_any_text(text: str, shown: str) -> None:
    """Nobody knows which of them are secret."""
    assert without_secrets(text) == shown


@pytest.mark.parametrize(
    "text", ["a:" * 30_000, "//" * 30_000, "?" * 60_000, "%" * 60_000, "a@" * 9]
)
def test_a_hostile_text_takes_no_time(text: str) -> None:
    """The search for addresses is limited, and ends."""
    assert without_secrets(text)
