# The collector's image: Python's own slim image, and above it one virtual environment in /opt/collector.
#
#   docker build --build-arg SOURCE_DATE_EPOCH="$(git log -1 --format=%ct)" -t usage-collector .
#   docker run --rm --read-only --tmpfs /tmp -v ./collector.yaml:/etc/collector/collector.yaml:ro -v data:/data \
#       usage-collector collect -o usage/
#
# scripts/image builds it twice, compares, runs and inspects it. Who keeps wheels behind an index of their own
# passes pip's configuration as a secret (--secret id=pip.conf,src=… --secret id=ca.pem,src=…): nothing stays.
#
# The default is a tag, which can become another image. Releases are built on a digest (scripts/image), which the label
# `org.opencontainers.image.base.name` shows. For a build of your own: --build-arg BASE=python@sha256:…
ARG BASE=python:3.13-slim-bookworm

FROM ${BASE} AS build
ENV PIP_CONFIG_FILE=/run/secrets/pip.conf \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /src

# First what changes seldom. The environment has no pip of its own: this stage's pip fills it.
COPY requirements/build.txt requirements/image.txt requirements/
RUN --mount=type=secret,id=pip.conf --mount=type=secret,id=ca.pem \
    pip install --no-compile --require-hashes --only-binary=:all: -r requirements/build.txt \
    && python3 -m venv --without-pip /opt/collector \
    && pip --python /opt/collector/bin/python install --no-compile --require-hashes --only-binary=:all: \
        -r requirements/image.txt

# Then the collector: its own wheel, of what is here, with nothing fetched; so there is no version to choose (DL3013).
COPY pyproject.toml README.md LICENSE ./
COPY collector collector
COPY usage_collector usage_collector
# hadolint ignore=DL3013
RUN pip wheel --quiet --no-index --no-deps --no-build-isolation --wheel-dir /wheels . \
    && pip --python /opt/collector/bin/python install --no-compile --no-index --no-deps \
        --find-links /wheels usage-collector

# Bytecode is compiled here: the root is read-only later, and a CronJob would compile every module at each start.
# Unchecked hashes keep it independent of times, one process and a fixed hash seed make it the same each time.
# Other packages' commands, and tests that some of them ship, have no business in the image.
ARG SOURCE_DATE_EPOCH=0
RUN find /opt/collector/bin -mindepth 1 ! -name collector ! -name 'python*' -delete \
    && find /opt/collector/lib -type d \( -name tests -o -name testing \) -prune -exec rm -r {} + \
    && PYTHONHASHSEED=0 python3 -m compileall -q -f --invalidation-mode unchecked-hash /opt/collector/lib \
    && mkdir -p /image/opt /image/etc/collector /image/data && chown 65532:65532 /image/data \
    && mv /opt/collector /image/opt/ \
    && find /image -exec touch --no-dereference --date="@${SOURCE_DATE_EPOCH}" {} +


FROM ${BASE}
# No installer is left: nothing is ever installed into a running container.
RUN rm -rf /usr/local/bin/pip* /usr/local/lib/python3*/ensurepip /usr/local/lib/python3*/site-packages/pip* \
    /usr/local/lib/python3*/site-packages/setuptools* /usr/local/lib/python3*/site-packages/wheel*
# The environment; /etc/collector, where the config is looked for; and /data, where `state/` and `usage/` go.
COPY --from=build /image/ /
ENV PATH=/opt/collector/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /data
USER 65532:65532
STOPSIGNAL SIGTERM
# For `serve`. `collect` and `backfill` end by themselves: run them with --no-healthcheck.
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["collector", "healthcheck"]
ENTRYPOINT ["collector"]

ARG VERSION=unknown
ARG REVISION=unknown
ARG BASE
LABEL org.opencontainers.image.title="usage-collector" \
      org.opencontainers.image.description="Collects the usage of many TestMu AI (formerly LambdaTest) organizations" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE}"
