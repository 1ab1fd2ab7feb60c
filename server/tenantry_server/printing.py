"""How commands print what they made."""

import json

import click


def show(as_json: bool, **values: str) -> None:
    """Prints values with their names, one a line, or all of them as one line of JSON."""
    if as_json:
        click.echo(json.dumps(values))
    else:
        for name, value in values.items():
            click.echo(f"{name}: {value}")
