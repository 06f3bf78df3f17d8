"""The log: one event a line on standard error, as JSON or as text.

Events are named `<noun>.<past participle>` and carry fixed keys. This module blanks what may be a secret, masks
CPFs, limits how often one event is written (and says how many it left out), and never blocks its caller: a line
that standard error does not take at once is dropped and counted. Only standard error is written, never a file.
"""

import logging
import os
import re
import select
import sys
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Literal

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from aaad.clock import monotonic_s

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "exception": 40, "critical": 50}

# One event may be written so often in one window; a storm of one event must not hide the others.
EVENTS_PER_WINDOW = 20
WINDOW_S = 10.0
EVENT_NAMES_MAX = 512  # names come from our own code, so this is only reached by a bug; then all others share a limit
_OTHERS = "(others)"

_WRITE_OCTETS = 4096  # PIPE_BUF: what a pipe that polls as writable takes without blocking
_BLANK = "(blanked)"
_SECRET_KEY = re.compile(
    r"pass(word|wd|phrase)?|senha|secret|segredo|dsn|authenticator|token|credential|nt_hash|class_key|challenge",
    re.IGNORECASE,
)
_DOCUMENT_KEY = re.compile(r"(^|_)(cpf|cnpj|document)$", re.IGNORECASE)
_URI_PASSWORD = re.compile(r"(://[^/@\s:]*):[^@\s]*@")
_QUERY_PASSWORD = re.compile(r"(\bpassword\s*=\s*)('[^']*'|[^\s&']+)", re.IGNORECASE)
_CPF = re.compile(r"\b\d{3}\.(\d{3})\.(\d{3})-\d{2}\b")

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["json", "console"]
Log = FilteringBoundLogger


class RateLimit:
    """Lets so many events of one name through in each window, and counts the others. Bounded."""

    def __init__(
        self,
        *,
        events_per_window: int = EVENTS_PER_WINDOW,
        window_s: float = WINDOW_S,
        names_max: int = EVENT_NAMES_MAX,
        clock: Callable[[], float] = monotonic_s,
    ) -> None:
        """Start with nothing seen."""
        self._events_per_window = events_per_window
        self._window_s = window_s
        self._names_max = names_max
        self._clock = clock
        self._windows: dict[str, list[float]] = {}  # name -> [begin, let through, left out]
        self.suppressed_total = 0

    def admit(self, name: str) -> int | None:
        """Return how many were left out since the last one let through, or None if this one is left out too."""
        now_s = self._clock()
        window = self._windows.get(name)
        if window is None:
            if len(self._windows) >= self._names_max:
                name = _OTHERS
            window = self._windows.setdefault(name, [now_s, 0, 0])
        if now_s - window[0] >= self._window_s:
            window[0], window[1] = now_s, 0
        if window[1] >= self._events_per_window:
            window[2] += 1
            self.suppressed_total += 1
            return None
        window[1] += 1
        left_out, window[2] = int(window[2]), 0
        return left_out

    def take_suppressed(self) -> dict[str, int]:
        """Return what was left out under names that fell silent since, and forget those."""
        now_s = self._clock()
        silent = {
            name: int(window[2])
            for name, window in self._windows.items()
            if window[2] and now_s - window[0] >= self._window_s
        }
        for name in silent:
            del self._windows[name]
        return silent


class _StandardError:
    """Writes lines without ever waiting; counts what it could not write."""

    def __init__(self) -> None:
        self.dropped_total = 0
        self._torn = False

    def _write(self, line: str) -> None:
        # A line that was cut short is ended first, so that it spoils no other.
        data = b"\n" * self._torn + line.encode("utf-8", "backslashreplace") + b"\n"
        try:
            descriptor = sys.stderr.fileno()
        except (AttributeError, OSError, ValueError):  # a test's capture, or closed: nothing that could block
            if sys.stderr is not None:
                sys.stderr.write(line + "\n")
            return
        poll = select.poll()
        poll.register(descriptor, select.POLLOUT)
        while data:
            try:
                taken = os.write(descriptor, data[:_WRITE_OCTETS]) if poll.poll(0) else 0
            except OSError:  # nobody reads any more
                taken = 0
            if not taken:
                self.dropped_total += 1
                return
            data = data[taken:]
            self._torn = bool(data)

    debug = info = warning = error = critical = exception = msg = log = _write


_limit = RateLimit()
_standard_error = _StandardError()
_context: dict[str, Any] = {}
_level_least = _LEVELS["info"]
_processors: list[Processor] = []


