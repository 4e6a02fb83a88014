# The application with its locked dependencies. No Kafka runs in here: `docker compose up` brings one.
FROM python:3.13-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app

# Dependencies first: this layer is made again only when the lock changes.
COPY requirements.lock ./
RUN pip install --no-cache-dir --require-hashes -r requirements.lock

COPY pyproject.toml README.md LICENSE NOTICE ./
COPY schemas schemas
COPY streams streams
COPY online_models online_models
COPY agents agents
COPY examples examples
RUN pip install --no-cache-dir --no-deps --no-build-isolation --editable . \
 && useradd --system --uid 10001 --home-dir /app thalweg \
 && install --directory --mode 700 --owner thalweg /keys /keys/trusted /data

USER thalweg
ENV THALWEG_DATA_DIR=/data
ENTRYPOINT ["thalweg"]
CMD ["--help"]
