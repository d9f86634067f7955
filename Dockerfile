# One image for every service: `docker run headgate gateway`, `… api`, `… routing`, `… worker`, `… migrate`.
FROM python:3.13-slim AS build
WORKDIR /app
# The gateway's hot modules are compiled into the wheel; nothing of the compiler stays in the image.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
RUN python -m venv /opt/headgate
COPY requirements.lock .
RUN /opt/headgate/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY .ci/hatch_build.py .ci/
COPY analytics analytics
COPY services services
COPY migrations migrations
RUN HEADGATE_COMPILE=always /opt/headgate/bin/pip install --no-cache-dir --no-deps .

FROM python:3.13-slim
RUN groupadd --system --gid 10001 headgate \
    && useradd --system --uid 10001 --gid headgate --home-dir /var/lib/headgate --create-home headgate
COPY --from=build /opt/headgate /opt/headgate
ENV PATH=/opt/headgate/bin:$PATH PYTHONUNBUFFERED=1 HEADGATE_GATEWAY_STATE_DIR=/var/lib/headgate/gateway
USER 10001:10001
WORKDIR /var/lib/headgate
ENTRYPOINT ["headgate"]
CMD ["--help"]
