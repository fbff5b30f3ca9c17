# syntax=docker/dockerfile:1

FROM rust:1-bookworm AS build
WORKDIR /src
COPY . .
# The caches keep the dependencies between builds, whatever changed in the sources. `.sqlx` stands in for a database.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin payquery \
    && install -D target/release/payquery /out/payquery

FROM debian:bookworm-slim
# The authorities that outgoing TLS trusts: the newest that Debian has, so not pinned.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /out/payquery /usr/local/bin/payquery
# A user that owns nothing and has no name.
USER 10001:10001
ENV PAYQUERY_ADDR=0.0.0.0:8080
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["payquery", "healthcheck"]
# No shell in between: payquery is process 1, gets SIGTERM itself and drains.
ENTRYPOINT ["payquery"]
CMD ["serve"]
