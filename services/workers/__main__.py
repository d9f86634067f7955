"""``python -m services.workers``: one worker, with its settings from the environment."""

from __future__ import annotations

import logging
import os
import sys

from services.messaging.settings import KafkaSettings
from services.storage.settings import DatabaseSettings
from services.workers.app import main
from services.workers.settings import WorkerSettings

if __name__ == "__main__":
    logging.basicConfig(
        level=os.environ.get("HEADGATE_LOG_LEVEL", "INFO").upper(),
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    main(WorkerSettings(), KafkaSettings(), DatabaseSettings())
