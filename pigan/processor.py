"""The processor: how many of it there are to use, and what Linux tells of it."""

import os
import platform
from pathlib import Path

TOLD = Path("/proc/cpuinfo")


def usable_processors() -> int:
    """How many this process may use, as a cluster's scheduler set it."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor_name() -> str:
    """What people call it; empty where it has no name."""
    return _told("model name") or platform.processor()


def instructions() -> list[str]:
    """What it can do beyond the usual; x86 calls them flags, ARM features."""
    return (_told("flags") or _told("Features")).split()


def _told(key: str) -> str:
    """What is told of the first processor under this key; empty where nothing is."""
    lines = TOLD.read_text(encoding="utf-8").splitlines() if TOLD.is_file() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.split(":")[0].strip() == key), "")
