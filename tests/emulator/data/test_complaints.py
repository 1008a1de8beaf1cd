"""The made complaints look like the real ones: DATA.md sections 3 to 6."""

import re
import subprocess
import sys
from collections import Counter
from datetime import date

import pytest

from cfpb_etl.emulator import Era, Source, made_complaints

KEYS_OF_TODAY = {
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
def of_2024() -> list[Source]:
    """Return complaints of 2024."""
    return made_complaints(25_000, era="2024")


@pytest.fixture(scope="module")
def deployed() -> list[Source]:
    """Return complaints of the deployed release."""
    return made_complaints(25_000)


def test_the_keys_are_those_of_the_era(of_2024: list[Source], deployed: list[Source]) -> None:
    """Fifteen, and with the narrative sixteen."""
    assert {frozenset(source) for source in deployed} == {frozenset(KEYS_OF_TODAY)}
    assert {frozenset(source) for source in of_2024} == {
        frozenset(KEYS_OF_TODAY | {"complaint_what_happened"})
    }


@pytest.mark.parametrize("era", ERAS)
def test_the_same_seed_makes_the_same_complaints(era: Era) -> None:
    """Another seed makes others."""
    made = made_complaints(200, era=era)

    assert made == made_complaints(200, era=era)
    assert made != made_complaints(200, era=era, seed=7)


def test_the_hash_seed_of_python_does_not_matter() -> None:
    """Another process makes the same ones."""
    program = "from cfpb_etl.emulator import made_complaints as m; print(m(50, era='2024'))"

    printed = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONHASHSEED": "5"},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )

    assert printed.stdout.strip() == str(made_complaints(50, era="2024"))


def test_both_eras_tell_the_same_complaints() -> None:
    """Of one span: the dates are spelt otherwise, and the narratives are gone."""
    until = date(2024, 11, 5)
    older = made_complaints(500, era="2024", until=until)
    newer = made_complaints(500, era="deployed", until=until)

    for source in (*older, *newer):
        source.pop("complaint_what_happened", None)
        source["date_received"] = source["date_received"][:10]
        source["date_sent_to_company"] = source["date_sent_to_company"][:10]
    assert older == newer


def test_dates_are_spelt_as_in_their_era(of_2024: list[Source], deployed: list[Source]) -> None:
    """Noon in Washington's winter, or an instant in UTC; sent on when received or later."""
    noon = re.compile(r"20\d\d-\d\d-\d\dT12:00:00-05:00")
    instant = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.000Z")

    for complaints, spelling in ((of_2024, noon), (deployed, instant)):
        for source in complaints:
            assert spelling.fullmatch(source["date_received"])
            assert spelling.fullmatch(source["date_sent_to_company"])
            assert source["date_received"] <= source["date_sent_to_company"]
    assert max(source["date_sent_to_company"] for source in of_2024)[:10] == "2024-11-05"
    assert any(
        source["date_received"][:10] < source["date_sent_to_company"][:10] for source in of_2024
    )


def test_most_complaints_are_recent(deployed: list[Source]) -> None:
    """Their number doubled each year."""
    years = Counter(source["date_received"][:4] for source in deployed)

    assert years["2026"] > years["2025"] > years["2024"] > years["2023"] > 0


def test_ids_are_unique_and_rise_but_not_strictly(of_2024: list[Source]) -> None:
    """They have 7 and 8 digits, and within a day the strings sort otherwise than the numbers."""
    ids = [source["complaint_id"] for source in of_2024]
    days: dict[str, list[str]] = {}
    for source in of_2024:
        days.setdefault(source["date_received"], []).append(source["complaint_id"])

    assert len(set(ids)) == len(ids)
    assert {len(number) for number in ids} == {7, 8}
    assert int(ids[-1]) > int(ids[12_500]) > int(ids[0])
    assert any(sorted(day) != sorted(day, key=int) for day in days.values())


def test_every_column_is_filled_in_some_rows(deployed: list[Source]) -> None:
    """And null only where it is null in the real data."""
    nullable = {key for source in deployed for key, value in source.items() if value is None}

    for key in KEYS_OF_TODAY:
        assert any(source[key] for source in deployed), key
    assert nullable == {
        "company_public_response",
        "company_response",
        "state",
        "sub_issue",
        "sub_product",
        "tags",
        "zip_code",
    }


def test_the_small_vocabularies_are_complete(deployed: list[Source]) -> None:
    """With the values that trip a parser: a tag with a comma, a state in full, masked ZIP codes."""

    def values(key: str) -> set[str | None]:
        return {source[key] for source in deployed}

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


def test_a_sub_product_belongs_to_one_product(deployed: list[Source]) -> None:
    """As far as the form has it so."""
    parents: dict[str, set[str]] = {}
    for source in deployed:
        parents.setdefault(source["sub_product"], set()).add(source["product"])
    parents.pop(None)  # type: ignore[call-overload]

    assert all(len(products) == 1 for products in parents.values())


def test_only_recent_complaints_are_in_progress(deployed: list[Source]) -> None:
    """The company has 15 days, or 60."""
    waiting = [
        source["date_received"][:10]
        for source in deployed
        if source["company_response"] == "In progress"
    ]

    assert min(waiting) > "2026-08-01"
    assert max(waiting) == "2026-10-07"


def test_the_form_changed_in_2023(of_2024: list[Source]) -> None:
    """Products have the names of the day they were filed on."""
    older = "Credit reporting, credit repair services, or other personal consumer reports"
    newer = "Credit reporting or other personal consumer reports"

    assert max(s["date_received"] for s in of_2024 if s["product"] == older) < "2023-08-24"
    assert min(s["date_received"] for s in of_2024 if s["product"] == newer) >= "2023-08-24"


def test_narratives_look_like_narratives(of_2024: list[Source]) -> None:
    """A third has one, "" stands for none; some are copies of a letter."""
    told = [text for source in of_2024 if (text := source["complaint_what_happened"])]
    text = "\n".join(told)

    assert 0.25 < len(told) / len(of_2024) < 0.45
    assert {type(source["complaint_what_happened"]) for source in of_2024} == {str}
    assert Counter(told).most_common(1)[0][1] > 50
    assert "\n\n" in text
    assert "XXXX" in text
    assert re.search(r"\{\$\d+\.\d\d\}", text)
    assert re.search(r"XX/XX/20\d\d", text)
    assert not text.isascii()


def test_the_span_ends_where_told() -> None:
    """And may be before the form changed."""
    complaints = made_complaints(300, until=date(2022, 6, 30))

    assert complaints[-1]["date_received"] < "2022-07-01"
    assert complaints[0]["date_received"] > "2019-06-30"


def test_there_may_be_none() -> None:
    """Nought is a number of complaints."""
    assert made_complaints(0) == []
