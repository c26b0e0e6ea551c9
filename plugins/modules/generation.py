#!/usr/bin/python
# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation of an action; plugins/action/generation.py does it, on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: generation
short_description: Try, watch, confirm and take back generations on a device
description:
  - A generation binds an environment, converted models and a configuration. The device proves it through the
    gates of its releases before it switches, watches it while it is on trial, and takes it back on its own
    when it is worse or when nobody confirms it in time.
author: The edgeai.fleet authors (@edgeai-fleet)
extends_documentation_fragment:
  - edgeai.fleet.device
  - edgeai.fleet.attributes
  - edgeai.fleet.attributes.changes
options:
  state:
    description:
      - V(trial) proves a generation with the release O(name) O(version), or with O(environment), and switches
        to it on trial.
      - V(soaked) watches the trial for O(soak_s) seconds and fails as soon as the device takes it back.
      - V(confirmed) keeps the generation on trial. With O(soak_s) it is watched before, and with O(name) or
        O(environment) it is tried before that, so that V(confirmed) alone may be all that is said.
      - V(rolled_back) takes the model of release O(name) back to O(version), or to the newest one confirmed
        here before, and keeps the others.
    type: str
    choices: [trial, soaked, confirmed, rolled_back]
    required: true
  name:
    description: The release's name.
    type: str
  version:
    description: The release's version. Only V(rolled_back) does without.
    type: str
  environment:
    description: Digest of the environment to try instead of a release.
    type: str
  deadline_s:
    description: Seconds after which the device takes back what nobody confirmed.
    type: float
    default: 600
  soak_s:
    description: Seconds to watch. Required for V(soaked).
    type: float
"""

EXAMPLES = r"""
- name: Prove the release on this device and switch to it on trial
  edgeai.fleet.generation:
    state: trial
    name: label-reader
    version: 1.1.0

- name: Watch it in use, then keep it
  edgeai.fleet.generation:
    state: confirmed
    soak_s: 300

- name: Go back to the version before
  edgeai.fleet.generation:
    state: rolled_back
    name: label-reader
"""

RETURN = r"""
changed:
  description: Whether something was changed, or would be in check mode.
  type: bool
  returned: always
actions:
  description: What was done, or would be, one sentence each.
  type: list
  elements: str
  returned: success
msg:
  description: The same in one line, what there was not to do, or why it failed.
  type: str
  returned: always
kind:
  description: The kind of failure, for programs.
  type: str
  returned: failure
details:
  description: What the device knows about the failure.
  type: dict
  returned: failure
generation:
  description: The generation's number.
  type: int
  returned: when the device was asked
phase:
  description: C(trial), or C(confirmed) when there was nothing to do.
  type: str
  returned: for V(trial)
verdict:
  description: The gates of a trial with what was measured and what is required.
  type: dict
  returned: for V(trial)
measured:
  description: The same in a line.
  type: str
  returned: when gates were measured
requests:
  description: Requests answered during the soak.
  type: int
  returned: for V(soaked)
errors:
  description: Those that failed.
  type: int
  returned: for V(soaked)
version:
  description: The version that serves now.
  type: str
  returned: for V(rolled_back)
"""
