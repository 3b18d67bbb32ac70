"""Filters as words in the search field: `status:failed is:at-risk owner:me`, and back to addresses. Pure. UI 6 (Board)."""

from typing import NamedTuple

from taskdash.web.api.tasks import FILTERS
from taskdash.web.pages import links
from taskdash.web.pages.links import Pairs

_NAMES = {
    "status": "status",
    "service": "service",
    "owner": "user",
    "user": "user",
    "group": "group",
    "liveness": "liveness",
    "schedule": "schedule",
    "状态": "status",
    "服务": "service",
    "负责人": "user",
    "组": "group",
    "存活": "liveness",
}
_IS = {
    "at-risk": ("at_risk", "true"),
    "stale": ("stale", "true"),
    "gone": ("gone", "true"),
    "unowned": ("user", "none"),
    "mine": ("user", "me"),
    "should-run": ("schedule", "should_run"),
    "有风险": ("at_risk", "true"),
    "陈旧": ("stale", "true"),
    "无人领取": ("user", "none"),
    "我的": ("user", "me"),
}
_SAID = {
    ("at_risk", "true"): "is:at-risk",
    ("stale", "true"): "is:stale",
    ("gone", "true"): "is:gone",
    ("user", "none"): "is:unowned",
    ("user", "me"): "is:mine",
    ("schedule", "should_run"): "is:should-run",
}


class Token(NamedTuple):
    """One filter that is set, and the address without it."""

    text: str
    href: str


def spread(pairs: Pairs) -> Pairs:
    """The query with words such as `group:pay` taken out of `q` and made filters of their own."""
    found: Pairs = []
    for name, value in pairs:
        found += _spread(value) if name == "q" else [(name, value)]
    return list(dict.fromkeys(found))


def _spread(q: str) -> Pairs:
    words, filters = [], []
    for word in q.split(" "):
        known = _filter(word)
        if known:
            filters.append(known)
        else:
            words.append(word)
    rest = " ".join(words).strip() if filters else q
    return [*filters, ("q", rest)] if rest else filters


def _filter(word: str) -> tuple[str, str] | None:
    name, colon, value = word.replace("：", ":").partition(":")
    if not colon or not value:
        return None
    if name in {"is", "是"}:
        return _IS.get(value)
    return (_NAMES[name], value) if name in _NAMES else None


def text(name: str, value: str) -> str:
    """`group:pay`, `is:at-risk`."""
    return _SAID.get((name, value)) or f"{'owner' if name == 'user' else name}:{value}"


def shown(pairs: Pairs, path: str) -> list[Token]:
    """The filters that are set, but for the free text."""
    set_ = [pair for pair in pairs if pair[0] in FILTERS and pair[0] != "q"]
    return [Token(text(*pair), links.with_query(path, links.toggled(pairs, *pair))) for pair in set_]
