"""`taskdash serve` as the child of `taskdash demo`: it drains when its standard input ends.

So no server outlives the demo, however the demo ended.
"""

import os
import signal
import sys
import threading

from taskdash.errors import StartRefused


def _stop_at_end_of_input() -> None:
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> int:
    """Serve with the options of `taskdash serve`."""
    from taskdash.commands import serve

    os.umask(0o077)
    threading.Thread(target=_stop_at_end_of_input, daemon=True).start()
    try:
        return serve.run(sys.argv[1:])
    except StartRefused as refused:
        print(f"taskdash: {refused}", file=sys.stderr)
        return refused.code


if __name__ == "__main__":
    sys.exit(main())
