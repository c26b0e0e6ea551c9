"""Pull updates: what the depot offers that is newer than what is confirmed here, fetched and applied."""

from edgeai_runtime.updates.apply import Applied, apply_updates, fetch_updates
from edgeai_runtime.updates.offers import Offer, Offers, check_updates

__all__ = ["Applied", "Offer", "Offers", "apply_updates", "check_updates", "fetch_updates"]
