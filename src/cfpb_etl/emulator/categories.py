"""The categories that the made complaints draw on, with about their real weights.

Names are public facts: the counts of 2024-11 (DATA.md section 5), in thousands and rounded.
"""

from collections.abc import Mapping
from typing import NamedTuple


class Product(NamedTuple):
    """One product of the form, and what may go with it."""

    name: str
    weight: int
    companies: tuple[str, ...]
    sub_products: Mapping[str | None, int]
    issues: Mapping[str, tuple[int, tuple[str | None, ...]]]
    """Per issue its weight and its sub-issues, the commonest first."""
    name_until_2023: str | None = None
    """Its name before the form changed on 2023-08-24, if that was another one."""


_BUREAUS = (
    "EQUIFAX, INC.",
    "TRANSUNION INTERMEDIATE HOLDINGS, INC.",
    "Experian Information Solutions Inc.",
)
_BANKS = (
    "JPMORGAN CHASE & CO.",
    "CAPITAL ONE FINANCIAL CORPORATION",
    "BANK OF AMERICA, NATIONAL ASSOCIATION",
    "WELLS FARGO & COMPANY",
    "CITIBANK, N.A.",
    "NAVY FEDERAL CREDIT UNION",
    "U.S. BANCORP",
    "TRUIST FINANCIAL CORPORATION",
    "PNC Bank N.A.",
    "TD BANK US HOLDING COMPANY",
    "Chime Financial Inc",
)
_CARDS = (
    "CAPITAL ONE FINANCIAL CORPORATION",
    "CITIBANK, N.A.",
    "SYNCHRONY FINANCIAL",
    "AMERICAN EXPRESS COMPANY",
    "JPMORGAN CHASE & CO.",
    "BANK OF AMERICA, NATIONAL ASSOCIATION",
    "DISCOVER BANK",
    "GOLDMAN SACHS BANK USA",
    "BARCLAYS BANK DELAWARE",
    "BREAD FINANCIAL HOLDINGS, INC.",
)

# Invented, and spelt in as many ways as the real ones are.
SMALL_COMPANIES = tuple(
    f"{name}{ending}"
    for ending in (", LLC", " Inc.", ", INC.", " Group LLC", " Services, L.P.", " & Associates")
    for name in (
        "Harbor Pine Recovery",
        "BLUE MESA LENDING",
        "Juniper Street Mortgage",
        "Quill & Anchor Financial",
        "TALL OAK CREDIT",
        "Crédito Río Claro",
        "Seventh Lantern Collections",
        "Northfork Auto Finance",
        "O'Dell-Brandt Receivables",
        "GRANITE POST SERVICING",
        "Willowbend Advance",
        "Copper Kettle Payments",
    )
)

