"""Write ``kafka.lock.toml`` anew: ``python -m services.embedded.relock [coordinate ...]``.

Resolves the given Maven coordinates (the lock's present ones by default) with jgo and records every jar they
need with its SHA-256. Raise Kafka's version here and commit what changes.
"""

import sys
import tempfile
from pathlib import Path

from services.embedded.jars import LOCK, JarLock, sha256_of

HEADER = """\
# Written by `python -m services.embedded.relock`: every jar of the embedded Kafka with its SHA-256.
"""


def resolve(roots: tuple[str, ...]) -> dict[str, str]:
    """Coordinate -> SHA-256 for the roots and all they need at run time.

    Each root is resolved by itself, since one's dependency management must not choose versions for another;
    where two need the same artifact, the earlier root's version is taken.
    """
    import jgo  # noqa: PLC0415 - only this command needs it
    from jgo.maven import MavenContext  # noqa: PLC0415

    versions: dict[tuple[str, str], str] = {}
    for root in roots:
        for artifact in jgo.resolve(root):
            versions.setdefault((artifact.groupId, artifact.artifactId), artifact.version)
    with tempfile.TemporaryDirectory() as downloads:
        fresh = MavenContext(repo_cache=Path(downloads))
        return {
            f"{group}:{name}:{version}": sha256_of(
                Path(fresh.project(group, name).at_version(version).artifact().resolve())
            )
            for (group, name), version in sorted(versions.items())
        }


def main() -> None:
    roots = tuple(sys.argv[1:]) or JarLock.read().roots
    jars = resolve(roots)
    listed = "".join(f'    "{root}",\n' for root in roots)
    sums = "".join(f'"{coordinate}" = "{sha256}"\n' for coordinate, sha256 in jars.items())
    LOCK.write_text(f"{HEADER}roots = [\n{listed}]\n\n[jars]\n{sums}")


if __name__ == "__main__":
    main()
