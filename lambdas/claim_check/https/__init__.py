"""Receiving over HTTPS; needs the package `cryptography`, so nothing else of the library imports it."""

from claim_check.https.endpoint import WINDOW, Delivery, Endpoint

__all__ = ["WINDOW", "Delivery", "Endpoint"]
