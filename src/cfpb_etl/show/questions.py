"""The questions that people ask first, each with its answer in SQL: the README's five."""

from __future__ import annotations

from typing import NamedTuple


class Question(NamedTuple):
    """A question and its answer.

    Attributes:
        name: A short name, for an address.
        words: The question.
        sql: What answers it.
        note: What else to know of the answer.
    """

    name: str
    words: str
    sql: str
    note: str = ""


QUESTIONS = (
    Question(
        "top-products",
        "Which products do people complain about?",
        """\
SELECT product, complaints
FROM complaints_by_product LIMIT 5;""",
    ),
    Question(
        "top-companies",
        "Which companies have the most complaints, and how often do they answer late?",
        """\
SELECT company, complaints, late_percent
FROM timeliness_by_company LIMIT 5;""",
    ),
    Question(
        "newest-days",
        "How many came on each of the newest days?",
        """\
SELECT date_received, COUNT(*) AS complaints
FROM complaint GROUP BY date_received ORDER BY date_received DESC LIMIT 5;""",
    ),
    Question(
        "identity-theft",
        "Who writes of identity theft, and in what words?",
        """\
SELECT complaint_id, company, SNIPPET(narrative_search, 0, '', '', '…', 6) AS words
FROM narrative_search JOIN narratives ON complaint_id = narrative_search.rowid
WHERE narrative_search MATCH '"identity theft"'
ORDER BY narrative_search.rowid DESC LIMIT 3;""",
        "In narratives only. CFPB sends none since September 2026; its archive has earlier ones.",
    ),
    Question(
        "loads",
        "Where do these rows come from, and what became of each load?",
        """\
SELECT load_id, source, as_of, outcome, parts, inserted, updated, unchanged FROM load;""",
    ),
)
