"""A child process for tests: it prints a line, and then runs until its parent ends."""

import threading

from cfpb_etl.child_process import exit_with_parent

if __name__ == "__main__":
    exit_with_parent()
    print("ready", flush=True)
    threading.Event().wait()
