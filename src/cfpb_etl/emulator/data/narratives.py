"""Generates narratives that resemble published narratives.

Published narratives have paragraphs, strings of X instead of names, amounts such as {$120.00}, and
dates such as XX/XX/2024. Many are copies of template letters (docs/facts.md, "Narratives").
"""

from random import Random

_LETTERS = (
    (
        "In accordance with the Fair Credit Reporting Act, the accounts below were furnished"
        " without my consent, which violates my right to privacy under 15 USC 1681.\n\n"
        "XXXX XXXX XXXX has no permissible purpose to report them. I demand that they be deleted"
        " within 30 days."
    ),
    (
        "I am writing about items on my credit report that I do not recognize. I authorized none"
        " of them.\n\n1. XXXX XXXX, balance {$1240.00}\n2. XXXX, balance {$310.00}\n\n"
        "Please block this information within four business days, as the law requires."
    ),
    (
        "This is my third request. The accounts listed are the result of identity theft, and I have"
        " attached my report and my identification. Kindly remove them.\n\nThank you,\nXXXX XXXX"
    ),
)

_OPENINGS = (
    "On XX/XX/{year} I called {company} about my account ending in XXXX.",
    "I have been a customer of {company} since XX/XX/{year} and never had a problem until now.",
    "My husband and I opened this account on XX/XX/XXXX.",
    "{company} refuses to help me.",
    "I don\u2019t know where to begin — this has been going on since XX/XX/{year}.",
    "I received a letter from XXXX XXXX dated XX/XX/{year} that makes no sense to me.",
)

_MIDDLES = (
    "They charged me {{${amount}.00}} without any notice.",
    "The representative, XXXX, said it would be fixed in 7 to 10 business days.",
    "I sent the documents by certified mail and have the receipt.",
    "Nobody called back, although I was told “someone will be in touch”.",
    "When I asked for a supervisor I was put on hold for an hour & then cut off.",
    "The balance now shows {{${amount}.00}}, but I paid {{${paid}.50}} on XX/XX/{year}.",
    "I disputed it with all three bureaus and it came back as “verified” each time.",
    "My score fell by {points} points because of this.",
    "I was at the XXXX XXXX café in XXXX when the charge was made in another state.",
    "I've asked for proof that the debt is mine and got nothing.",
    "They keep calling my job, which I told them not to do.",
    "It is now past 30 days.",
)

_CLOSINGS = (
    "I want this corrected and my {{${amount}.00}} returned.",
    "Please help.",
    "I would like a written answer from {company}.",
    "All I ask is that the account is reported correctly.",
    "Gracias por su ayuda, señores.",
)


def generate_narrative(rng: Random, company: str, year: str) -> str:
    """Return a narrative about a company, with dates in the given year."""
    if rng.random() < 1 / 3:
        return rng.choice(_LETTERS)
    middles = min(1 + int(rng.expovariate(1 / 4)), len(_MIDDLES))
    sentences = (
        rng.choice(_OPENINGS),
        *rng.sample(_MIDDLES, k=middles),
        rng.choice(_CLOSINGS),
    )
    text = sentences[0]
    for number, sentence in enumerate(sentences[1:], start=1):
        text += ("\n\n" if number % 4 == 0 else " ") + sentence
    return text.format(
        company=company,
        year=year,
        amount=rng.randrange(10, 9_000),
        paid=rng.randrange(10, 9_000),
        points=rng.randrange(5, 160),
    )
