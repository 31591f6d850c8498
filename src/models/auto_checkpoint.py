"""`checkpoint=auto`: weights that nobody published are trained once and reused from then on.

The file is named by everything that shaped it, settings and data, so that another seed, setting or slide is another
file. What shaped it and how long it took lie beside it as JSON.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from src.data.files import digest, write_json, written_whole
from src.data.whole_folder import folder_lock
from src.models.one_thread import one_thread

log = logging.getLogger(__name__)

AUTO = "auto"
"""What `checkpoint` says instead of a file."""


def trained_once(folder: Path, name: str, shaped_by: Mapping[str, Any], train: Callable[[Path], None]) -> Path:
    """The checkpoint that these settings and data give: the one that is there, else trained now.

    Of several processes one trains, and the others wait for it. A training that fails or is killed leaves no file.
    It is kept to one thread: what several threads add up, and so the weights, would differ with their number.

    Args:
        folder: where checkpoints are kept.
        name: of the network.
        shaped_by: every setting, seed included, and digests of the data; JSON-serialisable.
        train: trains, and writes the weights to the path that it is given.
    """
    path = folder / f"{name}-{digest(shaped_by)}.ckpt"
    with folder_lock(path):
        if path.is_file():
            log.info("checkpoint=auto: reused %s", path)
            return path
        log.info("checkpoint=auto: %s is trained once on this cohort; give checkpoint=FILE for weights of yours", name)
        started = time.perf_counter()
        with written_whole(path) as temporary, one_thread():
            train(temporary)
        seconds = round(time.perf_counter() - started, 1)
        write_json(path.with_suffix(".json"), {"trained_s": seconds, **shaped_by})
    log.info("checkpoint=auto: trained %s in %.1f s", path, seconds)
    return path
