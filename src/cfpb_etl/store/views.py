"""What a person reads: views of the complaints, products by today's names, the search's upkeep."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

_REPORTING = "Credit reporting or other personal consumer reports"
_BANKING = "Checking or savings account"
_MONEY = "Money transfer, virtual currency, or money service"
_LOAN = "Payday loan, title loan, personal loan, or advance loan"
_CARDS = "Credit card or prepaid card"

# Who changes this, or a view, adds a migration that makes them anew in the files of before.

# As filed: product, and sub-product where only that tells; and as called today (DATA.md, 5).
# "Credit card" and "Prepaid card" were one product from 2017 to 2023, with both's sub-products.
# "Consumer Loan" was divided into what no sub-product tells, and keeps its name.
RENAMED_PRODUCTS = (
    ("Credit reporting", "", _REPORTING),
    (
        "Credit reporting, credit repair services, or other personal consumer reports",
        "",
        _REPORTING,
    ),
    ("Bank account or service", "", _BANKING),
    ("Money transfers", "", _MONEY),
    ("Virtual currency", "", _MONEY),
    ("Other financial service", "", _MONEY),
    ("Payday loan", "", _LOAN),
    ("Payday loan, title loan, or personal loan", "", _LOAN),
    (_CARDS, "General-purpose credit card or charge card", "Credit card"),
    (_CARDS, "Store credit card", "Credit card"),
    (_CARDS, "General-purpose prepaid card", "Prepaid card"),
    (_CARDS, "Gift card", "Prepaid card"),
    (_CARDS, "Government benefit card", "Prepaid card"),
    (_CARDS, "Payroll card", "Prepaid card"),
    (_CARDS, "Student prepaid card", "Prepaid card"),
)

# Each is in the order in which a person wants it, and reads an index from end to end: by the day
# first, which the index has in order, and by what a day is part of only then. HAVING puts its
# question to each such group, where WHERE would put it to each complaint, which took twice as long.
VIEWS = (
    """
CREATE VIEW complaints_by_month AS -- how many came in each month, withdrawn ones too, as in all
SELECT
    SUBSTR(date_received, 1, 7) AS month, -- received, YYYY-MM
    SUM(complaints) AS complaints         -- how many
FROM (SELECT date_received, COUNT(*) AS complaints FROM complaint GROUP BY date_received)
GROUP BY month
ORDER BY month""",
    """
CREATE VIEW complaints_by_day_and_product AS -- how many came on each day, by today's product
WITH filed AS (
    SELECT date_received, product, '' AS sub_product, COUNT(*) AS complaints
    FROM complaint
    GROUP BY product, date_received
    HAVING product IS NULL
        OR product NOT IN (SELECT product FROM product_today WHERE sub_product <> '')
    UNION ALL
    SELECT date_received, product, sub_product, COUNT(*) AS complaints
    FROM complaint
    WHERE product IN (SELECT product FROM product_today WHERE sub_product <> '')
    GROUP BY product, date_received, sub_product
)
SELECT
    filed.date_received,                         -- received, YYYY-MM-DD
    COALESCE(today, filed.product) AS product,   -- by the name that it has today
    filed.complaints                             -- how many
FROM filed LEFT JOIN product_today USING (product, sub_product)""",
    """
CREATE VIEW complaints_by_month_and_product AS -- how many came in each month, by today's product
SELECT
    SUBSTR(date_received, 1, 7) AS month, -- received, YYYY-MM
    product,                              -- by the name that it has today
    SUM(complaints) AS complaints         -- how many
FROM complaints_by_day_and_product
GROUP BY month, product
ORDER BY month, product""",
    """
CREATE VIEW complaints_by_product AS -- how many there are of each product, by today's name
SELECT
    product,                              -- by the name that it has today
    SUM(complaints) AS complaints,        -- how many
    MIN(date_received) AS first_received, -- the day of the first, YYYY-MM-DD
    MAX(date_received) AS last_received   -- the day of the last, YYYY-MM-DD
FROM complaints_by_day_and_product
GROUP BY product
ORDER BY complaints DESC, product""",
    """
CREATE VIEW complaints_by_company AS -- how many there are of each company; large ones have more
SELECT
    company,                              -- as CFPB spells it
    COUNT(*) AS complaints,               -- how many
    MIN(date_received) AS first_received, -- the day of the first, YYYY-MM-DD
    MAX(date_received) AS last_received   -- the day of the last, YYYY-MM-DD
