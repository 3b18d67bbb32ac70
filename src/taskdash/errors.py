"""Every error that a user of TaskDash can meet: its errid (SPEC 5), its HTTP status (SPEC 8) and one sentence.

A refusal is a value inside `rules`, one of these inside `actions` and `store`, and an errid or a problem+json only at an
entrance. `str(error)` is the sentence; `field` names what was wrong when one field was.
"""

from typing import Any, ClassVar


class TaskDashError(Exception):
    """One sentence for a person, and the codes of the ports that may have to say it."""

    errid: ClassVar[int] = 1000
    status: ClassVar[int] = 422
    title: ClassVar[str] = "Bad request"

    def __init__(self, detail: str, *, field: str | None = None, **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field
        self.extra = extra


class BadJson(TaskDashError):
    """The bytes are not the JSON that SPEC 1 allows."""

    status = 400
    title = "Not valid JSON"


class BadField(TaskDashError):
    """A field breaks a rule of SPEC 1; `field` names it."""

    title = "A field breaks a rule"


class BadCursor(TaskDashError):
    """A cursor that this server did not make (SPEC 8)."""

    status = 400
    title = "Unknown cursor"


class VersionMissing(TaskDashError):
    """A change that needs the `version` the caller saw (SPEC 6)."""

    status = 428
    title = "Version required"


class Conflict(TaskDashError):
    """A lost claim or an old version; extra carries `holder` and `task` (SPEC 8)."""

    status = 409
    title = "Lost or out of date"


class UnknownTask(TaskDashError):
    """Update, Find or claim of an id that is not stored (SPEC 5)."""

    errid, status, title = 1002, 404, "No such task"


class NotFound(TaskDashError):
    """Not there, or not to be seen by this caller (SPEC 6)."""

    status, title = 404, "Not found"


class Forbidden(TaskDashError):
    """May be seen but not done by this caller (SPEC 6)."""

    status, title = 403, "Not allowed"


class Unauthorized(TaskDashError):
    """No sign-in, or a bad one (SPEC 5, 8)."""

    errid, status, title = 1003, 401, "Sign in first"


class TooMany(TaskDashError):
    """Slowed down (RELIABILITY R152); extra may carry `retry_after_s`."""

    status, title = 429, "Too many requests"


class Busy(TaskDashError):
    """A bounded part has no room now; try again (RELIABILITY R151)."""

    status, title = 503, "Busy"


class StoreRefused(TaskDashError):
    """The store refused or cannot be reached; nothing of the request was kept (SPEC 5)."""

    errid, status, title = 1001, 503, "The store refuses"


class RowRefused(StoreRefused):
    """The store is well, but cannot keep what was asked: a value, or a rule between rows."""


class OutcomeUnknown(StoreRefused):
    """The store was lost while it was to commit: the change was kept or was not (RELIABILITY R32)."""

    title = "Nobody knows whether it was kept"


class NotShown(StoreRefused):
    """The change was kept; the store was lost before what it made could be read for the answer (RELIABILITY R2)."""

    title = "Kept, but not shown"


class LeaseLost(TaskDashError):
    """Another instance has taken over what this one was doing; nothing was kept."""

    status, title = 503, "Done by another instance"


class StartRefused(Exception):
    """`taskdash` cannot start: one sentence that names the setting, path or address. Exit status in `code` (SPEC 9)."""

    def __init__(self, sentence: str, code: int = 1) -> None:
        super().__init__(sentence)
        self.code = code
