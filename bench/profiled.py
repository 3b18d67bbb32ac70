"""Where the CPU of a server goes while it is measured: its threads under cProfile, by the CPU time of each.

    BENCH_PROFILE=/tmp/claims .venv/bin/python -m bench http
    .venv/bin/python -m pstats /tmp/claims-<pid>.loop       # and .store-writer, .store-reader-0 ...

Shares are to be trusted, not durations: being watched costs a call of Python three times what it costs alone, and what a thread
that never ends was waiting in shows the time of the whole. What the driver, SQLite and the kernel take tells
`perf record -e cpu-clock -p <pid>` of an unwatched server.
"""

import cProfile
import os
import runpy
import sys
import threading
import time

WHERE = "BENCH_PROFILE"


def command(module: str, python: str = sys.executable) -> list[str]:
    """How to run a module of Python, watched when the environment says where to write."""
    watched = ["-m", "bench.profiled", os.environ[WHERE]] if os.environ.get(WHERE) else ["-m"]
    return [python, *watched, module]


def main(path: str, module: str) -> None:
    """Run a module; write one file a thread when it ends."""
    found: list[tuple[str, cProfile.Profile]] = []

    def watch(name: str) -> None:
        found.append((name, cProfile.Profile(time.thread_time)))
        found[-1][1].enable()

    threading.setprofile(lambda *_event: watch(threading.current_thread().name))
    watch("loop")
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        found[0][1].disable()
        for name, profile in found:
            profile.dump_stats(f"{path}-{os.getpid()}.{name}")


if __name__ == "__main__":
    path, module = sys.argv[1:3]
    del sys.argv[1:3]
    main(path, module)
