"""Run `ansible-test sanity` on the collection as it stands here: `python tools/test_sanity.py [OPTIONS]`.

ansible-test wants a real directory ansible_collections/NAMESPACE/NAME, so it gets a copy of the files git
knows. What it installs for itself goes below .build/sanity as well; a second run finds it there.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import ansible_test  # type: ignore[import-untyped]
from pythons import find_python

REPO = Path(__file__).resolve().parent.parent
SANITY = REPO / ".build" / "sanity"
COPY = SANITY / "ansible_collections" / "edgeai" / "fleet"
HOME = SANITY / "home"
# Those that devices bring; see runtime/locks/.
VERSIONS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13")
# It would download pip's own installer for the environments of its tests; Python brings one.
INSTALLER = "import ensurepip\n\nensurepip.bootstrap(default_pip=True)\n"


def copy_what_git_knows() -> None:
    """The working tree without what git ignores."""
    shutil.rmtree(COPY, ignore_errors=True)
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=REPO, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (REPO / name).is_file():  # a deleted file is listed until that is committed
            (COPY / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPO / name, COPY / name)
    # It would go up to our own repository, which ignores the copy.
    subprocess.run(["git", "init", "--quiet", str(COPY)], check=True)


def prepare_home() -> None:
    """A home for ansible-test's caches, with the user's pip settings and an installer of pip."""
    settings = Path(os.environ.get("XDG_CONFIG_HOME", Path.home() / ".config")) / "pip"
    link = HOME / ".config" / "pip"
    link.parent.mkdir(parents=True, exist_ok=True)
    if settings.is_dir() and not link.exists():
        link.symlink_to(settings)
    source = Path(ansible_test.__path__[0], "_internal/python_requirements.py").read_text(encoding="utf-8")
    cache = HOME / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    for version in re.findall(r"pip='([\d.]+)'", source):
        (cache / f"get_pip_{version.replace('.', '_')}.py").write_text(INSTALLER, encoding="utf-8")


def main() -> int:
    copy_what_git_knows()
    prepare_home()
    places = [Path(sys.executable).parent]
    command = [str(places[0] / "ansible-test"), "sanity", "--color", "no"]
    command += ["--controller", "origin:python=default"]
    for version, python in ((version, find_python(version)) for version in VERSIONS):
        if python is None:
            print(f"Not tested on Python {version}, since there is none here.", flush=True)
        else:
            command += ["--target-python", f"{version}@{python}"]
            places.append(Path(python).parent)
    path = os.pathsep.join([*map(str, places), os.environ["PATH"]])
    return subprocess.run(
        [*command, *sys.argv[1:]], cwd=COPY, env={**os.environ, "HOME": str(HOME), "PATH": path}, check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
