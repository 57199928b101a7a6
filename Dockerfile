# syntax=docker/dockerfile:1
# The base is an argument: a company's own hardened Python image serves as well. It needs Debian's apt for libgomp.
ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/spillway
WORKDIR /src
# Dependencies first: they change rarely, and every one of them is known by its hash.
COPY requirements.lock ./
RUN /opt/spillway/bin/pip install --require-hashes --only-binary :all: -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY scorer scorer
COPY router router
COPY gateway gateway
COPY migrations migrations
COPY dashboards/web dashboards/web
# The build tools are in the lock too, so that building fetches nothing of its own.
RUN /opt/spillway/bin/pip install --no-deps --no-build-isolation . \
 && /opt/spillway/bin/pip uninstall --yes hatchling editables \
 && /opt/spillway/bin/python -m compileall -q /opt/spillway/lib

FROM ${BASE_IMAGE} AS run
# LightGBM is linked against libgomp. Its version is the base image's to choose, with its security fixes.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends libgomp1 \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --gid 10001 spillway \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin spillway \
 && install --directory --owner=10001 --group=10001 --mode=0750 /var/lib/spillway
COPY --from=build /opt/spillway /opt/spillway
ENV PATH=/opt/spillway/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    SPILLWAY_CONFIG=/etc/spillway/spillway.yaml
# By number: Kubernetes cannot tell that a name is not root.
USER 10001:10001
WORKDIR /var/lib/spillway
VOLUME /var/lib/spillway
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=4 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]
ENTRYPOINT ["spillway"]
CMD ["serve", "--config", "/etc/spillway/spillway.yaml"]
