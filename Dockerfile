# The images, for people with a container engine:
#
#   docker build --target manager -t my/manager:v1 .
#   docker build --target runner  -t my/runner:v1  .
#   docker build --target python  -t my/python:v1  .
#
# hack/image makes the same ones without an engine; what differs is a bug.

FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY api api
COPY cmd cmd
COPY controllers controllers
COPY executor executor
COPY python python
COPY runner runner
RUN CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o /out/manager ./cmd/manager && \
    CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o /out/runner ./cmd/runner

# The operator: one static program. It speaks to the API server alone, whose
# certificate authority is mounted into its pod.
FROM scratch AS manager
COPY --from=build /out/manager /manager
USER 65532:65532
ENTRYPOINT ["/manager"]

# The runner: PID 1 of every task pod, mounted from this image.
FROM scratch AS runner
COPY --from=build /out/runner /runner
USER 65532:65532
ENTRYPOINT ["/runner"]

# A default image for tasks: Python with cloudpickle and a shell.
FROM debian:bookworm-slim AS python
RUN apt-get update && \
    apt-get install --yes --no-install-recommends python3-minimal libpython3-stdlib python3-cloudpickle ca-certificates dash coreutils && \
    rm -rf /var/lib/apt/lists/*
ENV LANG=C.UTF-8
USER 65532:65532
CMD ["python3"]
