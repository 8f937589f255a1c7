"""The job of the folder `qc_metrics`, for commands and deployment files that name a file."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).with_suffix("")))

from qc.command import main

if __name__ == "__main__":
    sys.exit(main())