PRODUCTS = (
    Product(
        "Credit reporting or other personal consumer reports",
        3544,
        _BUREAUS,
        {"Credit reporting": 3520, "Other personal consumer report": 19, None: 3},
        {
            "Incorrect information on your report": (
                1600,
                (
                    "Information belongs to someone else",
                    "Account information incorrect",
                    "Account status incorrect",
                    "Personal information incorrect",
                    "Public record information inaccurate",
                    "Old information reappears or never goes away",
                ),
            ),
            "Improper use of your report": (
                1114,
                (
                    "Reporting company used your report improperly",
                    "Credit inquiries on your report that you don't recognize",
                    "Received unsolicited financial product or insurance offers after opting out",
                    "Report provided to employer without your written authorization",
                ),
            ),
            "Problem with a company's investigation into an existing problem": (
                820,
                (
                    "Their investigation did not fix an error on your report",
                    "Investigation took more than 30 days",
                    "Was not notified of investigation status or results",
                    (
                        "Difficulty submitting a dispute or getting information about a dispute"
                        " over the phone"
                    ),
                    "Problem with personal statement of dispute",
                ),
            ),
            "Unable to get your credit report or credit score": (
                21,
                (
                    "Other problem getting your report or credit score",
                    "Problem getting your free annual credit report",
                ),
            ),
            "Problem with fraud alerts or security freezes": (13, (None,)),
        },
        "Credit reporting, credit repair services, or other personal consumer reports",
    ),
    Product(
        "Debt collection",
        258,
        (
            "Resurgent Capital Services L.P.",
            "PORTFOLIO RECOVERY ASSOCIATES INC",
            "ENCORE CAPITAL GROUP INC.",
            "CCS Financial Services, Inc.",
            "TRANSWORLD SYSTEMS INC",
            "I.C. System, Inc.",
            "National Credit Systems,Inc.",
            "Hunter Warfield, Inc.",
            "CAINE & WEINER COMPANY, INC.",
            *SMALL_COMPANIES,
        ),
        {
            "I do not know": 87,
            "Other debt": 56,
            "Credit card debt": 54,
            "Medical debt": 24,
            "Auto debt": 10,
            "Telecommunications debt": 9,
            "Rental debt": 5,
            "Payday loan debt": 5,
            None: 2,
        },
        {
            "Attempts to collect debt not owed": (
                129,
                (
                    "Debt is not yours",
                    "Debt was result of identity theft",
                    "Debt was paid",
                    "Debt was already discharged in bankruptcy and is no longer owed",
                ),
            ),
            "Written notification about debt": (
                67,
                (
                    "Didn't receive enough information to verify debt",
                    "Notification didn't disclose it was an attempt to collect a debt",
                    "Didn't receive notice of right to dispute",
                ),
            ),
            "False statements or representation": (
                21,
                (
                    "Attempted to collect wrong amount",
                    "Impersonated attorney, law enforcement, or government official",
                ),
            ),
            "Took or threatened to take negative or legal action": (
                21,
                (
                    "Threatened or suggested your credit would be damaged",
                    "Sued you without properly notifying you of lawsuit",
                ),
            ),
            "Communication tactics": (
                15,
                (
                    "Frequent or repeated calls",
                    "You told them to stop contacting you, but they keep trying",
                    "Called before 8am or after 9pm",
                ),
            ),
        },
    ),
    Product(
        "Checking or savings account",
        134,
        _BANKS,
        {
            "Checking account": 109,
            "Savings account": 11,
            "Other banking product or service": 11,
            "CD (Certificate of Deposit)": 3,
        },
        {
            "Managing an account": (
                78,
                (
                    "Deposits and withdrawals",
                    "Problem using a debit or ATM card",
                    "Funds not handled or disbursed as instructed",
                    "Banking errors",
                ),
            ),
            "Closing an account": (
                18,
                ("Company closed your account", "Funds not received from closed account"),
            ),
            "Problem with a lender or other company charging your account": (
                16,
                (
                    "Transaction was not authorized",
                    "Can't stop withdrawals from your account",
                ),
            ),
            "Opening an account": (
                13,
                ("Account opened as a result of fraud", "Unable to open an account"),
            ),
            "Problem caused by your funds being low": (
                7,
                ("Overdrafts and overdraft fees", "Non-sufficient funds and associated fees"),
            ),
        },
    ),
    Product(
        "Credit card",
        152,
        _CARDS,
        {"General-purpose credit card or charge card": 139, "Store credit card": 18},
        {
            "Problem with a purchase shown on your statement": (
                36,
                (
                    (
                        "Credit card company isn't resolving a dispute about a purchase on your"
                        " statement"
                    ),
                    "Card was charged for something you did not purchase with the card",
                ),
            ),
            "Getting a credit card": (
                23,
                (
                    "Card opened without my consent or knowledge",
                    "Application denied",
                    "Delay in processing application",
                ),
            ),
            "Other features, terms, or problems": (
                16,
                ("Other problem", "Problem with rewards from credit card", "Privacy issues"),
            ),
            "Problem when making payments": (14, ("Problem during payment process",)),
            "Fees or interest": (13, ("Problem with fees", "Charged too much interest")),
            "Closing your account": (10, ("Company closed your account",)),
        },
        "Credit card or prepaid card",
    ),
    Product(
        "Mortgage",
        67,
        (
            "WELLS FARGO & COMPANY",
            "Mr. Cooper Group Inc.",
            "Freedom Mortgage Company",
            "Shellpoint Partners, LLC",
            "ROCKET MORTGAGE, LLC",
            "LoanCare, LLC",
            "RoundPoint Mortgage Servicing Corporation",
            "Juniper Street Mortgage, LLC",
            "GRANITE POST SERVICING, INC.",
        ),
        {
            "Conventional home mortgage": 41,
            "FHA mortgage": 12,
            "VA mortgage": 6,
            "Home equity loan or line of credit (HELOC)": 4,
            "Reverse mortgage": 1,
        },
        {
            "Trouble during payment process": (
                34,
                (
                    None,
                    "Escrow, taxes, or insurance",
                    (
                        "Trying to communicate with the company to fix an issue while managing or"
                        " servicing your loan"
                    ),
                    "Payment process",
                ),
            ),
            "Struggling to pay mortgage": (
                17,
                (
                    None,
                    (
                        "Trying to communicate with the company to fix an issue related to"
                        " modification, forbearance, short sale, deed-in-lieu, bankruptcy, or"
                        " foreclosure"
                    ),
                    "Foreclosure",
                ),
            ),
            "Applying for a mortgage or refinancing an existing mortgage": (
                8,
                (None, "Application denials", "Delays in the application process"),
            ),
            "Closing on a mortgage": (5, (None, "Delays with the closing process")),
        },
    ),
    Product(
        "Money transfer, virtual currency, or money service",
        42,
        (
            "Paypal Holdings, Inc",
            "Block, Inc.",
            "Coinbase, Inc.",
            "Early Warning Services, LLC",
            "JPMORGAN CHASE & CO.",
            "Copper Kettle Payments, LLC",
        ),
        {
            "Mobile or digital wallet": 15,
            "Domestic (US) money transfer": 12,
            "Virtual currency": 6,
            "International money transfer": 5,
            "Traveler\u2019s/Cashier\u2019s checks": 1,
            None: 1,
        },
        {
            "Fraud or scam": (18, (None,)),
            "Other transaction problem": (7, (None,)),
            "Unauthorized transactions or other transaction problem": (4, (None,)),
            "Money was not available when promised": (4, (None,)),
            "Confusing or missing disclosures": (2, (None,)),
        },
    ),
    Product(
        "Vehicle loan or lease",
        33,
        (
            "ALLY FINANCIAL INC.",
            "SANTANDER HOLDINGS USA, INC.",
            "CREDIT ACCEPTANCE CORPORATION",
            "TOYOTA MOTOR CREDIT CORPORATION",
            "General Motors Financial Company, Inc.",
            "HYUNDAI CAPITAL AMERICA",
            "Northfork Auto Finance Inc.",
        ),
        {"Loan": 29, "Lease": 4},
        {
            "Managing the loan or lease": (
                11,
                ("Billing problem", "Problem with fees charged", "Problem with the interest rate"),
            ),
            "Struggling to pay your loan": (
                6,
                (
                    "Denied request to lower payments",
                    "Lender trying to repossess or disable the vehicle",
                ),
            ),
            "Getting a loan or lease": (6, ("Fraudulent loan", "Credit denial")),
            "Repossession": (3, ("Notice to repossess", "Voluntary repossession")),
        },
    ),
    Product(
        "Student loan",
        31,
        (
            "MOHELA",
            "Nelnet, Inc.",
            "Maximus Education, LLC dba Aidvantage",
            "EdFinancial Services",
            "AES/PHEAA",
        ),
        {"Federal student loan servicing": 24, "Private student loan": 7},
        {
            "Dealing with your lender or servicer": (
                23,
                (
                    "Trouble with how payments are being handled",
                    "Received bad information about your loan",
                    "Problem with customer service",
                ),
            ),
            "Struggling to repay your loan": (
                5,
                (
                    "Can't get other flexible options for repaying your loan",
                    "Problem with forgiveness, cancellation, or discharge",
                ),
            ),
            "Getting a loan": (1, ("Denied loan", None)),
        },
    ),
    Product(
        "Payday loan, title loan, personal loan, or advance loan",
        21,
        (
            "ENOVA INTERNATIONAL, INC.",
            "Affirm Holdings, Inc",
            "OneMain Finance Corporation",
            "Willowbend Advance, LLC",
            "BLUE MESA LENDING Group LLC",
        ),
        {
            "Installment loan": 10,
            "Personal line of credit": 5,
            "Payday loan": 3,
            "Title loan": 2,
            "Earned wage access": 1,
        },
        {
            "Charged fees or interest you didn't expect": (5, (None,)),
            "Struggling to pay your loan": (3, ("Denied request to lower payments", None)),
            "Problem with the payoff process at the end of the loan": (2, (None,)),
            "Getting the loan": (2, (None,)),
        },
        "Payday loan, title loan, or personal loan",
    ),
    Product(
        "Prepaid card",
        10,
        ("Comerica", "GREEN DOT CORPORATION", "NETSPEND CORPORATION", "U.S. BANCORP"),
        {
            "General-purpose prepaid card": 4,
            "Government benefit card": 2,
            "Gift card": 1,
            "Payroll card": 1,
        },
        {
            "Trouble using the card": (
                6,
                (
                    "Trouble using the card to spend money in a store or online",
                    "Trouble getting information about the card",
                ),
            ),
            "Problem with a purchase or transfer": (
                4,
                ("Card company isn't resolving a dispute about a purchase or transfer",),
            ),
        },
        "Credit card or prepaid card",
    ),
    Product(
        "Debt or credit management",
        3,
        ("Freedom Financial Network, LLC", "Quill & Anchor Financial, LLC"),
        {"Debt settlement": 2, "Credit repair services": 1},
        {
            "Didn't provide services promised": (2, (None,)),
            "Confusing or misleading advertising or marketing": (1, (None,)),
        },
        "Credit reporting, credit repair services, or other personal consumer reports",
    ),
)

ISSUES_UNTIL_2023 = {
    "Problem with a company's investigation into an existing problem": (
        "Problem with a credit reporting company's investigation into an existing problem"
    ),
}

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

# "In progress" is the eighth: it depends on how recent the complaint is.
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
    """A state as the database writes it, with the first and the last of its ZIP areas."""

    name: str | None
    weight: int
    first_area: int
    last_area: int


def _states(table: str) -> tuple[State, ...]:
    rows = (entry.split() for entry in table.split(","))
    return tuple(State(name, int(weight), int(a), int(z)) for name, weight, a, z in rows)


# Weights are the thousands of 2024-11; the smallest are raised so that each state occurs.
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
