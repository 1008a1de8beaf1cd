"""Load CFPB's consumer complaints into a SQLite file, and verify what was loaded."""

__version__: str


def __getattr__(name: str) -> str:
    """Return the version. Looking it up takes 0.1 s, in which Ctrl-C would show a traceback."""
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415

        return version("cfpb-etl")
    raise AttributeError(name)
