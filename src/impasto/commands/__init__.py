"""What the command line does: one file a command, each with `run(cfg)`."""

import logging

log = logging.getLogger(__name__)
