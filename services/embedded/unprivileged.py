"""Running a server as somebody other than root, which PostgreSQL insists on.

Root hands the server to ``nobody``. What ``nobody`` cannot reach, because a directory above it is closed to
others (such as ``/root``), is kept below ``/var/lib/headgate`` instead; no permission of a directory that is
not ours is changed. What is kept there for a temporary directory that no longer exists is removed at the next
occasion.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from services.embedded.file_lock import locked

OPEN_TO_ALL = Path("/var/lib/headgate")
USER = "nobody"
LINK = "elsewhere"
OWNER = "kept-for"
DATA_PREFIX = "data-"


def user_id() -> int | None:
    """Whom to run as: None (ourselves) unless this process is root."""
    return pwd.getpwnam(USER).pw_uid if os.geteuid() == 0 else None


def can_run(command: Sequence[str], user: int | None) -> bool:
    """Whether the user may run this, tried out rather than computed from permissions."""
    if user is None:
        return True
    group = pwd.getpwuid(user).pw_gid
    try:
        tried = subprocess.run(  # noqa: S603 - our own commands
            command, user=user, group=group, extra_groups=(), cwd="/", capture_output=True, check=False
        )
    except PermissionError:
        return False
    return tried.returncode == 0


def reachable_home(home: Path, user: int | None) -> Path:
    """``home``, or where its content is kept for a user who cannot enter it; ``home`` then links there."""
    if user is None:
        return home
    home.chmod(0o711)
    if can_run(["/bin/sh", "-c", 'cd "$0"', str(home)], user):
        return home
    link = home / LINK
    with locked(_open_to_all() / "lock"):
        _remove_what_was_temporary()
        if not link.is_dir():
            link.unlink(missing_ok=True)
            kept = Path(tempfile.mkdtemp(dir=OPEN_TO_ALL, prefix=DATA_PREFIX))
            kept.chmod(0o711)
            link.symlink_to(kept)
            (kept / OWNER).write_text(str(link))
    return link.resolve()


def reachable_programs(base: Path, trees: Sequence[str], version: str, probe: str, user: int | None) -> Path:
    """A directory with the given subdirectories of ``base``, where the user may run ``probe``.

    That is ``base`` itself where possible, else a copy. ``probe`` is a program's path below either.
    """
    if can_run([str(base / probe), "--version"], user):
        return base
    copy = _open_to_all() / f"programs-{version}"
    with locked(OPEN_TO_ALL / "lock"):
        if not copy.is_dir():
            with tempfile.TemporaryDirectory(dir=OPEN_TO_ALL) as staging:
                complete = Path(staging) / "complete"
                for tree in trees:
                    shutil.copytree(base / tree, complete / tree)
                for path in [complete, *complete.rglob("*")]:
                    path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
                complete.rename(copy)
    return copy


def _open_to_all() -> Path:
    OPEN_TO_ALL.mkdir(parents=True, exist_ok=True, mode=0o755)
    return OPEN_TO_ALL


def _remove_what_was_temporary() -> None:
    for owner in OPEN_TO_ALL.glob(f"{DATA_PREFIX}*/{OWNER}"):
        link = Path(owner.read_text())
        if link.is_relative_to(tempfile.gettempdir()) and not link.exists():
            shutil.rmtree(owner.parent)
