# SPDX-License-Identifier: Apache-2.0
"""What scripts/poolmark cluster gives to Slurm and to Kubernetes: bash and the launchers' own checks take it, and it does what it says."""
import json
import os
import re
import shutil
import signal
import subprocess
import time

import jsonschema
import pytest
import yaml

from poolmark.cluster import kubernetes, slurm
from poolmark.cluster.asked import KUBERNETES, SLURM, Asked
from poolmark.cluster.calls import Call

GUARD_S = 120
CALL = Call("connect", ("connect", "--connections", "1000", "--prefix", "it's"), "raw", 1000, False)
SECOND = Call("cell.1/qos1", ("publish", "--qos", "1"), "raw", 1000, True)
JOB = Asked(launcher=SLURM, ranks=3, cores=4, memory_bytes=8 << 30, seconds=90_061, targets=("mqtt://broker:1883",), out="there",
            partition="long", program="poolmark-loadgen-mpi")
PODS = Asked(launcher=KUBERNETES, ranks=3, cores=4, memory_bytes=8000 << 20, seconds=600, targets=("mqtt://broker:1883",), out="there",
             name="load", image="registry.example:5000/load/poolmark:1", program="poolmark-loadgen-mpi")


# --- Slurm


def options(text):
    return dict(line.removeprefix("#SBATCH --").split("=", 1) for line in text.splitlines() if line.startswith("#SBATCH "))


def test_the_script_asks_for_a_node_a_rank_with_the_limits():
    text = slurm.script([CALL], JOB)
    assert text.startswith("#!/bin/bash\n#SBATCH ")
    found = options(text)
    assert (found["nodes"], found["ntasks"], found["ntasks-per-node"], found["cpus-per-task"]) == ("3", "3", "1", "4")
    assert found["mem"] == "8192M" and found["time"] == "1-01:01:01" and found["partition"] == "long"


@pytest.mark.parametrize("seconds, text", [(60, "00:01:00"), (5400.4, "01:30:00"), (86_400, "1-00:00:00")])
def test_a_time_limit_is_written_as_sbatch_takes_it(seconds, text):
    assert slurm.time_limit(seconds) == text


def test_bash_takes_the_script(tmp_path):
    done = subprocess.run(["bash", "-n"], input=slurm.script([CALL, SECOND], JOB, "one\ntwo"), text=True, capture_output=True)
    assert done.returncode == 0 and done.stderr == ""


def script_beside(tmp_path, mpirun, calls=(CALL, SECOND)):
    """The script, and an environment whose mpirun is this one."""
    program = tmp_path / "mpirun"
    program.write_text(f"#!/bin/bash\n{mpirun}\n", encoding="utf-8")
    program.chmod(0o755)
    (tmp_path / "script").write_text(slurm.script(list(calls), JOB), encoding="utf-8")
    return ["bash", str(tmp_path / "script")], {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_NTASKS": "3"}


def test_the_script_plays_every_call_and_ends_with_the_worst_code(tmp_path):
    words, env = script_beside(tmp_path, f'printf "%s\\n" "$@" >>{tmp_path}/words; echo >>{tmp_path}/words; case "$*" in *connect*) exit 1 ;; esac')
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=GUARD_S)
    assert done.returncode == 1 and done.stderr == ""
    first, second = (part.split("\n") for part in (tmp_path / "words").read_text(encoding="utf-8").strip().split("\n\n"))
    assert first[:2] == ["-n", "3"] and first[-9:] == ["connect", "--connections", "1000", "--prefix", "it's", "--target", "mqtt://broker:1883",
                                                       "--record", "there/connect"]
    assert second[-1] == "there/cell.1/qos1"


def test_a_signal_of_slurm_reaches_mpirun_and_the_script_waits_for_its_end(tmp_path):
    words, env = script_beside(tmp_path, f'trap "touch {tmp_path}/told; exit 1" TERM; touch {tmp_path}/begun; while :; do sleep 0.05; done', [CALL])
    process = subprocess.Popen(words, env=env, start_new_session=True)
    limit = time.monotonic() + GUARD_S
    while not (tmp_path / "begun").exists():
        assert process.poll() is None and time.monotonic() < limit
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert process.wait(GUARD_S) == 1 and (tmp_path / "told").exists()


