"""What `xent adapter check` asks of an adapter, in whose interpreter the framework is. See conformance/kit/.

`contract` looks at the module and nothing else, and needs no framework; `__main__` is the worker, which for some of its
cases runs a probe of round_trips.py or evaluation.py, or the portable loss, in the place of the adapter's `evaluate`.
Python 3.8 and NumPy 1.19 will do.
"""
