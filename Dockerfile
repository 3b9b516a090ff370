# The images, for people with a container engine:
#
#   docker build --target manager -t my/manager:v1 --build-arg VERSION=v1 .
#   docker build --target runner  -t my/runner:v1 --build-arg VERSION=v1 .
#   docker build --target gateway -t my/gateway:v1 --build-arg VERSION=v1 .
#   docker build --target python  -t my/python:v1  .
#   docker build --target cli     -t my/taskgroup:v1 --build-arg VERSION=v1 .
#
# For clusters with nodes of several architectures, docker buildx compiles on the
# build machine's own and builds only the Python image in an emulator:
#
#   docker buildx build --platform linux/amd64,linux/arm64 --target runner -t my/runner:v1 --push .
#
# hack/image makes the first four without an engine; what differs is a bug.

FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY api api
COPY cmd cmd
COPY config config
COPY controllers controllers
COPY contract contract
COPY store store
COPY executor executor
COPY gateway gateway
COPY internal internal
COPY python python
COPY runner runner
ARG VERSION=dev
ARG LDFLAGS="-s -w -X github.com/taskgroup-operator/taskgroup-operator/internal/version.Version=$VERSION"
# The engine sets both. Without one that does, Go builds for its own platform.
ARG TARGETOS
ARG TARGETARCH
RUN export CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH && \
    go build -trimpath -ldflags "$LDFLAGS" -o /out/manager ./cmd/manager && \
    go build -trimpath -ldflags "$LDFLAGS" -o /out/runner ./cmd/runner && \
    go build -trimpath -ldflags "$LDFLAGS" -o /out/gateway ./cmd/gateway && \
    go build -trimpath -ldflags "$LDFLAGS" -o /out/taskgroup ./cmd/taskgroup

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

# The asset gateway. It connects to the API server, and to its bucket if it has one: the
# program has the public certificate authorities.
FROM scratch AS gateway
COPY --from=build /out/gateway /gateway
USER 65532:65532
ENTRYPOINT ["/gateway"]

# The command line, for steps of a pipeline, and the bridge beside a dispatcher in a
# cluster: both use the pod's service account where there is no kubeconfig. A
# dispatcher's own image copies /taskgroup from here, and an S3 or HTTPS store is
# read with the certificates of the build image.
FROM scratch AS cli
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/taskgroup /taskgroup
USER 65532:65532
ENTRYPOINT ["/taskgroup"]

# A default image for tasks: Python with cloudpickle, numpy and a shell.
FROM debian:bookworm-slim AS python
COPY hack/image/recipe/python-packages.txt /tmp/
RUN apt-get update && \
    apt-get install --yes --no-install-recommends python3-minimal libpython3-stdlib python3-pip libstdc++6 ca-certificates dash coreutils && \
    pip3 install --no-cache-dir --break-system-packages --no-deps --only-binary=:all: --require-hashes -r /tmp/python-packages.txt && \
    rm -rf /var/lib/apt/lists/* /tmp/python-packages.txt
ENV LANG=C.UTF-8
USER 65532:65532
CMD ["python3"]