FROM complaint
GROUP BY company
ORDER BY complaints DESC, company""",
    """
CREATE VIEW complaints_by_state AS -- how many there are from each state; large ones have more
SELECT
    state,                                -- where the consumer lives, two letters
    SUM(complaints) AS complaints,        -- how many
    MIN(date_received) AS first_received, -- the day of the first, YYYY-MM-DD
    MAX(date_received) AS last_received   -- the day of the last, YYYY-MM-DD
FROM (
    SELECT date_received, state, COUNT(*) AS complaints
    FROM complaint
    GROUP BY date_received, state
)
GROUP BY state
ORDER BY complaints DESC, state""",
    """
CREATE VIEW timeliness_by_company AS -- how often each company has answered late so far
SELECT
    company,                              -- as CFPB spells it
    COUNT(*) AS complaints,               -- how many
    COUNT(*) FILTER (WHERE timely = 'No') AS late, -- of these, not answered in time
    ROUND(
        100.0 * COUNT(*) FILTER (WHERE timely = 'No') / NULLIF(COUNT(timely), 0), 1
    ) AS late_percent -- percent of those of which CFPB tells it; in progress counts as timely
FROM complaint
GROUP BY company
ORDER BY complaints DESC, company""",
    """
CREATE VIEW narratives AS -- what consumers wrote, and of which company
SELECT
    complaint_id,                         -- CFPB's number for the complaint
    date_received,                        -- the day on which CFPB received it, YYYY-MM-DD
    company,                              -- as CFPB spells it
    state,                                -- where the consumer lives, two letters
    COALESCE(
        (
            SELECT today FROM product_today AS renamed
            WHERE renamed.product = complaint.product
                AND renamed.sub_product IN ('', complaint.sub_product)
        ),
        product
    ) AS product,                         -- by the name that it has today
    issue,                                -- what it is about
    complaint_what_happened AS narrative  -- what the consumer wrote
FROM complaint
WHERE complaint_what_happened IS NOT NULL""",
)


def make_views_anew(connection: sqlite3.Connection) -> None:
    """Make the views and the names of products as they are now, in a file that had them before."""
    for statement in VIEWS:
        _, _, name, *_ = statement.split(maxsplit=3)
        connection.execute(f"DROP VIEW IF EXISTS {name}")
        connection.execute(statement)
    connection.execute("DELETE FROM product_today")
    fill_product_today(connection)


def fill_product_today(connection: sqlite3.Connection) -> None:
    """Write what each product that was renamed is called today."""
    connection.executemany("INSERT INTO product_today VALUES (?, ?, ?)", RENAMED_PRODUCTS)


# An index whose text is elsewhere is told what to forget by the text that it learnt
# (https://www.sqlite.org/fts5.html section 4.4.3).
_LEARN = "INSERT INTO narrative_search (rowid, narrative)"
_FORGET = "INSERT INTO narrative_search (narrative_search, rowid, narrative)"
LEARN_NARRATIVE = f"{_LEARN} VALUES (?, ?)"
SEARCH_TRIGGERS = (
    f"""
CREATE TRIGGER narrative_insert AFTER INSERT ON complaint
WHEN NEW.complaint_what_happened IS NOT NULL BEGIN
    {_LEARN} VALUES (NEW.complaint_id, NEW.complaint_what_happened);
END""",  # noqa: S608 - words of ours
    f"""
CREATE TRIGGER narrative_delete AFTER DELETE ON complaint
WHEN OLD.complaint_what_happened IS NOT NULL BEGIN
    {_FORGET} VALUES ('delete', OLD.complaint_id, OLD.complaint_what_happened);
END""",
    f"""
CREATE TRIGGER narrative_update AFTER UPDATE OF complaint_id, complaint_what_happened ON complaint
WHEN OLD.complaint_what_happened IS NOT NEW.complaint_what_happened
    OR OLD.complaint_id <> NEW.complaint_id BEGIN
    {_FORGET} SELECT 'delete', OLD.complaint_id, OLD.complaint_what_happened
        WHERE OLD.complaint_what_happened IS NOT NULL;
    {_LEARN} SELECT NEW.complaint_id, NEW.complaint_what_happened
        WHERE NEW.complaint_what_happened IS NOT NULL;
END""",
)
