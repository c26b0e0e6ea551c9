#!/usr/bin/python
# Copyright: edgeai.fleet authors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation of an action; plugins/action/bundle_info.py does it, on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: bundle_info
short_description: Read what a depot offers, verified against the pinned root
description:
  - Runs on the controller, whatever the host. Whatever it returns is vouched for by the root it was given.
author: The edgeai.fleet authors (@edgeai-fleet)
extends_documentation_fragment:
  - edgeai.fleet.attributes
  - edgeai.fleet.attributes.info
attributes:
  action:
    description: An action plugin of the same name does it, on the controller.
    support: full
options:
  depot_url:
    description:
      - Where the bundle is served, or C(file://) and its directory on the controller.
      - Either this or O(directory) is required.
    type: str
  directory:
    description:
      - The bundle's directory on the host. What is signed of it is taken to the controller and verified
        there; nothing of the bundle is run.
    type: str
  root_json:
    description: The root of trust, a file on the controller.
    type: path
    required: true
  ca:
    description: Who vouches for the certificate of a depot with C(https), a file on the controller.
    type: path
  python:
    description: An interpreter on the controller with C(edgeai_runtime) and what it needs. The default is the
      one that Ansible runs in.
    type: path
notes:
  - In check mode a depot that is not there is no failure, so that a whole site can be checked before there
    is one; RV(readable) is then false.
"""

EXAMPLES = r"""
- name: Read the depot's bundle
  edgeai.fleet.bundle_info:
    depot_url: http://depot.factory:9000
    root_json: bundle/metadata/1.root.json
  run_once: true
  register: bundle

- name: Read the bundle that was brought to the depot on a stick
  edgeai.fleet.bundle_info:
    directory: /srv/edgeai/bundle
    root_json: /media/engineer/1.root.json
  register: bundle
"""

RETURN = r"""
readable:
  description: Whether the bundle could be read; false only in check mode.
  type: bool
  returned: success
runtime_version:
  description: Version of the runtime it carries.
  type: str
  returned: when readable
runtime_wheel:
  description: File name, digest and size of the runtime's wheel.
  type: dict
  returned: when readable
targets:
  description: The targets it has wheels for.
  type: list
  elements: str
  returned: when readable
controllers:
  description: The machines that a bare controller may be, which is set up from it.
  type: list
  elements: str
  returned: when readable
debian:
  description: Digest, size and packages of the locks of Debian packages, by suite.
  type: dict
  returned: success
locks:
  description: Digest, size, least glibc and size of the wheels of its locks, by name.
  type: dict
  returned: success
releases:
  description: Versions of its releases, by name.
  type: dict
  returned: when readable
created:
  description: When it was made.
  type: str
  returned: when readable
expires:
  description: Until when it is good.
  type: str
  returned: when readable
msg:
  description: The bundle in one line.
  type: str
  returned: always
"""
