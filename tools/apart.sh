#!/usr/bin/env bash
# Run a command apart from this machine: its processes, mounts and network are its own and end with it,
# however it ends. podman finds itself on a machine that was just started and has no neighbours.
set -euo pipefail

if [ "${EDGEAI_APART:-}" != yes ]; then
  # Whoever started it may be killed as well.
  EDGEAI_APART=yes exec setpriv --pdeathsig KILL \
    unshare --mount --net --pid --fork --kill-child --mount-proc "$0" "$@"
fi

ip link set lo up
# Where podman notes what is running, and its locks.
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /dev/shm
# Containers with systemd want cgroup v2 there; an ordinary machine has it.
if [ "$(stat -f -c %T /sys/fs/cgroup)" != cgroup2fs ]; then
  umount -R /sys/fs/cgroup
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
fi
# Not exec: this shell takes in the processes that others leave behind.
"$@"
