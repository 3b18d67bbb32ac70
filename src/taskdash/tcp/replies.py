"""Bodies of TCP answers (SPEC 5): `{"id","errid","errmsg"}`, with `detail` when errid is not 0, and a found task flat."""

import msgspec
from msgspec import Struct

from taskdash.errors import TaskDashError
from taskdash.model.records import Task

_encoder = msgspec.json.Encoder()
ERRMSG = {0: "正确", 1000: "请求格式不正确", 1001: "数据库存储失败", 1002: "不存在该任务id", 1003: "未授权"}


class _Done(Struct):
    id: str
    errid: int = 0
    errmsg: str = ERRMSG[0]


class _Refused(Struct):
    id: str
    errid: int
    errmsg: str
    detail: str


class _Found(Struct):
    id: str
    name: str
    url: str
    user: str
    group_id: str
    description: str
    status: str
    start_time: str
    stop_time: str
    reserved: str
    errid: int = 0
    errmsg: str = ERRMSG[0]


def done(task_id: str) -> bytes:
    """Stored, and durable."""
    return _encoder.encode(_Done(task_id))


def refused(task_id: str, error: TaskDashError) -> bytes:
    """Nothing of the request was kept; `detail` is one English sentence."""
    errid = error.errid if error.errid in ERRMSG else 1000
    return _encoder.encode(_Refused(task_id, errid, ERRMSG[errid], error.detail))


def found(task: Task) -> bytes:
    """The task's fields flat, with errid and errmsg."""
    return _encoder.encode(
        _Found(
            task.id,
            task.name,
            task.url,
            task.user,
            task.group_id,
            task.description,
            task.status,
            task.start_time,
            task.stop_time,
            task.reserved,
        )
    )
