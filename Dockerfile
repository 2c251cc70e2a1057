# syntax=docker/dockerfile:1
# CPU image: docker build -t brats-cascade . && docker run --rm -v "$PWD:/work" brats-cascade predict CASE --model models/NAME --out out
FROM python:3.12-slim AS base
# Tools that `make setup` and DVC need in addition to Python.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends git make \
    && rm -rf /var/lib/apt/lists/*

# Stage for the editor (.devcontainer): tools only; the clone is mounted and sets up its own .venv.
FROM base AS dev
WORKDIR /workspaces/brats-cascade

FROM base
WORKDIR /opt/brats-cascade
COPY Makefile pyproject.toml requirements.txt README.md LICENSE ./
COPY src ./src
RUN make setup && useradd --create-home --uid 1000 user
ENV PATH=/opt/brats-cascade/.venv/bin:$PATH
USER 1000
WORKDIR /work
ENTRYPOINT ["brats-cascade"]
CMD ["--help"]
