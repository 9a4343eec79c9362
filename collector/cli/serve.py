"""`collector serve`: the long-running service."""

from __future__ import annotations

import asyncio
from typing import Any

from collector.adapters.event_log import EventLog
from collector.adapters.heap import leave_out_modules
from collector.app.outputs import refuse_layout
from collector.app.prepare import refuse_file_as_output
from collector.cli.context import open_context
from collector.cli.streams import never_wait_for_stderr
from collector.core.exit_codes import ExitCode
from collector.service import serving


def serve(**options: Any) -> int:
    """Do what `collector serve` is called for; return the exit code."""
    never_wait_for_stderr()
    context = open_context(**options, sharded=True)
    refuse_file_as_output(context.config.settings)
    refuse_layout(context.config.settings)
    leave_out_modules()
    asyncio.run(
        serving.serve(
            context.config, load=context.reload, scope=context.scope, permits=context.permits, watch=EventLog()
        )
    )
    return ExitCode.OK
