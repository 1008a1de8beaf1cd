"""The fields of a complaint in the search API, in each era."""

from __future__ import annotations

from typing import Any

FIELDS_15: dict[str, Any] = {
    "complaint_id": "17800720",
    "date_received": "2026-06-30T23:45:02.000Z",
    "product": "Checking or savings account",
    "sub_product": "Traveler’s/Cashier’s checks",
    "issue": "Closing an account",
    "sub_issue": None,
    "company_public_response": None,
    "company": "M&T BANK, N.A.",
    "state": "MA",
    "zip_code": "02139",
    "tags": "Older American, Servicemember",
    "submitted_via": "Web Referral",
    "date_sent_to_company": "2026-07-01T00:10:00.000Z",
    "company_response": "In progress",
    "timely": "Yes",
}
FIELDS_16: dict[str, Any] = FIELDS_15 | {"complaint_what_happened": "They kept {$120.00}.\nXXXX"}
FIELDS_17: dict[str, Any] = FIELDS_16 | {"has_narrative": True}
FIELDS_18: dict[str, Any] = FIELDS_16 | {
    "consumer_consent_provided": "N/A",
    "consumer_disputed": "No",
}
FIELDS_19: dict[str, Any] = FIELDS_18 | {"has_narrative": True}
