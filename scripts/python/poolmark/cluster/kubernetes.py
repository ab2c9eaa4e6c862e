# SPDX-License-Identifier: Apache-2.0
"""A Kubernetes Indexed Job with a headless service, as YAML: a pod a rank, no operator.

The pods find each other by the names that the service gives them (NAME-INDEX.NAME). Pods 1 and up run sshd as the image's user; pod 0 runs
mpirun, whose agent is ssh, and ends them afterwards. The key is a secret of the cluster, NAME-ssh, that people make once (`preparation`).
One pod a node, no second attempt: a record is of one run.
"""
import dataclasses
import json
import shlex
from collections.abc import Sequence

from poolmark.cluster.asked import Asked
from poolmark.cluster.calls import Call
from poolmark.cluster.mpirun import CLOSING_S, SETTINGS, program_words, record_folder

MIB = 1 << 20
SSH_PORT = 2222         # a user's sshd cannot have 22
KEYS, DATA = "/keys", "/data"
ALL_PORTS = "1024 65535"

# Both use a copy of the key, which ssh wants to be nobody else's.
COMMON = f"""\
umask 077
mkdir -p /tmp/ssh
cp {KEYS}/* /tmp/ssh/
ulimit -S -n "$(ulimit -H -n)"
"""
# The sshd of a rank ends by the SIGTERM of pod 0, which is no failure.
RANK = f"""\
cp /tmp/ssh/id.pub /tmp/ssh/authorized_keys
/usr/sbin/sshd -D -e -f /dev/null -p {SSH_PORT} -h /tmp/ssh/id -o PidFile=/tmp/ssh/pid -o UsePAM=no -o StrictModes=no \\
    -o PasswordAuthentication=no -o AuthorizedKeysFile=/tmp/ssh/authorized_keys || true
"""
FIRST = """\
agent="ssh -q -p {port} -i /tmp/ssh/id -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes"
hosts={name}-0.{name}
for rank in $(seq 1 {last}); do
    host={name}-$rank.{name}
    until $agent "$host" true; do sleep 1; done
    hosts=$hosts,$host
done
worst=0
call() {{
    code=0 folder=$1 left={closing}
    shift
    "$@" || code=$?
    while [ "$left" -gt 0 ] && grep -qE '"status": *"running"' "$folder/run.json" 2>/dev/null; do
        sleep 1
        left=$((left - 1))
    done
    if [ "$code" -gt "$worst" ]; then worst=$code; fi
}}
{calls}
for rank in $(seq 1 {last}); do $agent "{name}-$rank.{name}" 'kill "$(cat /tmp/ssh/pid)"' || true; done
{told}exit "$worst"
"""


def preparation(asked: Asked) -> list[str]:
    """The commands that make the key once, for people."""
    return [f"ssh-keygen -q -t ed25519 -N '' -f {asked.name}-key",
            f"kubectl create secret generic {asked.name}-ssh --from-file=id={asked.name}-key --from-file=id.pub={asked.name}-key.pub"]


def first_script(calls: Sequence[Call], asked: Asked) -> str:
    out = asked.out if asked.out.startswith("/") else f"{DATA}/{asked.out}"
    placed = dataclasses.replace(asked, out=out)
    several = len(calls) > 1
    lines = [f"call {shlex.quote(record_folder(call, placed, several))} mpirun -n {asked.ranks} --host \"$hosts\" --map-by node --mca plm_rsh_agent \"$agent\" "
             f"{shlex.join([*SETTINGS, *program_words(call, placed, several)])}" for call in calls]
    # Without a claim the folder ends with the pod: its record goes to the log.
    told = "" if asked.claim else f"find {shlex.quote(out)} -name run.json -exec cat {{}} +\n"
    return FIRST.format(port=SSH_PORT, closing=CLOSING_S, name=asked.name, last=asked.ranks - 1, calls="\n".join(lines), told=told)


def block(text: str, indent: int) -> str:
    """A text of several lines as YAML's literal block."""
    return "|\n" + "\n".join(" " * indent + line if line else "" for line in text.rstrip("\n").splitlines())


def pod_script(calls: Sequence[Call], asked: Asked) -> str:
    return (f"{COMMON}if [ \"$JOB_COMPLETION_INDEX\" != 0 ]; then\n{RANK}exit 0\nfi\n{first_script(calls, asked)}")


def manifest(calls: Sequence[Call], asked: Asked, note: str = "") -> str:
    """The service and the job. Texts of people are quoted as JSON, which is YAML."""
    quoted = json.dumps
    store = f"persistentVolumeClaim: {{ claimName: {asked.claim} }}" if asked.claim else "emptyDir: {}"
    notes = "".join(f"# {line}\n" for line in [*note.splitlines(), "Once before:", *preparation(asked)])
    return f"""\
{notes}apiVersion: v1
kind: Service
metadata:
  name: {asked.name}
spec:
  clusterIP: None
  publishNotReadyAddresses: true # ranks look for each other while pods start
  selector: {{ job-name: {asked.name} }}
---
apiVersion: batch/v1
kind: Job
metadata:
  name: {asked.name}
spec:
  completionMode: Indexed
  completions: {asked.ranks}
  parallelism: {asked.ranks}
  backoffLimit: 0
  activeDeadlineSeconds: {max(1, round(asked.seconds))}
  template:
    metadata:
      labels: {{ app: {asked.name} }}
    spec:
      subdomain: {asked.name}
      restartPolicy: Never
      securityContext:
        sysctls:
          - {{ name: net.ipv4.ip_local_port_range, value: {quoted(ALL_PORTS)} }}
      affinity:
        podAntiAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
            - topologyKey: kubernetes.io/hostname
              labelSelector: {{ matchLabels: {{ app: {asked.name} }} }}
      containers:
        - name: rank
          image: {quoted(asked.image)}
          workingDir: {DATA}
          resources:
            requests: {{ cpu: {quoted(str(asked.cores))}, memory: {(asked.memory_bytes or 0) // MIB}Mi }}
            limits: {{ cpu: {quoted(str(asked.cores))}, memory: {(asked.memory_bytes or 0) // MIB}Mi }}
          command: ["/bin/bash", "-euo", "pipefail", "-c"]
          args:
            - {block(pod_script(calls, asked), 14)}
          volumeMounts:
            - {{ name: keys, mountPath: {KEYS}, readOnly: true }}
            - {{ name: data, mountPath: {DATA} }}
      volumes:
        - name: keys
          secret: {{ secretName: {asked.name}-ssh }}
        - name: data
          {store}
"""
