"""The five most common questions, each with an SQL statement that answers it."""

from __future__ import annotations

from typing import NamedTuple


class Question(NamedTuple):
    """A question and its answer.

    Attributes:
        name: A short name, for URLs.
        title: The question.
        sql: The SQL statement that answers the question.
        caveat: What the reader of the answer must know; "" if there is nothing.
    """

    name: str
    title: str
    sql: str
    caveat: str = ""


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
        "How many complaints were received on each of the newest days?",
        """\
SELECT date_received, COUNT(*) AS complaints
FROM complaint GROUP BY date_received ORDER BY date_received DESC LIMIT 5;""",
    ),
    Question(
        "identity-theft",
        "Which complaints mention identity theft?",
        """\
SELECT complaint_id, company, SNIPPET(narrative_search, 0, '', '', '…', 6) AS words
FROM narrative_search JOIN narratives ON complaint_id = narrative_search.rowid
WHERE narrative_search MATCH '"identity theft"'
ORDER BY narrative_search.rowid DESC LIMIT 3;""",
        "Only complaints with a narrative can match. CFPB stopped publishing narratives in"
        " September 2026; its archive has the earlier ones.",
    ),
    Question(
        "loads",
        "Where did the data come from, and how did each load end?",
        """\
SELECT load_id, source, as_of_latest, outcome, parts, new, changed, unchanged FROM load;""",
    ),
)
