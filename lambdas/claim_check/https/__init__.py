"""Receiving over HTTPS. It needs the package `cryptography`, so no other module of the library imports it."""

from claim_check.https.endpoint import WINDOW, Delivery, Endpoint

__all__ = ["WINDOW", "Delivery", "Endpoint"]
