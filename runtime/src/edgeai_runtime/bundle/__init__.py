"""What the connected workstation does: collect wheels and releases, pack them, sign them."""

from edgeai_runtime.bundle.build import BundleResult, build

__all__ = ["BundleResult", "build"]
