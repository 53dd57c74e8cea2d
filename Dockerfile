# A static program and the public certificate authorities, nothing else. It
# needs no shell, no writable file and no privileges, and takes its settings from
# the environment: docs/containers.md. The build needs BuildKit.

FROM golang:1.26 AS build
WORKDIR /src
# With .git in the context, the program knows its version and commit.
RUN --mount=type=bind,target=/src \
    --mount=type=cache,target=/go/pkg/mod \
    --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 go build -tags nomsgpack -trimpath -ldflags '-s -w' -o /countersign ./cmd/countersign

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /countersign /usr/local/bin/
# By number, so that Kubernetes can verify that it isn't root.
USER 65532:65532
EXPOSE 8080
# The command itself gives up after 5 seconds.
HEALTHCHECK --interval=10s --timeout=6s --retries=3 --start-period=1m --start-interval=1s \
    CMD ["countersign", "healthcheck"]
ENTRYPOINT ["countersign"]
CMD ["serve"]
