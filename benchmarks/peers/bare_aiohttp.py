"""The practical limit: an aiohttp loop that fetches each slice and parses the answer, and does nothing else.

python bare_aiohttp.py job.json
"""

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
import orjson
from yarl import URL


def urls(job: dict[str, Any]) -> Iterator[tuple[int, URL]]:
    for day in job["days"]:
        times = {"from": f"{day} 00:00:00", "to": f"{day} 23:59:59", "timezone": "+00:00"}
        for population in job["populations"]:
            query = urlencode(times | {"type": population}, quote_via=quote, safe=":")
            url = URL(f"{job['base_url']}{job['path']}?{query}", encoded=True)
            for org in range(len(job["orgs"])):
                yield org, url


async def fetch_all(job: dict[str, Any]) -> dict[str, int]:
    slices = tests = 0
    headers = [{"Authorization": aiohttp.encode_basic_auth(org["username"], org["access_key"])} for org in job["orgs"]]
    wanted = urls(job)

    async def worker(session: aiohttp.ClientSession) -> None:
        nonlocal slices, tests
        for org, url in wanted:
            async with session.get(url, headers=headers[org]) as response:
                answer = orjson.loads(await response.read())
            slices += 1
            tests += answer["data"]["products"]["automation"]["totalTests"]

    connector = aiohttp.TCPConnector(limit=job["concurrency"])
    async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as workers:
        for _ in range(job["concurrency"]):
            workers.create_task(worker(session))
    return {"slices": slices, "tests": tests}


print(json.dumps(asyncio.run(fetch_all(json.loads(Path(sys.argv[1]).read_text())))))