@pytest.mark.skipif(not shutil.which("sbatch"), reason="sbatch is not installed (Debian: slurm-client)")
def test_sbatch_takes_the_script():
    asked = Asked(**{**JOB.__dict__, "partition": None, "ranks": 1, "cores": 1, "memory_bytes": 64 << 20, "seconds": 60.0})
    done = subprocess.run(["sbatch", "--test-only"], input=slurm.script([CALL], asked), text=True, capture_output=True, timeout=GUARD_S)
    if re.search("configuration|contact slurm|resolve|No such file", done.stderr):
        pytest.skip(f"sbatch has no controller here: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr


# --- Kubernetes


def an(kind, **more):
    return {"type": kind, **more}


def obj(required, **fields):
    """An object with these fields and no other: a wrong name is found, as the API server finds it."""
    return an("object", properties=fields, required=required.split(), additionalProperties=False)


TEXT, NUMBER, FLAG, LABELS = an("string"), an("integer", minimum=0), an("boolean"), an("object", additionalProperties={"type": "string"})
LABEL = an("string", pattern="^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$")
AMOUNTS = obj("cpu memory", cpu=an("string", pattern="^[0-9]+$"), memory=an("string", pattern="^[0-9]+Mi$"))
# The fields of the API's documentation that the manifest uses (batch/v1 Job, v1 Service and what they contain).
SERVICE = obj("apiVersion kind metadata spec", apiVersion={"const": "v1"}, kind={"const": "Service"}, metadata=obj("name", name=LABEL),
              spec=obj("clusterIP selector", clusterIP={"const": "None"}, publishNotReadyAddresses=FLAG, selector=LABELS))
CONTAINER = obj("name image", name=LABEL, image=TEXT, workingDir=TEXT, command=an("array", items=TEXT), args=an("array", items=TEXT),
                resources=obj("requests limits", requests=AMOUNTS, limits=AMOUNTS),
                volumeMounts=an("array", items=obj("name mountPath", name=LABEL, mountPath=TEXT, readOnly=FLAG)))
TERM = obj("topologyKey labelSelector", topologyKey=TEXT, labelSelector=obj("matchLabels", matchLabels=LABELS))
POD = obj("containers restartPolicy", subdomain=LABEL, restartPolicy={"enum": ["Never", "OnFailure"]},
          securityContext=obj("sysctls", sysctls=an("array", items=obj("name value", name=TEXT, value=TEXT))),
          affinity=obj("podAntiAffinity", podAntiAffinity=obj(
              "requiredDuringSchedulingIgnoredDuringExecution", requiredDuringSchedulingIgnoredDuringExecution=an("array", items=TERM))),
          containers=an("array", items=CONTAINER, minItems=1),
          volumes=an("array", items=obj("name", name=LABEL, secret=obj("secretName", secretName=LABEL), emptyDir=obj(""),
                                        persistentVolumeClaim=obj("claimName", claimName=LABEL))))
KUBERNETES_JOB = obj("apiVersion kind metadata spec", apiVersion={"const": "batch/v1"}, kind={"const": "Job"}, metadata=obj("name", name=LABEL),
                     spec=obj("template", completionMode={"const": "Indexed"}, completions=NUMBER, parallelism=NUMBER, backoffLimit=NUMBER,
                              activeDeadlineSeconds=NUMBER, template=obj("metadata spec", metadata=obj("labels", labels=LABELS), spec=POD)))


def manifest(*calls, **changed):
    return kubernetes.manifest(calls or [CALL, SECOND], Asked(**{**PODS.__dict__, **changed}), "a note")


@pytest.mark.parametrize("claim", [None, "records"])
def test_the_manifest_has_the_form_of_the_api(claim):
    service, job = yaml.safe_load_all(manifest(claim=claim))
    for one, form in ((service, SERVICE), (job, KUBERNETES_JOB)):
        jsonschema.Draft202012Validator(form).validate(one)
    spec = job["spec"]
    assert spec["completions"] == spec["parallelism"] == 3 and spec["backoffLimit"] == 0 and spec["activeDeadlineSeconds"] == 600
    assert spec["template"]["spec"]["subdomain"] == service["metadata"]["name"] == job["metadata"]["name"] == "load"
    assert ("persistentVolumeClaim" in json.dumps(job)) == (claim is not None)


def test_the_form_finds_a_field_that_the_api_does_not_have():
    service, job = yaml.safe_load_all(manifest())
    job["spec"]["completion"] = 3
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(KUBERNETES_JOB).validate(job)
    service["spec"]["clusterIP"] = "10.0.0.1"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(SERVICE).validate(service)


def pod_script(**changed):
    return list(yaml.safe_load_all(manifest(**changed)))[1]["spec"]["template"]["spec"]["containers"][0]["args"][0]


def test_bash_takes_the_script_of_a_pod():
    done = subprocess.run(["bash", "-n"], input=pod_script(), text=True, capture_output=True)
    assert done.returncode == 0 and done.stderr == ""


def run_pod(tmp_path, index, ssh="exit 0", mpirun="exit 0", **changed):
    """Runs the script of a pod with stand-ins for what a cluster has; returns the finished process and what the stand-ins were called with."""
    for name, text in (("ssh", ssh), ("mpirun", mpirun), ("seq", 'exec /usr/bin/seq "$@"')):
        (tmp_path / name).write_text(f'#!/bin/bash\nprintf "{name} %s\\n" "$*" >>{tmp_path}/called\n{text}\n', encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "keys").mkdir()
    for name in ("id", "id.pub"):
        (tmp_path / "keys" / name).write_text("key\n", encoding="ascii")
    text = pod_script(**changed).replace("/keys/", f"{tmp_path}/keys/").replace("/tmp/ssh", f"{tmp_path}/copy").replace("/data", str(tmp_path)) \
        .replace("/usr/sbin/sshd", f"{tmp_path}/ssh")
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", text], capture_output=True, text=True, timeout=GUARD_S,
                          env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "JOB_COMPLETION_INDEX": str(index)})
    called = (tmp_path / "called").read_text(encoding="utf-8").splitlines() if (tmp_path / "called").exists() else []
    return done, called


