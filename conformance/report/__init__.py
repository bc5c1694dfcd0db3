"""From verdicts to a report: `model` assembles xent-report/1, the other modules render it."""
