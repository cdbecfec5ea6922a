# The build context is the directory that scripts/image.sh prepares: a static binary and an empty
# data directory. Nothing is pulled.
FROM scratch
COPY --chown=65532:65532 data /var/lib/leasehold
COPY leasehold /leasehold
USER 65532:65532
ENV VAULT_ADDR=http://127.0.0.1:8200
EXPOSE 8200 8201 8301
VOLUME /var/lib/leasehold
HEALTHCHECK --interval=5s --timeout=3s --start-period=15s --retries=6 CMD ["/leasehold", "status"]
ENTRYPOINT ["/leasehold"]
CMD ["server"]
