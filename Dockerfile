# The engine as one process: docker compose builds it, every flow runs from it.
# The first image has a C compiler, the one that runs has none.
FROM python:3.12 AS built

WORKDIR /src
COPY pyproject.toml README.md ./
COPY benchmarks ./benchmarks
COPY flows ./flows
COPY operators ./operators
COPY schemas ./schemas
COPY sinks ./sinks
COPY sources ./sources
COPY state ./state
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.12-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

RUN useradd --create-home --uid 10001 flowsell \
    && install -d -o flowsell -g flowsell /var/lib/flowsell
WORKDIR /srv/flowsell

# Dependencies first: they change less often than the code.
COPY requirements.lock ./
RUN pip install --require-hashes -r requirements.lock

COPY --from=built /wheels /wheels
RUN pip install --no-deps /wheels/*.whl

USER flowsell
VOLUME /var/lib/flowsell
# SIGTERM drains: the flow commits what it holds and exits 0.
STOPSIGNAL SIGTERM
ENTRYPOINT ["flowsell"]
CMD ["run", "engagement"]
