"""The config: one YAML file, files with more orgs, variables and options laid over it.

Owns what can be configured, and reports all problems of a config at once: where, what, and
what would be right. Never shows the value of a secret.
"""

from __future__ import annotations

from collector.config.find import find_config
from collector.config.loader import LoadedConfig, files_now, load
from collector.config.schema import config_schema
from collector.config.settings import Settings

__all__ = ["LoadedConfig", "Settings", "config_schema", "files_now", "find_config", "load"]
