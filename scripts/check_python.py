"""Say so if this Python is too old, before pip says something else."""

import sys

if sys.version_info < (3, 11):
    found = ".".join(map(str, sys.version_info[:3]))
    sys.exit("Python 3.11 or newer is needed, this is %s; name another with: make PYTHON=python3.12 ..." % found)
