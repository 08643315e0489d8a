"""Numbers in words for people."""


def duration(seconds: float) -> str:
    """Two units at most: 40 s, 5 min, 2 h 10 min, 3 d 4 h."""
    minutes = round(seconds / 60)
    if seconds < 59.5:
        return f"{max(round(seconds), 0)} s"
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 60 * 24:
        return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"
    days, hours = divmod(round(minutes / 60), 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def rate(images_per_second: float) -> str:
    """Two digits at least: 123 img/s, 12 img/s, 1.2 img/s, 0.012 img/s."""
    digits = 0 if images_per_second >= 10 else 1 if images_per_second >= 1 else 3
    return f"{images_per_second:.{digits}f} img/s"
