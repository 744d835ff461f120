# syntax=docker/dockerfile:1
# One image for each service: docker build --build-arg SERVICE=task-api .
# The build stage is the same for all of them, so that six images cost one compilation.

FROM rust:1.95.0-slim-bookworm AS build
# The image's own toolchain: rust-toolchain.toml also asks for clippy and rustfmt, which nothing here needs.
ENV RUSTUP_TOOLCHAIN=1.95.0
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY proto proto
COPY shared shared
COPY services services
COPY tests tests
# A cache mount is no part of the image, so the programs are copied out of it.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/usr/local/cargo/git \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked \
        -p task-api -p precheck -p capture -p consumer-group -p billing -p alerting \
    && mkdir /out \
    && cd target/release \
    && cp task-api precheck capture consumer-group billing alerting /out/

FROM debian:bookworm-slim
ARG SERVICE
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin rowcast
# Capture and precheck verify the certificates of sources against these.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/${SERVICE} /usr/local/bin/service
# Without SERVICE the line above copies a folder.
RUN test -f /usr/local/bin/service
USER rowcast
ENTRYPOINT ["/usr/local/bin/service"]
# The program asks the running one: the image has no HTTP client.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --start-interval=1s --retries=3 \
    CMD ["/usr/local/bin/service", "healthcheck"]
