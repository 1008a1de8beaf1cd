"""The least that a Prefect flow of three tasks can be, to be timed beside ours."""

from prefect import flow, task


@task
def get() -> int:
    """Return a number."""
    return 1


@task
def parse(raw: int) -> int:
    """Return another."""
    return raw + 1


@task
def store(parsed: int) -> int:
    """Return a third."""
    return parsed + 1


@flow
def trivial() -> int:
    """Hand a number on."""
    return store(parse(get()))


if __name__ == "__main__":
    trivial()
