"""A site with something of everything on it, for tests in a browser."""

from typing import Any

from taskdash.actions import accounts as account_actions
from taskdash.actions.accounts import UserChange
from taskdash.model.instants import seconds
from taskdash.model.records import SYSTEM, DeadLetter, Incident, NewEvent, Service, Task
from taskdash.store import dead_letters, events, incidents, senders, services, tasks
from tests.journeys.http import Site

HOSTILE = '<script>document.title="owned"</script><img src=x onerror=alert(1)>"\'&'
BACKWARDS = "invoice \u202egnp.exe"
_NAMES = (
    "外汇牌价",
    "日终对账",
    "账单推送",
    "手续费结算",
    "订单拉取 华南",
    "Invoices",
    "退款重试",
    "A rather long English task name",
    "公告抓取",
)
_STATUSES = ("running", "failed", "running", "waiting", "finish", "restart", "paused", "shutdown", "sleeping-deeply")
_STATES = (("billing", "计费结算", "down"), ("crawler-b", "行情采集 B", "late"), ("etl-night", "夜间 ETL", "unknown"))
_EVIDENCE = {
    "down": "no beat for 31 s, and its url, asked at once, refused the connection",
    "late": "no beat for 4 min 16 s, but its url answered in 12 ms",
    "unknown": "input nsq is back only since 14:30:02",
}


async def people(site: Site) -> None:
    """Accounts of each role; all have the same password."""
    await site.account("ssx", "lead", ("pay", "mx"))
    await site.account("zxf", "member", ("pay",))
    await site.account("vic", "viewer")
    await site.account("root", "admin", ("pay", "mx", "data"))
    await site.account("wsg", "member", ("mx",))
    now = site.web.clock.now()
    away = UserChange(away_until=now + seconds(86_400))
    await site.db.write(lambda conn: account_actions.change_user(conn, SYSTEM, "wsg", away, now))


async def fill(site: Site, count: int = 60) -> None:
    """Services in every state, tasks in every status, an incident, history, a sender that never registered."""
    await people(site)
    now = site.web.clock.now()
    await site.db.write(lambda conn: services.save(conn, _services(now)))
    await site.db.write(lambda conn: tasks.save(conn, [(None, task) for task in _tasks(now, count)]))
    await site.db.write(lambda conn: incidents.save(conn, [_incident(now)]))
    await site.db.write(lambda conn: events.append(conn, _history(now)))
    await site.db.write(lambda conn: _sender(conn, now))
    await site.db.write(lambda conn: dead_letters.append(conn, [_letter(now, n) for n in range(3)]))


def _services(now: int) -> list[Service]:
    known: dict[str, Any] = {
        "registered_at": now - seconds(90_000),
        "created_at": now - seconds(90_000),
        "updated_at": now,
        "interval_s": 10.0,
    }
    ill = [
        Service(
            id=key,
            name=name,
            state=state,  # type: ignore[arg-type]
            evidence=_EVIDENCE[state],
            since=now - seconds(221),
            last_beat_at=now - seconds(252),
            last_known="up" if state == "unknown" else "",
            beat_bits=(1 << 30) - 1,
            beat_known=(1 << 30) - 1,
            url="http://10.0.3.8:8080/v1/task",
            collect_ok=state != "down",
            collect_error="connection refused" if state == "down" else "",
            collect_error_at=now - seconds(200),
            collect_took_ms=12.0,
            **known,
        )
        for key, name, state in _STATES
    ]
    fine = [
        Service(
            id=key,
            name=name,
            state="up",
            since=now - seconds(3_600),
            last_beat_at=now - seconds(4),
            beat_bits=(1 << 30) - 1,
            beat_known=(1 << 30) - 1,
            flapping=key == "order-sync",
            collect_ok=True,
            collect_took_ms=16.0,
            url="http://10.0.3.9:8080/tasks",
            **known,
        )
        for key, name in (("order-sync", "订单同步"), ("report-gen", "报表生成"))
    ]
    paused = Service(
        id="backup",
        name="数据备份",
        state="paused",
        since=now,
        pause_reason="upgrade",
        paused_by="ssx",
        last_known="up",
        **known,
    )
    return [*ill, *fine, paused, Service(id="push-gw-2", name="推送网关 2", state="new", since=now, **known)]


