# SPDX-License-Identifier: Apache-2.0
# Poolmark, installed, on Debian 12.
#
#   docker build -t poolmark .
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/data" poolmark suite quick --only slab --connections 1000
#
# Runs are written to /data/results/runs. Without .git in the context the programs' commit is "unknown".
FROM debian:12-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends git make && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY scripts/deps scripts/deps
COPY third_party/package.json third_party/package-lock.json third_party/
RUN scripts/deps
COPY . .
RUN make -j"$(nproc)" programs && make install DESTDIR=/installed

FROM debian:12-slim
RUN apt-get update && apt-get install -y --no-install-recommends \
        libbenchmark1debian libgoogle-perftools4 libjansson4 libjemalloc2 libmd0 libmicrohttpd12 libmimalloc2.0 \
        libpaho-mqtt1.3 libsqlite3-0 mosquitto nodejs python3 python3-jinja2 python3-jsonschema python3-scipy zlib1g \
    && rm -rf /var/lib/apt/lists/* && useradd --create-home poolmark && install -d -o poolmark /data
COPY --from=build /installed /
RUN ldconfig
USER poolmark
WORKDIR /data
ENTRYPOINT ["poolmark"]
