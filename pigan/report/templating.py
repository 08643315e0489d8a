"""How the pages' templates are read."""

from jinja2 import Environment, PackageLoader, StrictUndefined


def environment(escaped: bool = True) -> Environment:
    """Templates of this package: everything escaped for HTML unless they make something else; unknown names refused."""
    return Environment(
        loader=PackageLoader("pigan.report"),
        autoescape=escaped,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
