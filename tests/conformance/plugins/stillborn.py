"""An adapter whose framework ends the process while it is imported."""

import os
import sys

sys.stderr.write("Illegal instruction: this wheel needs AVX-512\n")
os.abort()
