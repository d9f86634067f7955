"""Any doubt ends the process.

Nothing is rewound inside a running worker: whatever is uncertain, the supervisor starts it again, and the
claim puts everything right from what Postgres says.
"""

from __future__ import annotations

import logging
import os
from typing import NoReturn

logger = logging.getLogger(__name__)

EXIT_CODE = 70
"""What a worker that ended in doubt exits with (EX_SOFTWARE)."""


def end_process(reason: str, error: BaseException | None = None) -> NoReturn:
    """Say why, and end this process at once, without any clean-up that could write."""
    logger.critical("this worker ends here and must be started again: %s", reason, exc_info=error)
    logging.shutdown()
    os._exit(EXIT_CODE)
