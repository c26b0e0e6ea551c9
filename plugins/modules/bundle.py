#!/usr/bin/python
# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds a signed bundle on the connected workstation."""

from __future__ import annotations

DOCUMENTATION = r"""
module: bundle
short_description: Build and sign a bundle on the connected workstation
description:
  - Collects the wheels of every target, the releases and the runtime into one directory and signs it with
    keys that never leave the workstation. They are made on first use.
author: The edgeai.fleet authors (@edgeai-fleet)
extends_documentation_fragment:
  - edgeai.fleet.attributes
  - edgeai.fleet.attributes.changes
  - edgeai.fleet.signing
options:
  path:
    description: The bundle's directory.
    type: path
    required: true
  cache_dir:
    description: Directory of downloads. What is there is not downloaded again.
    type: path
    default: ~/.cache/edgeai
  runtime_dir:
    description: The collection's C(runtime) directory, of which the runtime's wheel is made.
    type: path
    required: true
  targets:
    description: Targets to collect wheels for.
    type: list
    elements: str
    required: true
  wheels:
    description:
      - For a target of O(targets), the directory of wheels that you bring for it. They come into its lock
        besides the locked ones, or instead of those of the same package. C(onnxruntime-gpu) takes the place
        of C(onnxruntime).
      - With wheels of your own the last word of a target's name may be any, such as
        C(aarch64-cp310-jetson). The other wheels are then those of C(aarch64-cp310-cpu), and the environment
        is let into the device's own C(tensorrt).
    type: dict
    default: {}
  releases:
    description: Directories of releases to pack.
    type: list
    elements: path
    default: []
  conversions:
    description:
      - A directory of what devices converted, as M(edgeai.fleet.conversion) brings it. Devices of the very
        same fingerprint may take it from the depot, where C(runtime_depot_conversions) allows it.
      - What belongs to no release of O(releases) is left out.
    type: path
  controllers:
    description:
      - Machines to pack what sets a bare controller up, such as V(x86_64-cp311), by their processor and the
        Python that they bring. The bundle then holds Ansible, this collection and C(controller.pyz), which
        installs them, with C(openssh-client) out of O(debian) where there is no ssh.
    type: list
    elements: str
    default: []
  expires_days:
    description: Days for which the bundle is good. It is signed anew when less than half of them is left.
    type: int
    default: 365
  debian:
    description: Suites to collect Debian packages for, such as V(bookworm-arm64), on a workstation with apt.
    type: list
    elements: str
    default: []
  debian_packages:
    description: The packages, which come with what they need.
    type: list
    elements: str
    default: [chrony, logrotate, nginx, openssh-client]
  debian_sources:
    description: A C(sources.list) to take them from. The default is the workstation's own sources, with
      their suite replaced.
    type: path
  debian_refresh:
    description: Whether to take what is newest rather than what an earlier bundle took.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Pack everything the factory needs
  edgeai.fleet.bundle:
    path: bundle
    runtime_dir: runtime
    targets: [aarch64-cp311-cpu, x86_64-cp311-cpu]
    releases: [releases/label-reader-1.0.0]

- name: Pack NVIDIA's wheels for Jetsons too
  edgeai.fleet.bundle:
    path: bundle
    runtime_dir: runtime
    targets: [aarch64-cp310-jetson, aarch64-cp311-cpu]
    wheels:
      aarch64-cp310-jetson: wheels/jetpack-6

- name: Pack what a bare controller with Debian 12 is set up from
  edgeai.fleet.bundle:
    path: bundle
    runtime_dir: runtime
    targets: [aarch64-cp311-cpu]
    controllers: [x86_64-cp311]
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
path:
  description: The bundle's directory.
  type: str
  returned: success
expires:
  description: When the bundle's metadata expires.
  type: str
  returned: success
targets:
  description: Its targets.
  type: list
  elements: str
  returned: success
releases:
  description: Versions of its releases, by name.
  type: dict
  returned: success
controllers:
  description: The machines that a bare controller may be.
  type: list
  elements: str
  returned: success
controller_command:
  description: What to type in the bundle's directory on a bare controller. It names the digest of
    C(controller.pyz), through which all that is installed there is checked; so carry it on another way than
    the bundle.
  type: str
  returned: with O(controllers), unless check mode predicts another bundle
size:
  description: Its size in bytes.
  type: int
  returned: success
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.edgeai.fleet.plugins.module_utils.signing import (
    run_signing,
    signing_argument_spec,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec=signing_argument_spec(
            path={"type": "path", "required": True},
            cache_dir={"type": "path", "default": "~/.cache/edgeai"},
            runtime_dir={"type": "path", "required": True},
            targets={"type": "list", "elements": "str", "required": True},
            wheels={"type": "dict", "default": {}},
            releases={"type": "list", "elements": "path", "default": []},
            conversions={"type": "path"},
            controllers={"type": "list", "elements": "str", "default": []},
            expires_days={"type": "int", "default": 365},
            debian={"type": "list", "elements": "str", "default": []},
            debian_packages={
                "type": "list",
                "elements": "str",
                "default": ["chrony", "logrotate", "nginx", "openssh-client"],
            },
            debian_sources={"type": "path"},
            debian_refresh={"type": "bool", "default": False},
        ),
        supports_check_mode=True,
    )
    params = module.params
    words = ["bundle", "build", "--output", os.path.abspath(params["path"])]
    words += ["--cache", params["cache_dir"], "--runtime", os.path.abspath(params["runtime_dir"])]
    for target in params["targets"]:
        words += ["--target", target]
    for target, directory in sorted(params["wheels"].items()):
        words += ["--wheels", f"{target}={os.path.abspath(directory)}"]
    for release in params["releases"]:
        words += ["--release", os.path.abspath(release)]
    words += ["--conversions", os.path.abspath(params["conversions"])] if params["conversions"] else []
    for machine in params["controllers"]:
        words += ["--controller", machine]
    words += ["--expires-days", str(params["expires_days"])]
    for suite in params["debian"]:
        words += ["--debian", suite]
    for package in params["debian_packages"] if params["debian"] else []:
        words += ["--debian-package", package]
    words += ["--debian-sources", params["debian_sources"]] if params["debian_sources"] else []
    words += ["--debian-refresh"] if params["debian_refresh"] else []
    run_signing(module, words, already=f"{os.path.abspath(params['path'])} holds all of it")


if __name__ == "__main__":
    main()
