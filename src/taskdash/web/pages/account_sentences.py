"""Why a change of an account was refused, in the reader's language. Pure. UI 9."""

from taskdash.errors import BadField, Conflict, Forbidden, NotFound, TaskDashError
from taskdash.web.pages import sentences
from taskdash.web.pages.render import View
from taskdash.web.pages.texts import mark

_LAST_ADMIN = mark("This is the last admin, who cannot be disabled or given another role. Make somebody else an admin first.")
_OF_FIELDS = {
    "password": mark("A password has at least 12 characters and is not a common one, nor little more than the name."),
    "new": mark("A password has at least 12 characters and is not a common one, nor little more than the name."),
    "name": mark("A name has 1 to 256 characters, none of them invisible, and does not begin or end with a space."),
    "id": mark("An id has 1 to 256 characters, none of them invisible, and does not begin or end with a space."),
    "groups": mark("One of these groups is not there any more; look again."),
    "role": mark("A token cannot have more than the role of its user."),
    "until": mark("The end must be a date and a time, later than now."),
    "away_until": mark("The end must be a date and a time, later than now."),
    "old": mark("The old password is wrong."),
}
_CONFLICTS = {
    "name": mark("There is a user of that name already."),
    "id": mark("There is a group with that id already."),
    "token": mark("This token was made already; its text is shown only once."),
    "last_admin": _LAST_ADMIN,
}


def why_not(view: View, error: TaskDashError) -> str:
    """One sentence."""
    field, texts = error.field or "", view.texts
    if isinstance(error, Conflict) and field in _CONFLICTS:
        return texts(_CONFLICTS[field])
    if isinstance(error, NotFound) and field == "user":
        return texts("There is no such user.")
    if isinstance(error, BadField | Forbidden) and field in _OF_FIELDS:
        return texts(_OF_FIELDS[field])
    return sentences.sentence(view, error)


def last_admin(view: View) -> str:
    """Why the last admin stays as they are."""
    return view.texts(_LAST_ADMIN)
