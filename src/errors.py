"""Every error that histoseek raises on purpose; each message is one line that a user can act on.

HistoseekError
├── ConfigError            a configuration value or combination that cannot work
│   └── IncompatibleParts  parts of an engine whose types do not fit; a sweep skips them with this reason
├── CohortError            a cohort table or its labels
├── SlideError             one slide; carries the status that the status table shows
│   ├── UnreadableSlide    status unreadable
│   ├── MppMissing         status mpp_missing
│   └── CorruptTiles       status corrupt_tiles
├── WeightsUnavailable     encoder weights that are gated, missing or of another architecture
├── FeatureFileError       a feature file that is broken or does not fit
├── IndexMismatch          an index folder that is damaged or was built with something else
└── NoRoom                 a disk that is full
"""

from __future__ import annotations


class HistoseekError(Exception):
    """Base of every error raised on purpose; its text is shown without a traceback."""


class ConfigError(HistoseekError):
    """A configuration value or combination that cannot work."""


class IncompatibleParts(ConfigError):
    """Parts of an engine whose types do not fit."""


class CohortError(HistoseekError):
    """A cohort table that cannot be read, or labels that it does not have."""


class SlideError(HistoseekError):
    """A fault of one slide; `status` is what the status table shows for it."""

    status = "failed"


class UnreadableSlide(SlideError):
    """The file does not open, or nothing usable can be read from it."""

    status = "unreadable"


class MppMissing(SlideError):
    """Neither the cohort table nor the file states microns per pixel, and no default was set."""

    status = "mpp_missing"


class CorruptTiles(SlideError):
    """The slide opens, but some of its patches cannot be decoded."""

    status = "corrupt_tiles"


class WeightsUnavailable(HistoseekError):
    """Weights that are gated, missing, truncated or of another architecture."""


class FeatureFileError(HistoseekError):
    """A feature file that is broken or does not fit its slide, encoder or index."""


class IndexMismatch(HistoseekError):
    """An index folder that is damaged, or was built with something else than what is asked of it."""


class NoRoom(HistoseekError):
    """A disk that is full, or a limit on what a user may write."""
