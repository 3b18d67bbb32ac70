"""Which word, colour and shape a status, a state, a reason or a kind of event has. UI 4 and 9. Pure.

State is shape + word + colour, never colour alone; a word that TaskDash does not know is shown as it is, with a ring.
"""

from collections.abc import Mapping
from typing import NamedTuple

from taskdash.web.pages.texts import mark


class Word(NamedTuple):
    """Colour (class of the style sheet), shape (symbol of the sprite), and the English word."""

    tone: str
    icon: str
    text: str
    known: bool = True
    whole: str = ""
    """The whole text of a word that was cut."""


STATUSES = {
    "running": Word("ok", "run", mark("Running")),
    "failed": Word("er", "x", mark("Failed")),
    "restart": Word("wa", "tri", mark("Restarting")),
    "waiting": Word("nu", "ring", mark("Waiting")),
    "finish": Word("nu", "tick", mark("Finished")),
    "paused": Word("nu", "bars", mark("Paused")),
    "shutdown": Word("nu", "square", mark("Shut down")),
}
STATES = {
    "up": Word("ok", "disc", mark("Up")),
    "late": Word("wa", "tri", mark("Late")),
    "down": Word("er", "x", mark("Down")),
    "unknown": Word("un", "diamond", mark("Unknown")),
    "new": Word("nu", "ring", mark("New")),
    "left": Word("nu", "square", mark("Left")),
    "paused": Word("nu", "bars", mark("Muted")),
}
INCIDENTS = {
    "down": Word("er", "x", mark("Down")),
    "flapping": Word("wa", "tri", mark("Flapping")),
    "clash": Word("wa", "tri", mark("Id clash")),
    "collect": Word("wa", "tri", mark("Collecting fails")),
    "input": Word("un", "diamond", mark("Input lost")),
    "dead_letters": Word("wa", "tri", mark("Dead letters")),
    "store": Word("er", "x", mark("Storage fails")),
}
REASONS = {
    "late": Word("wa", "tri", mark("service late, still runs")),
    "down": Word("er", "x", mark("service down")),
    "unknown": Word("un", "diamond", mark("service unknown")),
    "stale": Word("wa", "tri", mark("stale")),
    "failed": Word("er", "x", mark("failed")),
    "should_run": Word("wa", "tri", mark("should run")),
    "disabled": Word("wa", "user", mark("owner disabled")),
    "away": Word("wa", "user", mark("owner away")),
}
KINDS = {
    "task.registered": Word("nu", "plus", mark("first reported")),
    "task.changed": Word("nu", "right", mark("changed")),
    "task.gone": Word("nu", "square", mark("gone")),
    "task.back": Word("ok", "disc", mark("back")),
    "task.claimed": Word("nu", "user", mark("claimed")),
    "task.assigned": Word("nu", "user", mark("assigned")),
    "task.released": Word("nu", "left", mark("released")),
    "task.pinned": Word("nu", "pin", mark("pinned")),
    "task.unpinned": Word("nu", "pin", mark("unpinned")),
    "task.handed_over": Word("nu", "right", mark("handed over")),
    "task.transferred": Word("nu", "right", mark("transferred")),
    "task.removed": Word("nu", "x", mark("removed")),
    "service.registered": Word("nu", "plus", mark("registered")),
    "service.changed": Word("nu", "right", mark("changed")),
    "service.state": Word("nu", "right", mark("state")),
    "service.paused": Word("nu", "bars", mark("muted")),
    "service.archived": Word("nu", "square", mark("archived")),
    "service.back": Word("ok", "disc", mark("back")),
    "service.removed": Word("nu", "x", mark("removed")),
    "incident.opened": Word("er", "x", mark("opened")),
    "incident.acknowledged": Word("nu", "tick", mark("acknowledged")),
    "incident.resolved": Word("ok", "tick", mark("resolved")),
    "session.began": Word("nu", "user", mark("signed in")),
    "session.ended": Word("nu", "left", mark("signed out")),
    "session.refused": Word("wa", "tri", mark("sign-in refused")),
    "user.added": Word("nu", "plus", mark("added")),
    "user.changed": Word("nu", "user", mark("changed")),
    "user.disabled": Word("wa", "user", mark("disabled")),
    "user.password_changed": Word("nu", "user", mark("new password")),
    "group.added": Word("nu", "plus", mark("added")),
    "group.changed": Word("nu", "right", mark("changed")),
    "token.created": Word("nu", "plus", mark("created")),
    "token.revoked": Word("nu", "x", mark("revoked")),
    "store.opened": Word("nu", "disc", mark("TaskDash started")),
    "store.restored": Word("wa", "right", mark("backup restored")),
}
SUBJECTS = {
    "task": mark("task"),
    "service": mark("service"),
    "incident": mark("incident"),
    "user": mark("user"),
    "group": mark("group"),
    "token": mark("token"),
    "session": mark("session"),
    "system": mark("system"),
}
ROLES = {"viewer": mark("viewer"), "member": mark("member"), "lead": mark("lead"), "admin": mark("admin")}
FIELDS = {
    "user": mark("owner"),
    "group_id": mark("group"),
    "pinned": mark("pinned"),
    "until": mark("until"),
    "status": mark("status"),
    "state": mark("state"),
    "name": mark("name"),
    "url": mark("url"),
    "description": mark("description"),
    "reserved": mark("reserved"),
    "start_time": mark("start"),
    "stop_time": mark("stop"),
    "service_id": mark("service"),
    "version": mark("version"),
    "reason": mark("reason"),
    "role": mark("role"),
    "gone": mark("gone"),
    "stale": mark("stale"),
    "away_until": mark("away until"),
    "language": mark("language"),
    "groups": mark("groups"),
    "disabled": mark("disabled"),
    "flapping": mark("flapping"),
}

