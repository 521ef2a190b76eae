# nginx, which terminates TLS in front of the replicas. BASE has nginx and Python 3, which the health check needs.
ARG BASE
FROM ${BASE}
COPY nginx.conf /etc/nginx/nginx.conf
COPY probe.py /probe.py
USER 65532:65532
EXPOSE 8443
STOPSIGNAL SIGQUIT
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["python3", "-I", "/probe.py", "http://127.0.0.1:8081/ready"]
ENTRYPOINT ["nginx"]
CMD ["-g", "daemon off;"]
