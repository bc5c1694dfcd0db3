"""The same, in forks of a worker that has imported it."""

from plugins.aborts import *  # noqa: F403  # an adapter is its module's names

FORKS = True