def test_pod_0_waits_for_the_others_plays_the_calls_and_ends_them(tmp_path):
    done, called = run_pod(tmp_path, 0, mpirun='case "$*" in *connect*) exit 1 ;; esac')
    assert done.returncode == 1, done.stderr
    plays = [line for line in called if line.startswith("mpirun")]
    assert len(plays) == 2 and all("-n 3 --host load-0.load,load-1.load,load-2.load" in line for line in plays)
    assert [line.split()[-1] for line in called if line.endswith(" true")] == ["true", "true"]
    assert sum("kill " in line for line in called[called.index(plays[1]):]) == 2


def test_without_a_claim_the_log_has_the_record(tmp_path):
    done, _ = run_pod(tmp_path, 0, mpirun=f'mkdir -p {tmp_path}/there/connect; echo "the record" >{tmp_path}/there/connect/run.json')
    assert done.returncode == 0 and done.stdout == "the record\n"


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed (Debian: kubernetes-client)")
def test_kubectl_reads_the_manifest_and_knows_every_field():
    """`set env --local` reads it as the types of the API, without a cluster; a field that it does not know would be missing after."""
    job = list(yaml.safe_load_all(manifest()))[1]
    done = subprocess.run(["kubectl", "set", "env", "--local", "--dry-run=client", "-o", "json", "-f", "-", "CHECKED=yes"], input=yaml.safe_dump(job),
                          text=True, capture_output=True, timeout=GUARD_S)
    assert done.returncode == 0, done.stderr

    def missing(ours, theirs, path=""):
        if isinstance(ours, dict):
            return [one for key, value in ours.items() for one in missing(value, theirs.get(key) if isinstance(theirs, dict) else None, f"{path}.{key}")]
        if isinstance(ours, list):
            return [one for i, value in enumerate(ours) for one in missing(value, (theirs or [])[i] if i < len(theirs or []) else None, f"{path}[{i}]")]
        return [] if ours == theirs else [f"{path}: {ours!r}, read as {theirs!r}"]

    assert missing(job, json.loads(done.stdout)) == []
