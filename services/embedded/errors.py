"""What can go wrong with the embedded stack.

EmbeddedError
├── ProcessDied          a server ended although it should run; carries the tail of its log
├── NotReady             a server runs but does not answer in time; carries the tail of its log
├── DirectoryInUse       another process keeps its data in this directory
├── JarMismatch          a downloaded jar is not the one in the lock
└── DownloadFailed       the jars could not be fetched
"""


class EmbeddedError(Exception):
    """The embedded stack cannot do what was asked."""


class ProcessDied(EmbeddedError):
    """A managed process ended although it should run."""


class NotReady(EmbeddedError):
    """A server runs but does not answer in time."""


class DirectoryInUse(EmbeddedError):
    """Another process keeps its data in this directory."""


class JarMismatch(EmbeddedError):
    """A jar's content is not what the lock says."""


class DownloadFailed(EmbeddedError):
    """Kafka's jars could not be fetched."""
