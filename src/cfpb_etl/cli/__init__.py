"""The command line and its output in the terminal."""

from typing import NoReturn


def start() -> NoReturn:
    """Parse this process's arguments and run the command."""
    # The signal handlers come first, because Ctrl-C can interrupt the slow imports below.
    from cfpb_etl.cli.signals import exit_when_interrupted

    exit_when_interrupted()

    from cfpb_etl.cli.streams import open_missing_streams

    open_missing_streams()

    from cfpb_etl.cli.main import main

    main()
