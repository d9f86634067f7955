"""Compiles the gateway's hot modules into the wheel with mypyc, where that can be done.

pyproject.toml lists the modules. Each keeps its source in the wheel, which is what runs where there is no
compiled module. HEADGATE_COMPILE says what is wanted: ``auto`` (the default) compiles where there are mypyc
and a C compiler and builds a wheel of plain Python otherwise, ``always`` fails then, ``never`` does not try.

Nothing is ever written into the source tree, and an editable installation is never compiled.
"""

from __future__ import annotations

import os
import shutil
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

WANTED = "HEADGATE_COMPILE"
GROUP = "headgate_gateway"
"""The shared library that holds all of it is called ``headgate_gateway__mypyc``."""


class CannotCompile(Exception):
    """Something that compiling needs is not here."""


class CompileHook(BuildHookInterface[Any]):
    """Adds compiled modules to a wheel."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile before the wheel is put together."""
        wanted = os.environ.get(WANTED, "auto")
        if wanted not in ("auto", "always", "never"):
            raise ValueError(f"{WANTED}={wanted!r}: say auto, always or never")
        if version == "editable" or wanted == "never":
            return
        self._place = Path(tempfile.mkdtemp(prefix="headgate-compile-"))
        try:
            libraries = _compile(self._sources(), self._place)
        except BaseException as reason:
            shutil.rmtree(self._place, ignore_errors=True)
            if wanted == "always" or not isinstance(reason, CannotCompile):
                raise
            self.app.display_warning(f"the gateway is not compiled, and will take more CPU: {reason}")
            return
        build_data["force_include"].update(libraries)
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Remove what was compiled: the wheel has it."""
        place = getattr(self, "_place", None)
        if place is not None:
            shutil.rmtree(place, ignore_errors=True)

    def _sources(self) -> list[str]:
        root = Path(self.root)
        found = {pattern: sorted(root.glob(pattern)) for pattern in self.config["modules"]}
        missing = [pattern for pattern, paths in found.items() if not paths]
        if missing:
            raise ValueError(f"pyproject.toml has modules compiled that do not exist: {missing}")
        paths = (path for several in found.values() for path in several if path.name != "__init__.py")
        return [path.relative_to(root).as_posix() for path in paths]


def _compile(sources: list[str], place: Path) -> dict[str, str]:
    """Return the compiled libraries and where each goes in the wheel."""
    try:
        import msgspec  # noqa: F401, PLC0415 - mypyc needs its types
        from mypyc.build import mypycify  # noqa: PLC0415 - may be missing
        from setuptools import Distribution  # noqa: PLC0415
        from setuptools.command.build_ext import build_ext  # noqa: PLC0415
        from setuptools.errors import CCompilerError, CompileError  # noqa: PLC0415
    except ImportError as missing:
        raise CannotCompile(f"{missing.name} is not installed") from None
    compiler = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
    if shutil.which(compiler.split()[0]) is None:
        raise CannotCompile("there is no C compiler")
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        raise CannotCompile("Python's headers are not installed")
    options = ["--config-file=", "--ignore-missing-imports", f"--cache-dir={place / 'mypy'}"]
    extensions = mypycify(
        [*options, *sources], opt_level="2", debug_level="0", group_name=GROUP, target_dir=str(place / "c")
    )
    command = build_ext(Distribution({"name": GROUP, "ext_modules": extensions}))
    command.build_lib, command.build_temp = str(place / "lib"), str(place / "objects")
    command.ensure_finalized()
    try:
        command.run()
    except (CCompilerError, CompileError) as error:
        raise CannotCompile(str(error)) from error
    lib = place / "lib"
    return {str(path): path.relative_to(lib).as_posix() for path in sorted(lib.rglob("*")) if path.is_file()}
