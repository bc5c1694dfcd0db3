"""What runs in a framework's interpreter: ``python -m xent.conformance.worker FOLDER MODULE``.

Python 3.8 and NumPy 1.19 will do; nothing else of the tool is there.
"""
