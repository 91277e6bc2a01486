# One image for every part of a cluster; the command says which part a container is. See docs/cluster.md.
FROM python:3.11-slim

# What is installed beside the core: the extras of pyproject.toml. `bench` brings torch, which is large.
ARG EXTRAS="crawl node build postgres s3 sandbox ytdlp"

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONUNBUFFERED=1

# The packages first, and of our own files only those that name them: a change of our code installs none again.
WORKDIR /src
COPY pyproject.toml constraints.txt ./
RUN python -c "import sys, tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
print(*p['dependencies'], *(d for e in sys.argv[1:] for d in p['optional-dependencies'][e]), sep='\n')" ${EXTRAS} \
    > /tmp/requirements.txt \
 && pip install -c constraints.txt -r /tmp/requirements.txt

COPY . .
RUN pip install --no-deps . \
 && useradd --uid 10001 --create-home microlens \
 && install --directory --owner=microlens /runs /media

USER microlens
WORKDIR /home/microlens
ENV MICROLENS_RUNS_DIR=/runs
VOLUME /runs
ENTRYPOINT ["microlens-build"]
CMD ["--help"]
