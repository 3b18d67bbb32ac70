"""Answers to changes that were kept. Law: a refusal that says "nothing was kept" never follows a commit (RELIABILITY R2)."""

from collections.abc import Iterator
from contextlib import contextmanager

from taskdash.errors import Busy, NotShown, StoreRefused


@contextmanager
def shown() -> Iterator[None]:
    """Around the reading of what a change has made. Raises NotShown where the store refuses it."""
    try:
        yield
    except (Busy, StoreRefused):
        raise NotShown(
            "the change was kept, but the store was lost before it could be shown: look before you repeat it"
        ) from None
