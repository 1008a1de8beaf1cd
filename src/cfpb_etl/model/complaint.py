"""The complaint: one record type for all sources, and its column names in CFPB's CSV files."""

from __future__ import annotations

from typing import NamedTuple


class Complaint(NamedTuple):
    """One consumer complaint, with the columns of the table `complaint`.

    The id is a number. All other fields are text or None. Dates have the form `YYYY-MM-DD`. The
    search API uses the same names in `_source` (docs/facts.md, "Names in the API").
    """

    complaint_id: int
    date_received: str | None
    product: str | None
    sub_product: str | None
    issue: str | None
    sub_issue: str | None
    complaint_what_happened: str | None
    company_public_response: str | None
    company: str | None
    state: str | None
    zip_code: str | None
    tags: str | None
    consumer_consent_provided: str | None
    submitted_via: str | None
    date_sent_to_company: str | None
    company_response: str | None
    timely: str | None
    consumer_disputed: str | None


# The column of `complaint` for each column title in CFPB's CSV files of all years.
CSV_COLUMNS = {
    "Date received": "date_received",
    "Product": "product",
    "Sub-product": "sub_product",
    "Issue": "issue",
    "Sub-issue": "sub_issue",
    "Consumer complaint narrative": "complaint_what_happened",
    "Company public response": "company_public_response",
    "Company": "company",
    "State": "state",
    "ZIP code": "zip_code",
    "Tags": "tags",
    "Consumer consent provided?": "consumer_consent_provided",
    "Submitted via": "submitted_via",
    "Date sent to company": "date_sent_to_company",
    "Company response to consumer": "company_response",
    "Timely response?": "timely",
    "Consumer disputed?": "consumer_disputed",
    "Complaint ID": "complaint_id",
}

# Other titles of the same columns, folded: only their letters and digits, in lower case. They come
# from CFPB's files of 2012 to 2015, Kaggle and BigQuery (docs/facts.md, "Columns by era"). The
# names of the API and the titles above need no entry.
OTHER_TITLES = {
    "consumercomplaint": "complaint_what_happened",
    "complaintnarrative": "complaint_what_happened",
    "narrative": "complaint_what_happened",
    "publicresponse": "company_public_response",
    "companyname": "company",
    "zip": "zip_code",
    "postalcode": "zip_code",
    "consumerconsent": "consumer_consent_provided",
    "datesent": "date_sent_to_company",
    "timelyresponseyesno": "timely",
    "disputed": "consumer_disputed",
}

# The column titles of CFPB's releases, the oldest first (docs/facts.md, "Columns by era").
_UNTIL_2026_06 = tuple(CSV_COLUMNS)
_UNTIL_2026_08 = tuple(
    title
    for title in _UNTIL_2026_06
    if title not in {"Consumer consent provided?", "Consumer disputed?"}
)
_SINCE_2026_09 = tuple(t for t in _UNTIL_2026_08 if t != "Consumer complaint narrative")
RELEASES = (_UNTIL_2026_06, _UNTIL_2026_08, _SINCE_2026_09)

# Every CFPB release has these columns (docs/facts.md, "Columns by era"). If one of these columns is
# missing, the load reports it.
ALWAYS_SENT = frozenset(Complaint._fields) - {
    "complaint_what_happened",
    "consumer_consent_provided",
    "consumer_disputed",
}

# The API also sends these names, which are not columns (docs/facts.md, "Names in the API").
# has_narrative follows from the narrative. The other names describe CFPB's index.
NOT_STORED = frozenset(
    {"has_narrative", "date_indexed", ":updated_at", "date_received_formatted"}
    | {"date_sent_to_company_formatted", "date_indexed_formatted"}
)
