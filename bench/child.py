"""Run a command on one core, and tell what it cost: child.py CORE OUTPUT COMMAND... prints status, CPU seconds, seconds and peak memory in KiB.

A process of its own, and one that imports next to nothing: what a child is said to have used at most includes what its parent used when it was forked.
"""

import os
import sys
import time


def main() -> None:
    core, output, *command = sys.argv[1:]
    begin = time.monotonic()
    child = os.fork()
    if not child:
        os.sched_setaffinity(0, {int(core)})
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 1)
        os.execvp(command[0], command)
    _, status, used = os.wait4(child, 0)
    seconds = time.monotonic() - begin
    print(os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime, seconds, used.ru_maxrss)


if __name__ == "__main__":
    main()
