"""The products of the generated complaints, read from products.toml in this folder."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple


class Product(NamedTuple):
    """A product of the complaint form, with its companies, sub-products and issues."""

    name: str
    weight: int
    companies: tuple[str, ...]
    sub_products: Mapping[str | None, int]
    issues: Mapping[str, tuple[int, tuple[str | None, ...]]]
    """Each issue's weight and its sub-issues, the most frequent sub-issue first."""
    name_until_2023: str | None = None
    """The product's name before the form changed on 2023-08-24; None if the name did not change."""


# Invented names, spelled in as many ways as real names.
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

ISSUES_UNTIL_2023 = {
    "Problem with a company's investigation into an existing problem": (
        "Problem with a credit reporting company's investigation into an existing problem"
    ),
}


@cache
def products() -> tuple[Product, ...]:
    """Return the products, the most frequent first."""
    table = files(__package__).joinpath("products.toml").read_text("utf-8")
    return tuple(_product(entry) for entry in tomllib.loads(table)["product"])


def _product(entry: Mapping[str, Any]) -> Product:
    small = SMALL_COMPANIES if entry.get("small_companies") else ()
    return Product(
        entry["name"],
        entry["weight"],
        (*entry["companies"], *small),
        {name or None: weight for name, weight in entry["sub_products"].items()},
        {
            issue["name"]: (issue["weight"], tuple(name or None for name in issue["sub_issues"]))
            for issue in entry["issues"]
        },
        entry.get("name_until_2023"),
    )
