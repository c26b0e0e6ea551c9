#!/bin/sh
# Starts Python so that the emulator (qemu-user) has it find the files below /board before those below /. What
# Python starts finds the latter again.
export QEMU_LD_PREFIX=/board QEMU_UNSET_ENV=QEMU_LD_PREFIX,QEMU_UNSET_ENV
exec /usr/bin/python3 "$@"
