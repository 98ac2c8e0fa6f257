# JupyterLab with everything installed; data, models and pages go to the volume. See docs/elsewhere.md.
FROM python:3.12-slim
# git: a test clones; graphviz: the diagram of notebook 06
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git graphviz make \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home reader \
    && install -d -o reader -g reader /home/reader/captioning /home/reader/work
USER reader
WORKDIR /home/reader/captioning
COPY --chown=reader . .
RUN PIP_NO_CACHE_DIR=1 make .venv/installed
ENV CAPTIONING_HOME=/home/reader/work PATH=/home/reader/captioning/.venv/bin:$PATH
VOLUME /home/reader/work
EXPOSE 8888
CMD ["jupyter", "lab", "--ip=0.0.0.0", "--no-browser", "notebooks"]
