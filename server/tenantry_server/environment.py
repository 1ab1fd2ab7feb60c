"""The settings that a command runs by, and what is opened by them."""

from collections.abc import Callable
from dataclasses import dataclass

import click

from . import config
from .bootstrap import Services, wire
from .config import ConfigError, Settings
from .operator_files import load_catalog, load_regions
from .store.database import Database
from .store.urls import open_database


@dataclass(frozen=True)
class Environment:
    """The settings, and what is opened by them."""

    settings: Settings

    def database(self) -> Database:
        """The database. Raises ConfigError."""
        try:
            return open_database(self.settings.database_url, prepare=self.settings.database_prepare)
        except ValueError as error:
            raise ConfigError(f"{config.PREFIX}DATABASE_URL {error}") from None
        except OSError as error:
            raise ConfigError(f"{config.PREFIX}DATABASE_URL: its folder cannot be made: {error.strerror}") from error

    def services(self) -> Services:
        """The use cases. Raises ConfigError or SchemaError."""
        settings = self.settings
        catalog, regions = load_catalog(settings.permissions_file), load_regions(settings.regions_file)
        return wire(self.database(), catalog, settings.limits, regions=regions)


pass_environment: Callable[[Callable[..., None]], Callable[..., None]] = click.make_pass_decorator(Environment)
