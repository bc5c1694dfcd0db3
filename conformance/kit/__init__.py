"""The kit for a new adapter: what is missing or wrong in it, in words for its author (`xent adapter check`)."""

from .asking import NoModule
from .check import Report, check
from .checks import Check

__all__ = ["Check", "NoModule", "Report", "check"]
