"""Tests that generated complaints resemble the real ones (docs/facts.md, "Data")."""

import os
import re
import subprocess
import sys
from collections import Counter
from datetime import date

import pytest

from cfpb_etl.emulator import Era, RawComplaint, generate_complaints

DEPLOYED_KEYS = {
    "company",
    "company_public_response",
    "company_response",
    "complaint_id",
    "date_received",
    "date_sent_to_company",
    "issue",
    "product",
    "state",
    "sub_issue",
    "sub_product",
    "submitted_via",
    "tags",
    "timely",
    "zip_code",
}
ERAS: list[Era] = ["2024", "deployed"]


@pytest.fixture(scope="module")
def complaints_2024() -> list[RawComplaint]:
    """Return complaints of 2024."""
    return generate_complaints(25_000, era="2024")


@pytest.fixture(scope="module")
def deployed_complaints() -> list[RawComplaint]:
    """Return complaints of the deployed release."""
    return generate_complaints(25_000)


def test_complaints_have_the_keys_of_their_era(
    complaints_2024: list[RawComplaint], deployed_complaints: list[RawComplaint]
) -> None:
    """They are 15, and in 2024 16 with the narrative."""
    assert {frozenset(source) for source in deployed_complaints} == {frozenset(DEPLOYED_KEYS)}
    assert {frozenset(source) for source in complaints_2024} == {
        frozenset(DEPLOYED_KEYS | {"complaint_what_happened"})
    }


@pytest.mark.parametrize("era", ERAS)
def test_the_same_seed_gives_the_same_complaints(era: Era) -> None:
    """Another seed gives other complaints."""
    complaints = generate_complaints(200, era=era)

    assert complaints == generate_complaints(200, era=era)
    assert complaints != generate_complaints(200, era=era, seed=7)


def test_python_hash_seed_has_no_effect() -> None:
    """Another process generates the same complaints."""
    program = "from cfpb_etl import emulator; print(emulator.generate_complaints(50, era='2024'))"

    printed = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONHASHSEED": "5"},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )

    assert printed.stdout.strip() == str(generate_complaints(50, era="2024"))


def test_both_eras_have_the_same_complaints() -> None:
    """Only the date format differs, and the narratives are missing."""
    until = date(2024, 11, 5)
    older = generate_complaints(500, era="2024", until=until)
    newer = generate_complaints(500, era="deployed", until=until)

    for source in (*older, *newer):
        source.pop("complaint_what_happened", None)
        source["date_received"] = source["date_received"][:10]
        source["date_sent_to_company"] = source["date_sent_to_company"][:10]
    assert older == newer


def test_dates_have_the_format_of_their_era(
    complaints_2024: list[RawComplaint], deployed_complaints: list[RawComplaint]
) -> None:
    """The format is noon at -05:00, or a UTC time; complaints are sent after they are received."""
    noon = re.compile(r"20\d\d-\d\d-\d\dT12:00:00-05:00")
    utc_time = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.000Z")

    for complaints, date_format in ((complaints_2024, noon), (deployed_complaints, utc_time)):
        for source in complaints:
            assert date_format.fullmatch(source["date_received"])
            assert date_format.fullmatch(source["date_sent_to_company"])
            assert source["date_received"] <= source["date_sent_to_company"]
    assert max(source["date_sent_to_company"] for source in complaints_2024)[:10] == "2024-11-05"
    assert any(
        source["date_received"][:10] < source["date_sent_to_company"][:10]
        for source in complaints_2024
    )


def test_number_of_complaints_grows_each_year(deployed_complaints: list[RawComplaint]) -> None:
    """It about doubles each year."""
    years = Counter(source["date_received"][:4] for source in deployed_complaints)

    assert years["2026"] > years["2025"] > years["2024"] > years["2023"] > 0


def test_ids_are_unique_and_rise_but_not_strictly(complaints_2024: list[RawComplaint]) -> None:
    """They have 7 or 8 digits, so within a day text and numbers sort differently."""
    ids = [source["complaint_id"] for source in complaints_2024]
    days: dict[str, list[str]] = {}
    for source in complaints_2024:
        days.setdefault(source["date_received"], []).append(source["complaint_id"])

    assert len(set(ids)) == len(ids)
    assert {len(number) for number in ids} == {7, 8}
    assert int(ids[-1]) > int(ids[12_500]) > int(ids[0])
    assert any(sorted(day) != sorted(day, key=int) for day in days.values())


