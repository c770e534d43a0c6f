"""`trueline plan` through its door."""

import json
import subprocess
import sys

from trueline.config import AlignConfig, PolicyConfig


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "trueline", "plan", *map(str, arguments)], capture_output=True, text=True, check=False
    )


def test_json_has_what_the_table_says():
    done = command("--model", "7b", "--gpus", 8, "--price", 2, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    parts = found["memory"]
    always = sum(parts[k] for k in ("weights", "gradients", "moments", "heads", "reference", "reserve"))
    assert parts["peak"] == always + max(parts["cache"] + parts["sampling_copy"], parts["activations"])
    assert found["cost"] == 2 * found["gpu_hours"]
    told = command("--model", "7b", "--gpus", 8, "--price", 2)
    assert "7,615,616,512 weights" in told.stdout and "--gpus 8 --shard" in told.stdout
    assert f"{parts['peak'] / 1e9:.2f}" in told.stdout and f"costs {found['cost']:,.2f}" in told.stdout
    assert all(line in told.stdout for line in found["assumptions"])


def test_defaults_are_those_of_the_settings():
    align, policy = AlignConfig(), PolicyConfig()
    job = json.loads(command("--model", "1b", "--json").stdout)["job"]
    assert (job["prompt_tokens"], job["new_tokens"]) == (policy.max_prompt_tokens, policy.max_new_tokens)
    assert (job["answers"], job["samples"]) == (
        align.prompts_per_step * align.samples_per_prompt,
        align.samples_per_prompt,
    )
    assert (job["algorithm"], job["steps"], job["micro_batch"]) == (align.algorithm, align.steps, align.micro_batch)


def test_a_wrong_name_is_one_line_and_exit_code_2():
    done = command("--model", "7bb")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("trueline: --model 7bb") and len(done.stderr.splitlines()) == 1


def test_it_loads_nothing_heavy():
    code = (
        "import sys; sys.argv = ['trueline', 'plan', '--model', '7b']\n"
        "from trueline.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "assert not {'torch', 'transformers', 'numpy', 'ray'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
