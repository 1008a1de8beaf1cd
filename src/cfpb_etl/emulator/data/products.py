"""The products that the made complaints are about, read from products.toml beside this file."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple


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

ISSUES_UNTIL_2023 = {
    "Problem with a company's investigation into an existing problem": (
        "Problem with a credit reporting company's investigation into an existing problem"
    ),
}


@cache
def products() -> tuple[Product, ...]:
    """Return the products, the commonest first."""
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
