# For captioning and searching, not for training. See docs/nas.md.

FROM python:3.12-slim AS build
RUN pip install --no-cache-dir uv
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY docker/overrides.txt docker/
COPY captioner captioner
COPY weights/base weights/base
RUN python -m venv --without-pip /opt/captioner \
    && uv pip install --no-cache --python /opt/captioner/bin/python \
        --override docker/overrides.txt ".[heic,raw]"

FROM python:3.12-slim
COPY --from=build /opt/captioner /opt/captioner
ENV PATH=/opt/captioner/bin:$PATH \
    CAPTIONER_HOME=/data \
    PYTHONDONTWRITEBYTECODE=1
# World-writable, so that any user can write to a volume created from it.
RUN mkdir --mode=1777 /data /photos
VOLUME /data
USER 1000:1000
ENTRYPOINT ["captioner"]
CMD ["--help"]
