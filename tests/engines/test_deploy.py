"""The files of deploy/ against the schemas of those who read them, and against each other. Nothing is started."""

import copy
import json
import re
import tomllib
from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml")
jsonschema = pytest.importorskip("jsonschema")

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
SHAPE = json.loads((Path(__file__).parent / "kuberay_shape.json").read_text("utf-8"))
PLACEHOLDER_HOST = re.compile(r"[\w-]+(\.[\w-]+)*\.example\.com")


def pinned(package):
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    [line] = [line for line in lines if line.startswith(f"{package}==")]
    return line.partition("==")[2]


@pytest.fixture
def cluster():
    return yaml.safe_load((DEPLOY / "ray-cluster.yaml").read_text("utf-8"))


@pytest.fixture
def manifests():
    found = list(yaml.safe_load_all((DEPLOY / "kuberay.yaml").read_text("utf-8")))
    assert [m["kind"] for m in found] == ["Secret", "PersistentVolumeClaim", "RayCluster", "NetworkPolicy"]
    return {m["kind"]: m for m in found}


def pods(manifests):
    spec = manifests["RayCluster"]["spec"]
    return [group["template"]["spec"] for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"])]


def test_ray_itself_accepts_the_cluster(cluster):
    pytest.importorskip("ray")
    from ray.autoscaler._private.util import prepare_config, validate_config

    whole = prepare_config(copy.deepcopy(cluster))
    validate_config(whole)
    [kind] = whole["available_node_types"].values()
    assert (kind["min_workers"], kind["max_workers"]) == (2, 2)
    with pytest.raises(jsonschema.ValidationError):
        validate_config({**whole, "file_mount": {}})


def test_every_option_of_ray_start_is_one_that_ray_has(cluster):
    pytest.importorskip("ray")
    from ray.scripts.scripts import start, stop

    known = {option for command in (start, stop) for p in command.params for option in p.opts}
    lines = [*cluster["head_start_ray_commands"], *cluster["worker_start_ray_commands"]]
    given = {option for line in lines for option in re.findall(r"--[\w-]+", line)}
    assert {"--head", "--address", "--dashboard-host"} <= given <= known


def test_the_cluster_asks_for_a_token_and_keeps_its_dashboard_to_itself(cluster):
    starts = [c for key in ("head", "worker") for c in cluster[f"{key}_start_ray_commands"] if "ray start" in c]
    assert len(starts) == 2 and all(c.startswith("export RAY_AUTH_MODE=token;") for c in starts)
    assert [re.findall(r"--dashboard-host=(\S+)", c) for c in starts] == [["127.0.0.1"], []]
    assert "~/.ray/auth_token" in cluster["file_mounts"]
    assert "chmod 600 ~/.ray/auth_token" in cluster["setup_commands"]


def test_the_ray_cluster_has_only_fields_that_kuberay_knows(manifests):
    manifest = manifests["RayCluster"]
    jsonschema.Draft202012Validator.check_schema(SHAPE)
    jsonschema.validate(manifest, SHAPE, jsonschema.Draft202012Validator)
    for group in (manifest["spec"]["headGroupSpec"], *manifest["spec"]["workerGroupSpecs"]):
        group["rayStartParam"] = group.pop("rayStartParams")
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(manifest, SHAPE, jsonschema.Draft202012Validator)


def test_start_parameters_are_options_of_ray_start(manifests):
    pytest.importorskip("ray")
    from ray.scripts.scripts import start

    known = {option.removeprefix("--") for p in start.params for option in p.opts}
    spec = manifests["RayCluster"]["spec"]
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        assert set(group["rayStartParams"]) <= known
    assert spec["headGroupSpec"]["rayStartParams"]["dashboard-host"] == "127.0.0.1"


def test_every_pod_gets_the_secrets_the_folder_and_no_rights(manifests):
    secret, claim = manifests["Secret"], manifests["PersistentVolumeClaim"]
    for pod in pods(manifests):
        assert pod["securityContext"]["runAsNonRoot"] and not pod["automountServiceAccountToken"]
        [volume] = pod["volumes"]
        assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
        [container] = pod["containers"]
        assert container["volumeMounts"] == [{"name": volume["name"], "mountPath": "/mnt/trueline"}]
        assert container["resources"]["requests"] == container["resources"]["limits"]
        assert not container["securityContext"]["allowPrivilegeEscalation"]
        env = {e["name"]: e for e in container["env"]}
        assert env["RAY_AUTH_MODE"]["value"] == "token"
        for name in ("RAY_AUTH_TOKEN", "TRUELINE_STORE"):
            reference = env[name]["valueFrom"]["secretKeyRef"]
            assert reference["name"] == secret["metadata"]["name"] and reference["key"] in secret["stringData"]


def test_the_claim_and_the_secret_are_whole(manifests):
    claim, secret = manifests["PersistentVolumeClaim"], manifests["Secret"]
    assert (claim["apiVersion"], secret["apiVersion"], secret["type"]) == ("v1", "v1", "Opaque")
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    assert re.fullmatch(r"\d+Gi", claim["spec"]["resources"]["requests"]["storage"])
    assert all(isinstance(v, str) and "CHANGE-ME" in v for v in secret["stringData"].values())
    assert secret["stringData"]["store"].startswith("postgresql://")


def test_the_policy_lets_in_the_clusters_own_pods_and_nobody_else(manifests):
    policy = manifests["NetworkPolicy"]
    assert policy["apiVersion"] == "networking.k8s.io/v1"
    own = {"matchLabels": {"ray.io/cluster": manifests["RayCluster"]["metadata"]["name"]}}
    assert policy["spec"] == {
        "podSelector": own,
        "policyTypes": ["Ingress"],
        "ingress": [{"from": [{"podSelector": own}]}],
    }


def test_there_is_a_cpu_for_each_of_eight_workers_and_a_judge(manifests):
    spec = manifests["RayCluster"]["spec"]
    [group] = spec["workerGroupSpecs"]
    [container] = group["template"]["spec"]["containers"]
    assert group["replicas"] * int(container["resources"]["requests"]["cpu"]) >= 9
    assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    assert "--engine ray --workers 8 --address auto" in (DEPLOY / "README.md").read_text("utf-8")


def test_the_image_installs_what_was_tested_and_is_not_root():
    lines = (DEPLOY / "Dockerfile").read_text("utf-8").replace("\\\n", " ").splitlines()
    steps = [line.split(maxsplit=1) for line in lines if line.strip() and not line.startswith("#")]
    assert steps[0] == ["FROM", "python:3.11-slim"]
    installs = [rest for word, rest in steps if word == "RUN" and "pip install" in rest]
    assert all("--constraint constraints.txt" in line for line in installs)
    assert installs[0].endswith(f"torch=={pinned('torch')}")
    assert installs[1].endswith(f'".[ray,postgres]" "ray[default]=={pinned("ray")}"')
    assert [rest for word, rest in steps if word == "USER"] == ["trueline"]
    assert max(i for i, (word, _) in enumerate(steps) if word == "RUN") < steps.index(["USER", "trueline"])
    copied = {name for word, rest in steps if word == "COPY" for name in rest.split()[:-1]}
    kept = (DEPLOY / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    assert {f"!{name}" for name in copied} <= set(kept) and all((ROOT / name).exists() for name in copied)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    assert {"ray", "postgres"} <= set(extras)


def test_versions_are_those_of_the_constraints(cluster, manifests):
    assert manifests["RayCluster"]["spec"]["rayVersion"] == pinned("ray")
    for path in DEPLOY.iterdir():
        text = path.read_text("utf-8")
        for package in ("ray", "torch"):
            assert set(re.findall(rf"\b{package}(?:\[\w+\])?==([\w.]+)", text)) <= {pinned(package)}, path
        assert set(re.findall(r"python:?(3\.\d+)", text)) <= {"3.11"}, path
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for pod in pods(manifests):
        assert pod["containers"][0]["image"] == f"registry.example.com/trueline:{project['version']}"
    assert any(f"torch=={pinned('torch')}" in c for c in cluster["setup_commands"])


def test_hosts_are_placeholders(cluster, manifests):
    provider = cluster["provider"]
    for host in (provider["head_ip"], *provider["worker_ips"]):
        assert PLACEHOLDER_HOST.fullmatch(host)
    assert PLACEHOLDER_HOST.search(manifests["Secret"]["stringData"]["store"])
