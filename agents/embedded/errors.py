"""What can go wrong with an embedded server, by what its user can do about it.

::

    ThalwegError
    └── EmbeddedError
        ├── DownloadFailed   check the network and the registry, try again
        ├── PortTaken        choose another port (also an InvalidSetting)
        ├── DataDirInUse     stop the other, or choose another directory (the same)
        └── StartFailed      read the server's log
"""

from schemas.errors import InvalidSetting, ThalwegError


class EmbeddedError(ThalwegError):
    """An embedded server cannot do its part; the message is one line for its user."""


class DownloadFailed(EmbeddedError):
    """A jar cannot be had, or what came is not what the lock file names."""


class PortTaken(EmbeddedError, InvalidSetting):
    """Something else listens on the port; the message names the setting to change."""


class DataDirInUse(EmbeddedError, InvalidSetting):
    """Another process runs the same server in the same data directory."""


class StartFailed(EmbeddedError):
    """The server ended or stayed silent; the message quotes the end of its log."""
