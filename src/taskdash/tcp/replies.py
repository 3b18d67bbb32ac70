"""Bodies of TCP answers (SPEC 5): `{"id","errid","errmsg"}`, with `detail` when errid is not 0, and a found task flat."""

import msgspec
from msgspec import Struct

from taskdash.errors import TaskDashError
from taskdash.store.finds import FIELDS

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


def done(task_id: str) -> bytes:
    """Stored, and durable."""
    return _encoder.encode(_Done(task_id))


def refused(task_id: str, error: TaskDashError) -> bytes:
    """Nothing of the request was kept; `detail` is one English sentence."""
    errid = error.errid if error.errid in ERRMSG else 1000
    return _encoder.encode(_Refused(task_id, errid, ERRMSG[errid], error.detail))


def found(fields: tuple[str, ...]) -> bytes:
    """The task's fields flat (in the order of `store.finds.FIELDS`), with errid and errmsg."""
    return _encoder.encode({**dict(zip(FIELDS, fields, strict=True)), "errid": 0, "errmsg": ERRMSG[0]})
