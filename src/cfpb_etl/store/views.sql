-- For reading: views, today's names of products, and the full-text search of narratives.

CREATE TABLE product_today (        -- today's names of products that CFPB has renamed
    product TEXT NOT NULL,          -- product as filed
    sub_product TEXT NOT NULL,      -- kind of product as filed, where the name depends on it; or ''
    today TEXT NOT NULL,            -- today's name
    PRIMARY KEY (product, sub_product)
) WITHOUT ROWID;

-- See docs/facts.md, "Product names". "Credit card" and "Prepaid card" were one product from 2017
-- to 2023. "Consumer Loan" keeps its name, because no sub-product shows how CFPB divided it.
INSERT INTO product_today VALUES
    ('Credit reporting', '', 'Credit reporting or other personal consumer reports'),
    ('Credit reporting, credit repair services, or other personal consumer reports', '',
        'Credit reporting or other personal consumer reports'),
    ('Bank account or service', '', 'Checking or savings account'),
    ('Money transfers', '', 'Money transfer, virtual currency, or money service'),
    ('Virtual currency', '', 'Money transfer, virtual currency, or money service'),
    ('Other financial service', '', 'Money transfer, virtual currency, or money service'),
    ('Payday loan', '', 'Payday loan, title loan, personal loan, or advance loan'),
    ('Payday loan, title loan, or personal loan', '',
        'Payday loan, title loan, personal loan, or advance loan'),
    ('Credit card or prepaid card', 'General-purpose credit card or charge card', 'Credit card'),
    ('Credit card or prepaid card', 'Store credit card', 'Credit card'),
    ('Credit card or prepaid card', 'General-purpose prepaid card', 'Prepaid card'),
    ('Credit card or prepaid card', 'Gift card', 'Prepaid card'),
    ('Credit card or prepaid card', 'Government benefit card', 'Prepaid card'),
    ('Credit card or prepaid card', 'Payroll card', 'Prepaid card'),
    ('Credit card or prepaid card', 'Student prepaid card', 'Prepaid card');

-- Each view is sorted for a person, and reads one whole index. The inner query groups by day, the
-- order of the index; the outer query groups by month. HAVING is checked for each group. WHERE
-- would be checked for each complaint, which took twice as long.

CREATE VIEW complaints_by_month AS -- complaints received in each month, withdrawn ones included
SELECT
    SUBSTR(date_received, 1, 7) AS month, -- month received, YYYY-MM
    SUM(complaints) AS complaints         -- number of complaints
FROM (SELECT date_received, COUNT(*) AS complaints FROM complaint GROUP BY date_received)
GROUP BY month
ORDER BY month;

CREATE VIEW complaints_by_day_and_product AS -- complaints received on each day, by today's product
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
    filed.date_received,                         -- day received, YYYY-MM-DD
    COALESCE(today, filed.product) AS product,   -- today's name of the product
    filed.complaints                             -- number of complaints
FROM filed LEFT JOIN product_today USING (product, sub_product);

CREATE VIEW complaints_by_month_and_product AS -- complaints in each month, by today's product
SELECT
    SUBSTR(date_received, 1, 7) AS month, -- month received, YYYY-MM
    product,                              -- today's name of the product
    SUM(complaints) AS complaints         -- number of complaints
FROM complaints_by_day_and_product
GROUP BY month, product
ORDER BY month, product;

CREATE VIEW complaints_by_product AS -- complaints about each product, by today's name
SELECT
    product,                              -- today's name of the product
    SUM(complaints) AS complaints,        -- number of complaints
    MIN(date_received) AS first_received, -- day of the first, YYYY-MM-DD
    MAX(date_received) AS last_received   -- day of the last, YYYY-MM-DD
FROM complaints_by_day_and_product
GROUP BY product
ORDER BY complaints DESC, product;

