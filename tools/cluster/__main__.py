"""`make cluster`: starts a cluster in ./.cluster, says where everything is, ends it by Ctrl-C; the next start goes on."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from tools.cluster.cluster import NAMES, Cluster, running
from tools.cluster.process import HOST


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.cluster", description=__doc__)
    parser.add_argument("--dir", type=Path, default=Path(".cluster"), help="holds data and logs (.cluster)")
    parser.add_argument("--instances", type=int, default=2, choices=range(1, len(NAMES) + 1), metavar="N", help="TaskDash (2)")
    parser.add_argument("--nsqd", type=int, default=2, choices=range(1, 33), metavar="N", help="nsqd nodes (2)")
    return parser.parse_args()


def _table(cluster: Cluster) -> Iterator[str]:
    for one in cluster.instances:
        yield f"{one.name:<12} {one.url():<28} TCP interface {HOST}:{one.tcp}   pid {one.pid}"
    for nsqd in cluster.nsqds:
        yield f"{nsqd.name:<12} {f'http://{HOST}:{nsqd.http}':<28} NSQ {HOST}:{nsqd.tcp}   pid {nsqd.pid}"
    yield f"{'nsqlookupd':<12} {f'http://{HOST}:{cluster.lookupd.http}':<28} pid {cluster.lookupd.pid}"
    yield f"{'postgresql':<12} {cluster.database}"
    yield f"{'logs, data':<12} {cluster.folder}"
    yield f"{'sign-in':<12} {cluster.sign_in() or 'as you set it; anew by taskdash user passwd'}"
    yield "Ctrl-C ends it; the next start goes on with what is stored."


async def main() -> int:
    """Run until SIGINT or SIGTERM."""
    stop, loop, options = asyncio.Event(), asyncio.get_running_loop(), _options()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with running(Cluster(options.dir.absolute(), options.instances, options.nsqd)) as cluster:
        sys.stdout.writelines(f"{line}\n" for line in _table(cluster))
        sys.stdout.flush()
        await stop.wait()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main()))
    except RuntimeError as error:
        sys.exit(f"the cluster did not start: {error}")
