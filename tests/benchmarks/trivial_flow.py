"""A minimal Prefect flow of three tasks, to time beside this program."""

from prefect import flow, task


@task
def get() -> int:
    """Return a number."""
    return 1


@task
def parse(raw: int) -> int:
    """Return the next number."""
    return raw + 1


@task
def store(parsed: int) -> int:
    """Return the next number."""
    return parsed + 1


@flow
def trivial() -> int:
    """Pass a number from task to task."""
    return store(parse(get()))


if __name__ == "__main__":
    trivial()