CREATE VIEW complaints_by_company AS -- complaints about each company; large ones have more
SELECT
    company,                              -- the company, as CFPB spells it
    COUNT(*) AS complaints,               -- number of complaints
    MIN(date_received) AS first_received, -- day of the first, YYYY-MM-DD
    MAX(date_received) AS last_received   -- day of the last, YYYY-MM-DD
FROM complaint
GROUP BY company
ORDER BY complaints DESC, company;

CREATE VIEW complaints_by_state AS -- complaints from each state; large ones have more
SELECT
    state,                                -- where the consumer lives, mostly two letters
    SUM(complaints) AS complaints,        -- number of complaints
    MIN(date_received) AS first_received, -- day of the first, YYYY-MM-DD
    MAX(date_received) AS last_received   -- day of the last, YYYY-MM-DD
FROM (
    SELECT date_received, state, COUNT(*) AS complaints
    FROM complaint
    GROUP BY date_received, state
)
GROUP BY state
ORDER BY complaints DESC, state;

CREATE VIEW timeliness_by_company AS -- how often each company has responded late so far
SELECT
    company,                              -- the company, as CFPB spells it
    COUNT(*) AS complaints,               -- number of complaints
    COUNT(CASE WHEN timely = 'No' THEN 1 END) AS late, -- number not answered in time
    ROUND(
        100.0 * COUNT(CASE WHEN timely = 'No' THEN 1 END) / NULLIF(COUNT(timely), 0), 1
    ) AS late_percent -- percent of those with a value; complaints in progress count as timely
FROM complaint
GROUP BY company
ORDER BY complaints DESC, company;

CREATE VIEW narratives AS -- what consumers wrote, and about which company
SELECT
    complaint_id,                         -- CFPB's number of the complaint
    date_received,                        -- day on which CFPB received it, YYYY-MM-DD
    company,                              -- the company, as CFPB spells it
    state,                                -- where the consumer lives, mostly two letters
    COALESCE(
        (
            SELECT today FROM product_today AS renamed
            WHERE renamed.product = complaint.product
                AND renamed.sub_product IN ('', complaint.sub_product)
        ),
        product
    ) AS product,                         -- today's name of the product
    issue,                                -- what the complaint is about
    complaint_what_happened AS narrative  -- what the consumer wrote
FROM complaint
WHERE complaint_what_happened IS NOT NULL;

-- The text stays in the table complaint. This table stores only the index of its words.
CREATE VIRTUAL TABLE narrative_search
    USING fts5(narrative, content='narratives', content_rowid='complaint_id');

-- To delete an entry of such an index, SQLite needs the indexed text
-- (https://www.sqlite.org/fts5.html section 4.4.3).
CREATE TRIGGER narrative_insert AFTER INSERT ON complaint
WHEN NEW.complaint_what_happened IS NOT NULL BEGIN
    INSERT INTO narrative_search (rowid, narrative)
        VALUES (NEW.complaint_id, NEW.complaint_what_happened);
END;

CREATE TRIGGER narrative_delete AFTER DELETE ON complaint
WHEN OLD.complaint_what_happened IS NOT NULL BEGIN
    INSERT INTO narrative_search (narrative_search, rowid, narrative)
        VALUES ('delete', OLD.complaint_id, OLD.complaint_what_happened);
END;

CREATE TRIGGER narrative_update AFTER UPDATE OF complaint_id, complaint_what_happened ON complaint
WHEN OLD.complaint_what_happened IS NOT NEW.complaint_what_happened
    OR OLD.complaint_id <> NEW.complaint_id BEGIN
    INSERT INTO narrative_search (narrative_search, rowid, narrative)
        SELECT 'delete', OLD.complaint_id, OLD.complaint_what_happened
        WHERE OLD.complaint_what_happened IS NOT NULL;
    INSERT INTO narrative_search (rowid, narrative)
        SELECT NEW.complaint_id, NEW.complaint_what_happened
        WHERE NEW.complaint_what_happened IS NOT NULL;
END;
