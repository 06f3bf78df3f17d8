"""`aaad check`: says whether a configuration file is good, and what is wrong with it first."""

import os
import sys
from pathlib import Path

from aaad.config import load_config
from aaad.errors import ConfigError

EXIT_GOOD, EXIT_BAD = 0, 2


def check_config(path: Path) -> int:
    """Print the first error with its key, the value and what is allowed; return the exit code."""
    try:
        load_config(path, os.environ)
    except ConfigError as error:
        sys.stderr.write(f"{path}: {error}\n")
        return EXIT_BAD
    sys.stdout.write(f"{path}: good\n")
    return EXIT_GOOD
