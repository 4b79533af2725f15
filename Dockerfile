# The inference server: `docker build --target cpu -t scnas-deploy:0.1.0-cpu .`, or gpu for both.
#
# Neither image holds PyTorch, a compiler or pip's cache. Both run as user 10001 on a read-only root: what they write
# goes to the spool, to the models, to the cache and to /tmp, which are mounted.
# A tag can be moved; to build on a base that cannot, name it by its digest:
#   docker build --build-arg PYTHON=python@sha256:DIGEST ...
# A hospital's own package index is named by --build-arg PIP_INDEX_URL=..., and stays out of the images. The gpu image needs
# NVIDIA's index besides, which TensorRT's packages load their libraries from, or PIP_EXTRA_INDEX_URL with a copy of it.
ARG PYTHON=python:3.11-slim-bookworm

FROM ${PYTHON} AS build
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /source
COPY constraints.txt ./
RUN python -m venv /opt/build \
    && /opt/build/bin/pip install --quiet --constraint constraints.txt hatchling \
    && python -m venv --without-pip /opt/scnas
COPY LICENSE README.md pyproject.toml ./
COPY scnas_deploy ./scnas_deploy
RUN /opt/build/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir /wheels .

FROM build AS installed-cpu
RUN /opt/build/bin/pip --python /opt/scnas/bin/python install --quiet --constraint constraints.txt \
    "scnas-deploy[cpu,serve,sign] @ file://$(echo /wheels/*.whl)"

# CUDA, cuDNN and TensorRT come as Python packages: of the machine, only NVIDIA's driver and container runtime are needed.
FROM build AS installed-gpu
RUN /opt/build/bin/pip --python /opt/scnas/bin/python install --quiet --constraint constraints.txt \
    "scnas-deploy[gpu,serve,sign] @ file://$(echo /wheels/*.whl)"

FROM ${PYTHON} AS runtime
LABEL org.opencontainers.image.title="scnas-deploy" \
      org.opencontainers.image.description="3-D medical image segmentation between a PACS and its models. For research use only." \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN mkdir --parents /etc/scnas /var/lib/scnas/spool /var/lib/scnas/models /var/lib/scnas/audit /var/cache/scnas \
    && chown --recursive 10001:10001 /var/lib/scnas /var/cache/scnas
ENV PATH=/opt/scnas/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    SCNAS_CACHE=/var/cache/scnas \
    SCNAS_MODELS=/var/lib/scnas/models \
    SCNAS_SERVE_SETTINGS=/etc/scnas/serve.toml
WORKDIR /var/lib/scnas
USER 10001:10001
# gRPC, DICOM, health and metrics
EXPOSE 50051 11112 8080
STOPSIGNAL SIGTERM
# Whether it is alive, not whether it is ready: a server with a full disk must not be started again and again.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["python", "-c", "from http.client import HTTPConnection as C; c = C('127.0.0.1', 8080, timeout=5); c.request('GET', '/livez'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["scnas"]
CMD ["serve", "/etc/scnas/serve.toml"]

FROM runtime AS gpu
ENV NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    NVIDIA_VISIBLE_DEVICES=all
COPY --from=installed-gpu /opt/scnas /opt/scnas

# The last one is built where none is named.
FROM runtime AS cpu
COPY --from=installed-cpu /opt/scnas /opt/scnas