SCRIPT = {
    "s": mark("%(n)s s"),
    "min": mark("%(n)s min"),
    "h": mark("%(n)s h"),
    "d": mark("%(n)s d"),
    "min s": mark("%(m)s min %(s)s s"),
    "h min": mark("%(h)s h %(m)s min"),
    "d h": mark("%(d)s d %(h)s h"),
    "ago": mark("%(time)s ago"),
    "live": mark("Live"),
    "lost": mark("Reconnecting"),
    "connecting": mark("Connecting"),
    "ended": mark("Session ended"),
    "lost at": mark("The connection is lost; what you see is of %(at)s."),
    "stopped": mark("showing %(at)s"),
    "disconnected": mark("Disconnected %(time)s; showing %(at)s. Try %(n)s."),
    "unreachable": mark("TaskDash cannot be reached; nothing is known to have changed."),
    "failed": mark("That did not work; nothing is known to have changed."),
    "refuses": mark("Cannot save now; nothing was changed."),
    "again": mark("Try again"),
    "copied": mark("Copied: %(what)s"),
    "update": mark("%(n)s update"),
    "updates": mark("%(n)s updates"),
    "just now": mark("just now"),
    "unmatched": mark("no longer matches"),
    "kept one": mark("%(n)s no longer matches, kept until you apply"),
    "kept": mark("%(n)s no longer match, kept until you apply"),
    "picked one": mark("%(n)s selected"),
    "picked": mark("%(n)s selected"),
    "picked all": mark("All %(n)s that the filter finds"),
    "all unowned": mark("all unowned"),
    "all of": mark("all held by %(who)s"),
    "in group": mark("of the group %(group)s"),
}
"""What scripts say, by the name that they use."""


def word(table: Mapping[str, Word], key: str) -> Word:
    """The known word, or the text itself, grey with a ring, cut at 24 characters (UI 4)."""
    return table.get(key) or Word("nu", "ring", key if len(key) <= 24 else key[:23] + "…", False, key)


def status(key: str, *, stale: bool) -> Word:
    """A task's status; a stale one is never green: running in outline, grey (UI 1.2)."""
    known = word(STATUSES, key)
    if stale and known.tone == "ok":
        return known._replace(tone="nu", icon="run-stale")
    return known
