"""The same, in forks of a worker that has imported it."""

from plugins.misbehaves import *  # noqa: F403  # an adapter is its module's names

FORKS = True