def _tasks(now: int, count: int) -> list[Task]:
    return [_task(n, now) for n in range(count)]


def _task(n: int, now: int) -> Task:
    key = f"{1000 + n}"
    return Task(
        id="jobs/2024/a b" if n == 4 else key,
        name=HOSTILE if n == 7 else BACKWARDS if n == 8 else _NAMES[n % len(_NAMES)],
        url="http://10.0.3.8:8080/v1/task/1001" if n % 3 else "",
        description=HOSTILE if n == 7 else "每日结算后核对三方账单，差异写入差错表。",
        reserved='{"version":"2.4","host":"fin-03"}' if n % 2 else "",
        status=_STATUSES[n % len(_STATUSES)],
        user=("", "zxf", "ssx", "wsg")[n % 4],
        group_id=("pay", "mx", "data")[n % 3],
        service_id=("order-sync", "billing", "crawler-b", "report-gen", "")[n % 5],
        created_at=now - seconds(90_000),
        updated_at=now - seconds(60 * n),
        status_at=now - seconds(720),
        user_since=now - seconds(600) if n % 4 else None,
        start_time="12:00" if n % 5 == 0 else "",
        stop_time="18:00" if n % 5 == 0 else "",
    )


def _incident(now: int) -> Incident:
    return Incident(
        id="in-206",
        kind="down",
        cause="nsq",
        opened_at=now - seconds(221),
        sentence="计费结算 is down.",
        evidence=_EVIDENCE["down"],
        next_reminder_at=now + seconds(600),
        services=("billing",),
    )


def _history(now: int) -> list[NewEvent]:
    return [
        NewEvent(at=now - seconds(90_000), kind="task.registered", subject_type="task", subject_id="1001", channel="collector"),
        NewEvent(
            at=now - seconds(719),
            kind="task.changed",
            subject_type="task",
            subject_id="1001",
            channel="collector",
            before={"status": "running"},
            after={"status": "failed"},
        ),
        NewEvent(
            at=now - seconds(600),
            kind="task.assigned",
            subject_type="task",
            subject_id="1001",
            actor_type="user",
            actor_id="ssx",
            channel="web",
            before={"user": ""},
            after={"user": "zxf"},
            evidence="月结，盯到收盘",
        ),
        NewEvent(
            at=now - seconds(221),
            kind="service.state",
            subject_type="service",
            subject_id="billing",
            before={"state": "late"},
            after={"state": "down", "reason": ""},
            evidence=_EVIDENCE["down"],
        ),
        NewEvent(
            at=now - seconds(221), kind="incident.opened", subject_type="incident", subject_id="in-206", evidence="billing"
        ),
    ]


def _letter(now: int, n: int) -> DeadLetter:
    body = (b'{"id": 133}', HOSTILE.encode() * 40, b"\xff\xfe\x00")[n]
    reason = (
        "id: expected `str`, got `int`",
        "the body is not valid JSON: JSON is malformed: invalid character (byte 0)",
        "the body is not valid UTF-8 at byte 0",
    )[n]
    return DeadLetter(
        at=now - seconds(600 * n), topic="taskdash.services", reason=reason, body=body, size_bytes=len(body), sender="10.0.3.44"
    )


def _sender(conn: Any, now: int) -> None:
    from taskdash.model.records import Sender

    senders.add(
        conn, [Sender(id="img-conv-2", first_at=now - seconds(3_000), last_at=now - seconds(8), count=205, sender="10.0.3.44")]
    )
