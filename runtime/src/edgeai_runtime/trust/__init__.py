"""What a device takes from a depot: signed metadata decides, digests prove, the store keeps.

`authority`, `transfer` and `store` need the standard library only (they run in a bootstrap, straight out of
the wheel); `client` and `fetching` need python-tuf, which is why the functions below load it on use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgeai_runtime.trust.fetching import FetchResult, fetch_release, load_release
    from edgeai_runtime.trust.showing import show_bundle

__all__ = ["FetchResult", "fetch_release", "load_release", "show_bundle"]


def __getattr__(name: str) -> Any:
    """The names in `__all__`, from the module that has them (PEP 562)."""
    if name == "show_bundle":
        from edgeai_runtime.trust import showing

        return showing.show_bundle
    if name in __all__:
        from edgeai_runtime.trust import fetching

        return getattr(fetching, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
