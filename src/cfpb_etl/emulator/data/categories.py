"""The values of a complaint other than its product, with approximate real weights.

The weights are the counts of 2024-11 in thousands, rounded (docs/facts.md, "Values and their
counts").
"""

from collections.abc import Mapping
from typing import NamedTuple

TAGS: Mapping[str | None, float] = {
    None: 92,
    "Servicemember": 5.3,
    "Older American": 2,
    "Older American, Servicemember": 0.7,
}

SUBMITTED_VIA: Mapping[str, float] = {
    "Web": 4184,
    "Phone": 67,
    "Referral": 60,
    "Postal mail": 25,
    "Fax": 6,
    "Web Referral": 4,
    "Email": 2,
}

# The eighth response, "In progress", depends on the age of the complaint.
COMPANY_RESPONSES: Mapping[str | None, float] = {
    "Closed with explanation": 2117,
    "Closed with non-monetary relief": 1725,
    "Closed with monetary relief": 57,
    "Untimely response": 8,
    "Closed": 3,
    "Closed without relief": 3,
    "Closed with relief": 2,
    None: 2,
}

PUBLIC_RESPONSES: Mapping[str | None, float] = {
    None: 2000,
    "Company has responded to the consumer and the CFPB and chooses not to provide a public"
    " response": 2220,
    "Company believes it acted appropriately as authorized by contract or law": 61,
    "Company chooses not to provide a public response": 9,
    "Company disputes the facts presented in the complaint": 4,
    "Company believes the complaint is the result of a misunderstanding": 4,
    "Company believes the complaint provided an opportunity to answer consumer's questions": 3,
    "Company believes complaint caused principally by actions of third party outside the control"
    " or direction of the company": 3,
    "Company can't verify or dispute the facts in the complaint": 2,
    "Company believes complaint represents an opportunity for improvement to better serve"
    " consumers": 2,
    "Company believes complaint is the result of an isolated error": 2,
    "Company believes complaint relates to a discontinued policy or procedure": 1,
}


class State(NamedTuple):
    """A state in CFPB's spelling, with the range of the first three digits of its ZIP codes."""

    name: str | None
    weight: int
    first_area: int
    last_area: int


def _states(table: str) -> tuple[State, ...]:
    rows = (entry.split() for entry in table.split(","))
    return tuple(State(name, int(weight), int(a), int(z)) for name, weight, a, z in rows)


# The smallest weights are increased, so that each state occurs.
STATES = (
    *_states(
        "FL 582 320 349, TX 527 750 799, CA 431 900 961, GA 329 300 319, NY 274 100 149,"
        "PA 218 150 196, IL 194 600 629, NJ 148 70 89, NC 143 270 289, MD 111 206 219,"
        "MI 102 480 499, OH 95 430 458, VA 93 220 246, LA 88 700 714, AL 85 350 369,"
        "SC 84 290 299, AZ 70 850 865, TN 70 370 385, NV 66 889 898, IN 57 460 479,"
        "MA 53 10 27, MO 51 630 658, MS 45 386 397, CT 33 60 69, WA 32 980 994,"
        "WI 29 530 549, CO 28 800 816, MN 25 550 567, AR 23 716 729, DE 23 197 199,"
        "OK 20 730 749, KY 19 400 427, DC 16 200 205, OR 14 970 979, PR 13 6 9,"
        "UT 12 840 847, KS 10 660 679, IA 10 500 528, NE 9 680 693, NM 9 870 884,"
        "RI 8 28 29, HI 7 967 968, WV 5 247 268, ID 5 832 838, NH 5 30 38,"
        "ME 4 39 49, ND 3 580 588, MT 3 590 599, AK 2 995 999, SD 2 570 577,"
        "WY 2 820 831, VT 1 50 59, VI 1 8 8, AE 1 90 98, AP 1 962 966, GU 1 969 969,"
        "AS 1 967 967, MP 1 969 969, AA 1 340 340, FM 1 969 969, MH 1 969 969, PW 1 969 969"
    ),
    State("UNITED STATES MINOR OUTLYING ISLANDS", 1, 968, 968),
    State(None, 31, 10, 999),
)

ZIP_FORMS: Mapping[str | None, float] = {
    "{area:03}{place:02}": 88,
    "{area:03}XX": 11,
    None: 1,
    "XXXXX": 0.1,
}
