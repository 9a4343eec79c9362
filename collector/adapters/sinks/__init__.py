"""The outputs for records: stdout, or a directory of sealed files."""

from collector.adapters.sinks.directory import DirectorySink
from collector.adapters.sinks.look import OutputLook
from collector.adapters.sinks.singer import SingerSink
from collector.adapters.sinks.stdout import StdoutSink

__all__ = ["DirectorySink", "OutputLook", "SingerSink", "StdoutSink"]
