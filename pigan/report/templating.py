"""How the pages' templates are read."""

from jinja2 import Environment, PackageLoader, StrictUndefined


def environment() -> Environment:
    """Templates of this package: everything escaped, unknown names refused."""
    return Environment(
        loader=PackageLoader("pigan.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
