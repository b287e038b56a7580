# The Penult server. docs/docker.md says how to build and run it.

# The base image, pinned to a patch release; docs/docker.md says how to pin its digest too.
ARG PYTHON_IMAGE=python:3.12.12-slim-bookworm

FROM ${PYTHON_IMAGE} AS dependencies
# What is installed of pyproject.toml's optional dependencies, separated by commas.
ARG EXTRAS=server,bundled,postgres
# One more package index: one with CPU builds of PyTorch makes an image without CUDA.
ARG PIP_EXTRA_INDEX_URL=""
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# Without pip, because the whole environment goes into the final image; the base image's pip fills it.
RUN python -m venv --without-pip /opt/penult
# The dependencies alone first, so that a change of the code does not download PyTorch again.
WORKDIR /src
COPY pyproject.toml ./
RUN python -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
        x = [r for e in '${EXTRAS}'.split(',') if e for r in p['optional-dependencies'][e.strip()]]; \
        print(*p['dependencies'], *x, sep='\n')" > requirements.txt \
    && pip --python /opt/penult install -r requirements.txt


FROM ${PYTHON_IMAGE} AS package
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv --without-pip /opt/penult
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY clients/ clients/
COPY service/ service/
# Into a tree of its own (/package/opt/penult/...), which becomes a small layer over the dependencies.
RUN pip --python /opt/penult install --no-deps --root /package .


FROM ${PYTHON_IMAGE}
ARG PYTHON_IMAGE
# What a registry shows beside the image: penult's version and the commit that it was built from.
ARG VERSION=""
ARG REVISION=""
LABEL org.opencontainers.image.title="penult" \
      org.opencontainers.image.description="Transfer learning as a service: image features, heads and search over gRPC" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${PYTHON_IMAGE}"
# A fixed number, so that a host can give a mounted directory to it; it owns nothing but /data.
RUN groupadd --system --gid 10001 penult \
    && useradd --system --uid 10001 --gid penult --home-dir /data --no-create-home --shell /usr/sbin/nologin penult \
    && install -d -o penult -g penult /data
# Two layers: the gigabytes of the first are stored and sent again only when a dependency changes.
COPY --from=dependencies /opt/penult /opt/penult
COPY --from=package /package /

# PENULT_*: settings, so that a flag after the image's name still overrides them. A container has to listen on
# all its addresses; which of them anybody can reach is decided where its port is published.
# *_HOME: downloaded weights survive the container, and a filled cache has a place to be mounted.
# MALLOC_*: what the setting tune_malloc does, from the first instruction and in every process; glibc
# reads them at process start only. Without them eager PyTorch on a CPU is up to 2.5 times slower.
# Threads need nothing here: the server counts the cores that it may use and says how many to each library.
ENV PATH=/opt/penult/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PENULT_DATA_DIR=/data \
    PENULT_LISTEN=0.0.0.0:50051 \
    PENULT_ALLOW_INSECURE=true \
    HF_HOME=/data/hub/huggingface \
    TORCH_HOME=/data/hub/torch \
    MALLOC_MMAP_THRESHOLD_=1073741824 \
    MALLOC_TRIM_THRESHOLD_=2147483648 \
    MALLOC_TOP_PAD_=67108864

# By number: Kubernetes' runAsNonRoot cannot judge a name.
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 50051
# `penult health` is SERVING only after a forward pass on the device; loading one takes its time at start.
HEALTHCHECK --interval=30s --timeout=10s --start-period=120s --retries=3 CMD ["penult", "health"]
# The exec form, so that SIGTERM reaches the server and not a shell.
ENTRYPOINT ["penult-server", "serve"]