def test_each_column_has_values(deployed_complaints: list[RawComplaint]) -> None:
    """Only columns that have nulls in the real data have nulls."""
    nullable = {
        key for source in deployed_complaints for key, value in source.items() if value is None
    }

    for key in DEPLOYED_KEYS:
        assert any(source[key] for source in deployed_complaints), key
    assert nullable == {
        "company_public_response",
        "company_response",
        "state",
        "sub_issue",
        "sub_product",
        "tags",
        "zip_code",
    }


def test_columns_have_all_their_values(deployed_complaints: list[RawComplaint]) -> None:
    """Included are a tag with a comma, a state spelled out, and masked ZIP codes."""

    def values(key: str) -> set[str | None]:
        return {source[key] for source in deployed_complaints}

    assert values("timely") == {"Yes", "No"}
    assert values("tags") == {
        None,
        "Servicemember",
        "Older American",
        "Older American, Servicemember",
    }
    assert len(values("submitted_via")) == 7
    assert len(values("company_response")) == 8 + 1
    assert len(values("company_public_response")) == 11 + 1
    assert len(values("state")) == 63 + 1
    assert "UNITED STATES MINOR OUTLYING ISLANDS" in values("state")
    assert len(values("product")) == 11
    assert "Traveler\u2019s/Cashier\u2019s checks" in values("sub_product")
    zip_codes = {zip_code for zip_code in values("zip_code") if zip_code}
    assert all(re.fullmatch(r"\d{5}|\d{3}XX|XXXXX", zip_code) for zip_code in zip_codes)
    assert any(zip_code.startswith("0") for zip_code in zip_codes)
    assert any(zip_code.endswith("XX") for zip_code in zip_codes)


def test_each_sub_product_has_one_product(deployed_complaints: list[RawComplaint]) -> None:
    """This follows the complaint form."""
    parents: dict[str, set[str]] = {}
    for source in deployed_complaints:
        parents.setdefault(source["sub_product"], set()).add(source["product"])
    parents.pop(None)  # type: ignore[call-overload]

    assert all(len(products) == 1 for products in parents.values())


def test_only_recent_complaints_are_in_progress(deployed_complaints: list[RawComplaint]) -> None:
    """A company has 15 days to respond, or 60."""
    in_progress = [
        source["date_received"][:10]
        for source in deployed_complaints
        if source["company_response"] == "In progress"
    ]

    assert min(in_progress) > "2026-08-01"
    assert max(in_progress) == "2026-10-07"


def test_product_names_change_in_2023(complaints_2024: list[RawComplaint]) -> None:
    """A complaint has the product name of the day it was filed."""
    older = "Credit reporting, credit repair services, or other personal consumer reports"
    newer = "Credit reporting or other personal consumer reports"

    assert max(s["date_received"] for s in complaints_2024 if s["product"] == older) < "2023-08-24"
    assert min(s["date_received"] for s in complaints_2024 if s["product"] == newer) >= "2023-08-24"


def test_narratives_look_like_narratives(complaints_2024: list[RawComplaint]) -> None:
    """A third of the complaints have one; the value of the others is "". Some are copies."""
    narratives = [text for source in complaints_2024 if (text := source["complaint_what_happened"])]
    text = "\n".join(narratives)

    assert 0.25 < len(narratives) / len(complaints_2024) < 0.45
    assert {type(source["complaint_what_happened"]) for source in complaints_2024} == {str}
    assert Counter(narratives).most_common(1)[0][1] > 50
    assert "\n\n" in text
    assert "XXXX" in text
    assert re.search(r"\{\$\d+\.\d\d\}", text)
    assert re.search(r"XX/XX/20\d\d", text)
    assert not text.isascii()


def test_complaints_end_on_the_last_day() -> None:
    """The last day can be before the form changed."""
    complaints = generate_complaints(300, until=date(2022, 6, 30))

    assert complaints[-1]["date_received"] < "2022-07-01"
    assert complaints[0]["date_received"] > "2019-06-30"


def test_zero_complaints_can_be_generated() -> None:
    """The result is an empty list."""
    assert generate_complaints(0) == []
