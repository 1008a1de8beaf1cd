"""The command line and its terminal."""

from typing import NoReturn


def start() -> NoReturn:
    """Run the command line of this process."""
    # The handlers come before the other imports, which take a moment that Ctrl-C can hit.
    from cfpb_etl.cli.signals import exit_when_interrupted

    exit_when_interrupted()

    from cfpb_etl.cli.main import main

    main()
