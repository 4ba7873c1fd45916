# syntax=docker/dockerfile:1

FROM rust:1.95-bookworm AS build
WORKDIR /src
# Queries are checked against the committed .sqlx; no database is near.
ENV SQLX_OFFLINE=true CARGO_INCREMENTAL=0
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/usr/local/cargo/git \
    --mount=type=cache,target=/src/target \
    cargo build --profile dist --locked --bin annals && cp target/dist/annals /usr/local/bin/annals

FROM debian:bookworm-slim
RUN groupadd --system --gid 10001 annals \
    && useradd --system --uid 10001 --gid annals --home-dir /var/lib/annals --shell /usr/sbin/nologin annals \
    && install -d -o annals -g annals -m 0700 /var/lib/annals
COPY --from=build /usr/local/bin/annals /usr/local/bin/annals

USER annals
WORKDIR /var/lib/annals
# Keys, objects. A volume made from this image begins with this directory's owner.
VOLUME /var/lib/annals
ENV ANNALS_BIND=0.0.0.0:8080 ANNALS_DATA_DIR=/var/lib/annals
EXPOSE 8080

# bash opens the connection, so that the image needs no HTTP client.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["bash", "-c", \
    "exec 3<>/dev/tcp/127.0.0.1/8080 && printf 'GET /health/ready HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' >&3 && read -r -t 4 _ status _ <&3 && [ \"$status\" = 200 ]"]

# This image holds no PostgreSQL: DATABASE_URL has to name one.
ENTRYPOINT ["annals"]
CMD ["serve"]
