"""Id clashes as both services see them: who reports a task id that another one owns (SPEC 4). No decisions."""

from collections.abc import Iterable

from sqlalchemy import Connection, or_, select

from taskdash.store.tables import clashes, services, tasks

MOST = 500


def of_services(conn: Connection, ids: Iterable[str]) -> dict[str, list[tuple[str, str]]]:
    """(task id, one sentence) a clash, by service id; for the one that owns the task and for the one that reports it too."""
    wanted = set(ids)
    owner = tasks.c.service_id
    query = select(clashes.c.task_id, clashes.c.service_id, owner).join(tasks, tasks.c.id == clashes.c.task_id)
    query = query.join(services, services.c.id == clashes.c.service_id).where(services.c.archived_at.is_(None))
    query = query.where(or_(clashes.c.service_id.in_(wanted), owner.in_(wanted))).order_by(clashes.c.task_id).limit(MOST)
    found: dict[str, list[tuple[str, str]]] = {}
    for task_id, reporter, holder in conn.execute(query):
        if reporter in wanted:
            found.setdefault(reporter, []).append((task_id, f"belongs to the service {holder}, which reported it first"))
        if holder in wanted:
            found.setdefault(holder, []).append((task_id, f"the service {reporter} reports this id too"))
    return found
