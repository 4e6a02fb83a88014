"""Become another program that ends when its parent does: `tether.py PARENT_PID SIGNAL COMMAND…`.

A file that is run, not a module that is imported: the program it becomes keeps the process, hence
its pid. (`preexec_fn` would do without it, but runs Python between fork and exec of a process that
has threads.) Only Linux can do this; elsewhere the command simply runs.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Ask the kernel for the signal, then become the command."""
    parent, signal, command = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal)
        if os.getppid() != parent:  # it died before we asked
            sys.exit(1)
    try:
        os.execvp(command[0], command)  # noqa: S606  # its caller chose it
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")


if __name__ == "__main__":
    main()
