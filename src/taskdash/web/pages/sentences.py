"""What went wrong, as one sentence in the reader's language: what happened, before what to do. UI 6 (states), UI 9. Pure."""

from collections.abc import Sequence

from taskdash.actions.bulk import Result
from taskdash.errors import (
    Busy,
    Conflict,
    Forbidden,
    NotFound,
    StoreRefused,
    TaskDashError,
    TooMany,
    UnknownTask,
    VersionMissing,
)
from taskdash.model.instants import parse_rfc3339
from taskdash.web.pages import times
from taskdash.web.pages.render import Flash, View
from taskdash.web.pages.texts import Texts

_MOST_NAMED = 8


def problem(view: View, error: TaskDashError) -> tuple[str, str]:
    """(title, sentence) of a page that cannot be shown."""
    texts = view.texts
    if isinstance(error, NotFound | UnknownTask):
        return texts("Not found"), texts("It is not there, or you may not see it.")
    if isinstance(error, Forbidden):
        return texts("Not allowed"), " ".join([texts("You may see this, but not do it."), _whole(texts, error)])
    return texts("That did not work"), sentence(view, error)


def sentence(view: View, error: TaskDashError, task_id: str = "") -> str:
    """One sentence. A lost race names who was faster and when."""
    texts = view.texts
    if isinstance(error, Conflict):
        return _lost(view, error, task_id)
    if isinstance(error, StoreRefused | Busy):
        return texts("Cannot save now; nothing was changed.")
    if isinstance(error, UnknownTask | NotFound):
        gone = texts("%(id)s is not there any more.", id=task_id)
        return gone if task_id else texts("It is not there, or you may not see it.")
    if isinstance(error, VersionMissing):
        return texts("This page is out of date; look again and repeat it.")
    if isinstance(error, TooMany):
        return texts("Too many tries; wait %(n)s s.", n=int(error.extra.get("retry_after_s") or 1))
    said = _whole(texts, error) if isinstance(error, Forbidden) else texts.told(error.detail)
    return texts("%(id)s: %(why)s", id=task_id, why=said) if task_id else said


def _whole(texts: Texts, error: Forbidden) -> str:
    """What an error says, as a whole sentence."""
    said = texts.told(error.detail)
    return texts("%(sentence)s.", sentence=said[:1].upper() + said[1:])


def _lost(view: View, error: Conflict, task_id: str) -> str:
    texts, holder = view.texts, error.extra.get("holder") or {}
    who, since = holder.get("user") or "", holder.get("since")
    if not who:
        changed = texts("%(id)s was changed meanwhile; nothing was done.", id=task_id)
        return changed if task_id and "task" in error.extra else texts.told(error.detail)
    if since is None:
        return texts("%(id)s belongs to %(who)s; nothing was changed.", id=task_id, who=who)
    ago = times.ago(texts, parse_rfc3339(since), view.now)
    return texts("%(who)s has %(id)s since %(time)s; nothing was changed.", who=who, id=task_id, time=ago)


def of_many(view: View, done: str, results: Sequence[Result]) -> Flash:
    """What became of many: how many were done, and for each other one why not. `done`: with the number of those done."""
    refused = [result for result in results if result.error is not None]
    if not refused:
        return Flash("ok", done)
    told = [sentence(view, result.error, result.id) for result in refused[:_MOST_NAMED] if result.error]
    more = _more(view.texts, len(refused) - len(told))
    return Flash("er", " ".join([done, *told, *more])[:700])


def _more(texts: Texts, n: int) -> list[str]:
    return [texts.plural("%(n)s more was not done.", "%(n)s more were not done.", n)] if n > 0 else []
