#!/usr/bin/env bash
# Make the workstation's environment: find a Python, make a venv, install into it.
set -euo pipefail
venv=$1

say() { printf '%s\n' "$*" >&2; }

suits() { # ansible-core 2.19 runs on 3.11 to 3.13, and the locks end there
  "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
}

python=
for candidate in "${PYTHON:-python3}" python3.13 python3.12 python3.11; do
  if command -v "$candidate" >/dev/null && suits "$candidate"; then
    python=$(command -v "$candidate")
    break
  fi
done
if [ -z "$python" ]; then
  say "There is no Python 3.11, 3.12 or 3.13 on PATH; install one (Debian 12, 13 and Ubuntu 24.04 bring it), or name it: make PYTHON=/path/to/python3.12 …"
  exit 1
fi

if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "Installing $package, which $python needs to make an environment."
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$package" >/dev/null
  else
    say "$python cannot make environments; type: sudo apt install $package"
    exit 1
  fi
fi

say "Setting up $venv with $("$python" --version) (a minute the first time) …"
"$python" -m venv --clear "$venv"
"$venv/bin/python" -m pip install --quiet --requirement requirements.txt --constraint constraints.txt \
  --editable 'runtime[workstation]'
