"""What is wrong with one task, in sentences: what, the evidence, how long it should still run. Pure. UI 6 (Task)."""

from collections.abc import Sequence
from typing import NamedTuple

from taskdash.model.records import Service, Task
from taskdash.rules.risk import BLIND, ILL
from taskdash.store.task_page import TaskRow
from taskdash.web.pages import task_day, times, words
from taskdash.web.pages.render import View
from taskdash.web.pages.task_rows import Said
from taskdash.web.pages.texts import Texts, mark

_SINCE = {
    "late": mark("Service %(service)s is late since %(time)s"),
    "down": mark("Service %(service)s is down since %(time)s"),
    "unknown": mark("Service %(service)s is unknown since %(time)s"),
    "left": mark("Service %(service)s said goodbye at %(time)s"),
}


class Trouble(NamedTuple):
    """The card: its colour, the sentence, what proves it."""

    cls: str
    sentence: str
    evidence: str


def trouble_of(view: View, row: TaskRow, said: Sequence[Said], service: Service | None) -> Trouble | None:
    """None when nothing is wrong."""
    if not row.why:
        return None
    reasons: list[str] = [each.reason for each in row.why]
    cls = "bad" if any(each.tone == "er" for each in said) or ("stale" in reasons and not row.task.user) else "watch"
    evidence = [_service(view, service), _last_known(view, row, service), _still(view, row.task)]
    told = [each for each in evidence if each]
    proof = task_day.joined(view.texts, told) if told else ""
    return Trouble(cls, _sentence(view.texts, reasons, unowned=not row.task.user), proof)


def _sentence(texts: Texts, reasons: Sequence[str], *, unowned: bool) -> str:
    if "failed" in reasons:
        return texts("It failed, and nobody holds it") if unowned else texts("It failed")
    if "should_run" in reasons:
        return texts("It should run now, and does not")
    if "stale" in reasons:
        both = texts("Nobody holds it, and its present state cannot be seen")
        return both if unowned else texts("Its present state cannot be seen")
    if "late" in reasons:
        return texts("Its service is late, but its url still answers")
    return texts("Whoever holds it is away")


def _service(view: View, service: Service | None) -> str:
    if service is None or service.state not in ILL | BLIND:
        return ""
    since = view.texts(_SINCE[service.state], service=service.id, time=task_day.clock(view, service.since))
    told = view.texts.told(service.evidence)
    said = view.texts("%(since)s: %(evidence)s", since=since, evidence=told) if told else since
    return said if said.endswith((".", "。")) else view.texts("%(what)s.", what=said)


def _last_known(view: View, row: TaskRow, service: Service | None) -> str:
    if not row.stale:
        return ""
    status = words.word(words.STATUSES, row.task.status)
    at = task_day.clock(view, task_day.known_at(row.task, service))
    shown = view.texts(status.text) if status.known else status.text
    return view.texts("“%(status)s” is what was last known, at %(time)s.", status=shown, time=at)


def _still(view: View, task: Task) -> str:
    """How long it should still run."""
    end = task_day.open_until(view, task)
    if end is None or task.status == "finish":
        return ""
    left = times.alarming(view.texts, view.now, end)
    return view.texts("Its window is open until %(time)s: %(left)s to go.", time=task_day.minute(view, end), left=left)
