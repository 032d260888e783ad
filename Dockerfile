# One image for every role. Not tried where it was written: there was no Docker (docs/deploy.md).
FROM python:3.13-slim AS build
WORKDIR /src
COPY . .
RUN python -m venv /opt/tingchao && /opt/tingchao/bin/pip install --no-cache-dir --constraint requirements.lock .

FROM python:3.13-slim
RUN useradd --system --home-dir /var/lib/tingchao --create-home tingchao
COPY --from=build /opt/tingchao /opt/tingchao
ENV PATH=/opt/tingchao/bin:$PATH TINGCHAO_CONFIG=/etc/tingchao TINGCHAO_DB=/var/lib/tingchao/tingchao.db TINGCHAO_HEALTH=0.0.0.0:9000
USER tingchao
WORKDIR /var/lib/tingchao
VOLUME /var/lib/tingchao
# Every role answers here; `restart: unless-stopped` or the orchestrator acts on it.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:9000/healthz', timeout=4)"]
ENTRYPOINT ["tingchao"]
CMD ["up"]
