"""Logging, and the frame around every stage: console lines on a terminal, JSON elsewhere, one line on failure."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import structlog

from chartcode.errors import ChartcodeError

DEBUG_VARIABLE = "CHARTCODE_DEBUG"


def configure() -> None:
    """Send structlog to standard error: coloured lines on a terminal, one JSON object a line otherwise."""
    on_terminal = sys.stderr.isatty()
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if on_terminal else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[structlog.processors.add_log_level, structlog.processors.TimeStamper(fmt="iso"), renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),  # whatever stderr is when something is said
        cache_logger_on_first_use=False,
    )


def log(stage: str) -> structlog.stdlib.BoundLogger:
    """A logger that says which stage speaks."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger().bind(stage=stage)
    return logger


def guarded(work: Callable[[], None]) -> int:
    """Run `work` and return an exit status: 0, or after one line on standard error 1, or 130 for Ctrl-C.

    A traceback can quote a cell value, so an unexpected error is reported by type and place alone;
    CHARTCODE_DEBUG=1 shows it whole, for a developer on data that may be seen.
    """
    configure()
    try:
        work()
    except ChartcodeError as error:
        if os.environ.get(DEBUG_VARIABLE):
            raise
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("error: interrupted; type the same command again, or make reset\n")
        return 130  # 128 + SIGINT, as shells have it
    except OSError as error:
        if os.environ.get(DEBUG_VARIABLE):
            raise
        sys.stderr.write(f"error: {error.filename or 'file'}: {error.strerror or type(error).__name__}\n")
        return 1
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE):
            raise
        place = traceback.extract_tb(error.__traceback__)[-1]
        sys.stderr.write(
            f"error: unexpected {type(error).__name__} in {Path(place.filename).name}:{place.lineno}; "
            f"{DEBUG_VARIABLE}=1 shows the traceback, which may quote data\n"
        )
        return 1
    return 0


def run_stage(work: Callable[[], None]) -> None:
    """What a stage script calls under `if __name__ == "__main__"`."""
    sys.exit(guarded(work))
