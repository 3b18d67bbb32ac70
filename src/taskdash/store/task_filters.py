"""What a caller wants of the task list. SPEC 8 (GET /tasks), 6 (access.visibility)."""

from msgspec import Struct

NONE = "none"
"""As user, group, service or liveness: those without one."""


class Visible(Struct, frozen=True):
    """Only the tasks of these groups, without group, or of this user (SPEC 6, access.visibility)."""

    user: str
    groups: tuple[str, ...]


class Filters(Struct, frozen=True, kw_only=True):
    """What is wanted; empty or None: no matter. Several values of one filter are alternatives."""

    status: tuple[str, ...] = ()
    service: tuple[str, ...] = ()
    user: tuple[str, ...] = ()
    group: tuple[str, ...] = ()
    liveness: tuple[str, ...] = ()
    schedule: tuple[str, ...] = ()
    q: str = ""
    stale: bool | None = None
    at_risk: bool | None = None
    gone: bool = False
    visible_to: Visible | None = None