def get_logger(room: str) -> Log:
    """Return the logger of a room: `get_logger("radius")`. Nothing is imported or opened before its first event."""
    logger: Log = structlog.get_logger(room=room)
    return logger


def configure_log(level: Level, log_format: Format, **context: object) -> None:
    """Set what is written and how, for the whole process; `context` stands in every event. May be called again."""
    global _level_least
    _level_least = _LEVELS[level]
    _context.clear()
    _context.update(context)
    # The list is changed in place, because loggers already used keep it.
    _processors[:] = [
        _leave_out_levels,
        _limit_rate,
        _add_context,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        blank_secrets,
        _render_console if log_format == "console" else structlog.processors.JSONRenderer(default=repr),
    ]
    structlog.configure(
        processors=_processors,
        wrapper_class=structlog.make_filtering_bound_logger(0),
        logger_factory=lambda *_: _standard_error,
        cache_logger_on_first_use=True,
    )


def report_suppressed() -> None:
    """Say which events were left out and are over, and how many lines standard error did not take."""
    for name, count in _limit.take_suppressed().items():
        get_logger("log").warning("log.suppressed", suppressed_event=name, suppressed=count)
    if _standard_error.dropped_total:
        dropped, _standard_error.dropped_total = _standard_error.dropped_total, 0
        get_logger("log").warning("log.dropped", dropped=dropped)


def adopt_standard_logging() -> None:
    """Write what libraries say through `logging` (asyncio, asyncpg) as events of ours, under the same limits."""
    root = logging.getLogger()
    root.handlers[:] = [_Adopted()]
    root.setLevel(logging.WARNING)


class _Adopted(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        level = "error" if record.levelno >= logging.ERROR else "warning"
        event = f"library.{record.name.split('.')[0]}"
        getattr(get_logger("log"), level)(event, message=record.getMessage(), exc_info=record.exc_info)


def _leave_out_levels(_logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    if _LEVELS.get(method, 0) < _level_least:
        raise structlog.DropEvent
    event["level"] = "error" if method == "exception" else method
    return event


def _limit_rate(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    left_out = _limit.admit(str(event.get("event")))
    if left_out is None:
        raise structlog.DropEvent
    if left_out:
        event["suppressed"] = left_out
    return event


def _add_context(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    for key, value in _context.items():
        event.setdefault(key, value)
    return event


def blank_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Blank values under keys that may hold secrets, passwords within URIs, and the middle of documents."""
    for key, value in event.items():
        event[key] = value if key == "event" and isinstance(value, str) else _clean(key, value, 0)
    return event


def _clean(key: str, value: object, depth: int) -> object:
    if value is None or isinstance(value, bool):
        return value
    if _SECRET_KEY.search(key):
        return _BLANK
    if _DOCUMENT_KEY.search(key):
        return mask_document(str(value))
    if isinstance(value, int | float):
        return value
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        return _clean_group(key, value, depth)
    text = value if isinstance(value, str) else repr(value)
    return _CPF.sub(r"***.\1.\2-**", _QUERY_PASSWORD.sub(rf"\1{_BLANK}", _URI_PASSWORD.sub(rf"\1:{_BLANK}@", text)))


_DEPTH_MAX = 4


def _clean_group(key: str, value: Any, depth: int) -> object:
    if depth == _DEPTH_MAX:
        return "(nested)"
    if isinstance(value, Mapping):
        return {str(inner): _clean(str(inner), item, depth + 1) for inner, item in value.items()}
    return [_clean(key, item, depth + 1) for item in value]


def mask_document(document: str) -> str:
    """Return a CPF or CNPJ with only its middle readable."""
    return f"***{document[3:-2]}**" if len(document) > 5 else "***"


def _render_console(_logger: WrappedLogger, _method: str, event: MutableMapping[str, Any]) -> str:
    # structlog's own console renderer would bring colours and rich tracebacks that show local values: secrets.
    time = str(event.pop("timestamp", ""))
    level = str(event.pop("level", ""))
    name = str(event.pop("event", ""))
    exception = event.pop("exception", None)
    pairs = " ".join(
        f"{key}={value!r}" if isinstance(value, str) else f"{key}={value}" for key, value in event.items()
    )
    line = f"{time} {level:<7} {name} {pairs}".rstrip()
    return f"{line}\n{exception}" if exception else line


configure_log("info", "console")
