"""All settings of one load, layered by pydantic-settings.

Owns the order of the layers and the top level of the file. Reads neither the process's
environment nor any file: `Layers` contains the values.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from collector.config.budgets import BudgetEntry
from collector.config.layers import Layers, TreeSource
from collector.config.prices import Prices
from collector.config.sections import Api, Defaults, Log, Output, Push, Schedule, Service, State, Text, key
from collector.config.types import Days


class Settings(BaseSettings):
    """All settings of the config except the orgs, which are values of `collector.model`."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    api: Api = Field(default_factory=Api, description="the API, and the limits on requests to it")
    defaults: Defaults = Field(default_factory=Defaults, description="values for orgs that don't set their own")
    org_files: tuple[Text, ...] = key(("orgs.d/*.yaml",), "more orgs: paths or globs, relative to this file")
    same_organization: Literal["refuse", "allow"] = key(
        "refuse", "what to do with two orgs that turn out to be one organization"
    )
    trust_zero_for: Days = key("60d", "age from which an all-zero answer is unverified")
    output: Output = Field(default_factory=Output, description="the output of records")
    state: State = Field(default_factory=State, description="the ledger's place")
    schedule: Schedule = Field(default_factory=Schedule, description="when to collect, and what to fetch again")
    service: Service = Field(default_factory=Service, description="the HTTP server of `serve`")
    push: Push = Field(default_factory=Push, description="where metrics are pushed")
    prices: Prices = Field(default_factory=Prices, description="what usage costs: for `--costs` and `--format focus`")
    budgets: tuple[BudgetEntry, ...] = key((), "what orgs may use in a month: for reports, metrics and alerts")
    log: Log = Field(default_factory=Log, description="the log on stderr")

    @classmethod
    def of(cls, layers: Layers) -> Settings:
        """Return the settings of those layers. Raises pydantic's ValidationError with all problems."""
        given: dict[str, Any] = {"layers": layers}
        return cls(**given)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return options, environment and file, in this order; without layers only the arguments."""
        del env_settings, dotenv_settings, file_secret_settings  # they read the process's own environment
        given = init_settings.init_kwargs.get("layers") if isinstance(init_settings, InitSettingsSource) else None
        if not isinstance(given, Layers):
            return (init_settings,)
        return tuple(TreeSource(settings_cls, tree) for tree in (given.overrides, given.variables, given.data))
