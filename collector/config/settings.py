"""All settings of one load, layered by pydantic-settings.

Owns the order of the layers and the top level of the file. Reads neither the process's
environment nor any file itself: `Layers` brings what there is.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from collector.config.layers import Layers, TreeSource
from collector.config.sections import Api, Defaults, Log, Output, Push, Schedule, Service, State, Text, key
from collector.config.types import Duration


class Settings(BaseSettings):
    """What the config says, the orgs apart: those are values of `collector.model`."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    api: Api = Field(default_factory=Api, description="the API and how gently it is asked")
    defaults: Defaults = Field(default_factory=Defaults, description="for every org that doesn't say otherwise")
    org_files: tuple[Text, ...] = key(("orgs.d/*.yaml",), "more orgs: paths or globs, relative to this file")
    same_organization: Literal["refuse", "allow"] = key(
        "refuse", "what to do with two orgs that turn out to be one organization"
    )
    trust_zero_for: Duration = key("60d", "age from which an all-zero answer is unverified")
    output: Output = Field(default_factory=Output, description="where records go")
    state: State = Field(default_factory=State, description="where the ledger is")
    schedule: Schedule = Field(default_factory=Schedule, description="when to collect, and what to ask again")
    service: Service = Field(default_factory=Service, description="what `serve` answers")
    push: Push = Field(default_factory=Push, description="where the metrics of runs that end go")
    log: Log = Field(default_factory=Log, description="what is logged to stderr")

    @classmethod
    def of(cls, layers: Layers) -> Settings:
        """Return the settings of those layers. Raises pydantic's ValidationError with all that is wrong."""
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
        """Return options, environment and file, in this order; without layers only what was passed in."""
        del env_settings, dotenv_settings, file_secret_settings  # they read the process's own environment
        given = init_settings.init_kwargs.get("layers") if isinstance(init_settings, InitSettingsSource) else None
        if not isinstance(given, Layers):
            return (init_settings,)
        return tuple(TreeSource(settings_cls, tree) for tree in (given.overrides, given.variables, given.data))
