"""The outputs for records: stdout, a directory of sealed files, or a place that takes files whole."""

from collector.adapters.sinks.directory import DirectorySink
from collector.adapters.sinks.look import OutputLook
from collector.adapters.sinks.outbox import OutboxSink
from collector.adapters.sinks.singer import SingerSink
from collector.adapters.sinks.stdout import StdoutSink

__all__ = ["DirectorySink", "OutboxSink", "OutputLook", "SingerSink", "StdoutSink"]
