"""The sentences that say why a state or an incident is what it is (SPEC 3, 7): every template, in English and in Chinese.

`say` renders English, which is what is stored; `rules.reading_back` reads such a sentence back by the same templates, to say
it in Chinese.
"""

from typing import Any

from taskdash.model.instants import Instant, to_rfc3339

TEMPLATES: dict[str, tuple[str, str]] = {
    # silence: how long nothing was heard
    "no_beat": ("no beat for {gap}, the last was sent at {at}", "已 {gap}没有心跳，上一次发于 {at}"),
    "no_first_beat": ("no beat for {gap} since it registered at {at}", "自 {at} 注册以来 {gap}没有心跳"),
    "no_beat_resumed": ("no beat for {gap} since its pause ended at {at}", "自 {at} 暂停结束以来 {gap}没有心跳"),
    "no_answer_since": (
        "its url has not answered for {gap}, since {at}, and no beats are expected",
        "其 url 自 {at} 起已 {gap}没有应答，且该服务不发心跳",
    ),
    # answers of the url
    "url_refused": ("its url, asked at {at}, did not answer: {error}", "于 {at} 询问其 url，没有应答：{error}"),
    "url_answered": ("its url answered in {took} at {at}", "其 url 于 {at} 在 {took}内应答"),
    "no_url": ("it has no url to ask", "它没有可询问的 url"),
    # states
    "beat": ("A beat sent at {at} arrived.", "收到发于 {at} 的心跳。"),
    "registered": ("It registered at {at}.", "它于 {at} 注册。"),
    "goodbye": ("It said goodbye at {at}.", "它于 {at} 告别退出。"),
    "goodbye_from": ("It said goodbye at {at}, from {address}.", "它于 {at} 从 {address} 告别退出。"),
    "told_from": ("It was told from {address}.", "来自 {address}。"),
    "late": ("{silence}; after {limit} it is late.", "{silence}；超过 {limit}即为迟到。"),
    "late_url": ("{silence}, but {answer}.", "{silence}，但{answer}。"),
    "down": (
        "{silence}, past the limit of {limit} for down, and {answer}.",
        "{silence}，超过 {limit}的失联期限，且{answer}。",
    ),
    "down_mass": (
        "{silence}, past the limit of {limit} for down, and {answer}; {silent} of {all} services on {source} fell silent "
        "together and another one's url answers.",
        "{silence}，超过 {limit}的失联期限，且{answer}；{source} 上 {all} 个服务中有 {silent} 个同时失联，"
        "而另有服务的 url 应答。",
    ),
    "down_held": (
        "{silence}, past the limit of {limit} for down, and {answer}; it was held as unknown for {hold} and nothing came.",
        "{silence}，超过 {limit}的失联期限，且{answer}；已按未知保留 {hold}，仍无消息。",
    ),
    "up_url": ("No beats are expected and {answer}.", "该服务不发心跳，{answer}。"),
    "unknown_startup": (
        "{silence}; TaskDash started at {started} and has heard {source} for less than three of its intervals.",
        "{silence}；TaskDash 于 {started} 启动，收听 {source} 还不满三个周期。",
    ),
    "unknown_back": (
        "{silence}; {source} was lost and has been heard again only since {since}.",
        "{silence}；{source} 曾中断，自 {since} 起才重新收听。",
    ),
    "unknown_input": (
        "{silence}; {source} cannot be heard since {since}: {error}.",
        "{silence}；自 {since} 起无法收听 {source}：{error}。",
    ),
    "unknown_clock": (
        "{silence}; the clock of {source} is wrong: all its messages arrive {offset} old.",
        "{silence}；{source} 的时钟有误：其消息到达时都已是 {offset}之前的。",
    ),
    "unknown_withdrawn": (
        "{silence}; {source} is no longer one of the inputs since {since}.",
        "{silence}；自 {since} 起 {source} 不再是输入。",
    ),
    "unknown_mass": (
        "{silence}; {silent} of {all} services on {source} fell silent together and nobody else was heard, so the input itself "
        "is suspected.",
        "{silence}；{source} 上 {all} 个服务中有 {silent} 个同时失联，且没有听到其他服务，因此怀疑是输入本身的问题。",
    ),
    "paused": ("{who} paused it: {reason}", "{who} 暂停了它：{reason}"),
    "paused_silently": ("{who} paused it.", "{who} 暂停了它。"),
    "resumed": ("{who} ended its pause.", "{who} 结束了暂停。"),
    "pause_over": ("Its pause ended at {at}.", "暂停于 {at} 结束。"),
    "archived_down": ("It has been down for {gap}.", "它已失联 {gap}。"),
    "archived_left": ("It left {gap} ago.", "它已退出 {gap}。"),
    "archived_by": ("{who} archived it.", "{who} 将它归档。"),
    "unarchived": ("It was heard again at {at}.", "于 {at} 再次收到它的消息。"),
    # incidents
    "one_down": ("{name} is down.", "{name} 失联。"),
    "many_down": ("{n} services fell silent together.", "{n} 个服务同时失联。"),
    "flaps": ("{name} keeps changing between up and down.", "{name} 在正常与失联之间反复变化。"),
    "flaps_why": ("{n} changes within {gap}.", "{gap}内变化 {n} 次。"),
    "clash": ("{name} reports tasks that belong to another service.", "{name} 上报了属于其他服务的任务。"),
    "clash_why": ("{n} task ids, the first is {task}.", "共 {n} 个任务 id，第一个是 {task}。"),
    "not_collected": ("The tasks of {name} cannot be collected.", "无法采集 {name} 的任务。"),
    "not_collected_why": ("It fails since {at}: {error}", "自 {at} 起失败：{error}"),
    "input_lost": ("The input {source} is lost.", "输入 {source} 中断。"),
    "input_lost_why": ("It cannot be heard since {at}: {error}", "自 {at} 起无法收听：{error}"),
    "input_clock": ("The clock of the input {source} is wrong.", "输入 {source} 的时钟有误。"),
    "input_clock_why": ("All its messages arrive {offset} old since {at}.", "自 {at} 起，其消息到达时都已是 {offset}之前的。"),
    "dead_letters": ("Messages arrive that cannot be understood.", "收到无法理解的消息。"),
    "dead_letters_why": ("The newest came at {at} on {topic}: {error}", "最近一条于 {at} 来自 {topic}：{error}"),
    "store_refuses": ("The store refuses to keep anything.", "存储拒绝写入。"),
    "store_refuses_why": ("Since {at}: {error}", "自 {at} 起：{error}"),
    # why a url was not collected (`collector.failures` and its callers write these)
    "refused": ("the connection was refused", "连接被拒绝"),
    "reset": ("the connection was reset", "连接被重置"),
    "failed": ("the connection failed", "连接失败"),
    "no_route": ("there is no route to its host", "没有到其主机的路由"),
    "no_network": ("its network cannot be reached", "无法到达其网络"),
    "no_connection": ("it did not accept a connection in time", "未能及时建立连接"),
    "no_answer": ("it did not answer within {gap} s", "{gap} 秒内没有应答"),
    "closed": ("it closed the connection without an answer", "没有应答就关闭了连接"),
    "broke_off": ("its answer broke off or could not be unpacked", "应答中断或无法解压"),
    "no_http": ("its answer is not HTTP", "应答不是 HTTP"),
    "certificate": ("its TLS certificate cannot be trusted", "其 TLS 证书不可信"),
    "tls": ("TLS could not be agreed on", "TLS 协商失败"),
    "no_files": ("TaskDash has no file descriptor left", "TaskDash 没有可用的文件描述符"),
    "no_files_here": ("this machine has no file descriptor left", "本机没有可用的文件描述符"),
    "bad_url": ("the url cannot be asked", "该 url 无法询问"),
    "status": ("it answered with status {n}", "应答状态码为 {n}"),
    "other_host": ("it redirects to another host, which is not followed", "它重定向到别的主机，不予跟随"),
    "too_many": ("it names more than {n} tasks", "它列出的任务超过 {n} 个"),
    # ids that two services report
    "clash_reporter": ("belongs to the service {name}, which reported it first", "属于先上报它的服务 {name}"),
    "clash_owner": ("the service {name} reports this id too", "服务 {name} 也上报此编号"),
    # durations
    "ms": ("{n} ms", "{n} 毫秒"),
    "s": ("{n} s", "{n} 秒"),
    "min": ("{n} min", "{n} 分钟"),
    "min_s": ("{n} min {m} s", "{n} 分 {m} 秒"),
    "h": ("{n} h", "{n} 小时"),
    "h_min": ("{n} h {m} min", "{n} 小时 {m} 分钟"),
    "d": ("{n} d", "{n} 天"),
    "d_h": ("{n} d {m} h", "{n} 天 {m} 小时"),
}


def say(key: str, **facts: Any) -> str:
    """The English sentence (or part of one, which begins small) of a template; instants as RFC 3339."""
    return TEMPLATES[key][0].format(**facts)


def sentence(key: str, **facts: Any) -> str:
    """As `say`, beginning with a capital letter."""
    text = say(key, **facts)
    return text[:1].upper() + text[1:]


def moment(at: Instant) -> str:
    """An instant inside a sentence."""
    return to_rfc3339(at)


def duration(length: int) -> str:
    """A length of time in nanoseconds, as people say it: `31 s`, `4 min`, `2 h 5 min`."""
    if length < 1_000_000_000:
        return say("ms", n=max(0, round(length / 1_000_000)))
    whole = round(length / 1_000_000_000)
    for size, large, small in ((86_400, "d", 3_600), (3_600, "h", 60), (60, "min", 1)):
        if whole >= size:
            n, m = whole // size, whole % size // small
            both = {"d": "d_h", "h": "h_min", "min": "min_s"}[large]
            return say(both, n=n, m=m) if m else say(large, n=n)
    return say("s", n=whole)
