"""The job as a declarative source of the Airbyte CDK, started as its connectors are.

python airbyte_source.py read --config config.json --catalog catalog.json
"""

import sys
from pathlib import Path

from airbyte_cdk.entrypoint import AirbyteEntrypoint, launch
from airbyte_cdk.sources.declarative.yaml_declarative_source import YamlDeclarativeSource

args = sys.argv[1:]
parsed = AirbyteEntrypoint.parse_args(args)
source = YamlDeclarativeSource(
    path_to_yaml=str(Path(__file__).with_name("airbyte_manifest.yaml")),
    config=YamlDeclarativeSource.read_config(parsed.config),
    catalog=YamlDeclarativeSource.read_catalog(parsed.catalog),
    state=None,
)
launch(source, args)
