"""What a complaint is: the record that every source is made into."""

from __future__ import annotations

from typing import NamedTuple


class Complaint(NamedTuple):
    """One consumer complaint, field by field as the table `complaint` holds it.

    All fields but the id are text or None; dates are `YYYY-MM-DD`. The search API uses these very
    names (DATA.md section 2), so they are the mapping from its `_source` too.
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


# What CFPB has sent in every release so far (CCDB_API.md section 0): to miss one of these is news.
ALWAYS_SENT = frozenset(Complaint._fields) - {
    "complaint_what_happened",
    "consumer_consent_provided",
    "consumer_disputed",
}


NOT_STORED = frozenset(
    # has_narrative follows from the narrative. The others stand in single documents of the older
    # API and in its fixtures (DATA.md section 2); they describe CFPB's index, not the complaint.
    {"has_narrative", "date_indexed", ":updated_at", "date_received_formatted"}
    | {"date_sent_to_company_formatted", "date_indexed_formatted"}
)
