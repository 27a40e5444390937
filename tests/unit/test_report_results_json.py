"""results.json: the keys and numbers of the contract."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from stress.report import results_json, write_all
from stress.results import ArmCode, Instrument, Throughput
from tests.unit.reported import FACTS, RACES, example


def test_results_json_has_the_contracts_keys_in_their_order() -> None:
    document = json.loads(results_json.render(example()))
    assert list(document) == [
        "schema", "run_id", "seed", "state", "verdict", "arms", "races", "blocks", "harm", "throughput", "blind",
        "errors", "costs", "notes", "instrument", "command", "anomalies",
    ]  # fmt: skip
    assert document["schema"] == 2
    assert list(document["races"]) == list(RACES)
    race = document["races"]["deadlock"]
    assert list(race)[:7] == [
        "verdict", "reason", "p_value", "rate_ratio_upper95", "control", "under_test", "arms",
    ]  # fmt: skip
    assert list(race["arms"]["stock"]) == [
        "incidents", "opportunities", "exposure_s", "first_incident_s", "causes",
    ]  # fmt: skip
    assert list(document["arms"]["fixed"]) == ["airflow", "fixes", "config", "code"]
    assert list(document["blocks"][0])[:4] == ["block", "arm", "counts", "blind"]
    assert document["throughput"]["stock"]["task_instances_per_s"] == 9.31


def test_results_json_holds_the_numbers_and_null_for_none() -> None:
    document = json.loads(results_json.render(example()))
    assert document["verdict"] == "pass"
    fixed = document["races"]["deadlock"]["arms"]["fixed"]
    assert fixed["incidents"] == 0
    assert fixed["first_incident_s"] is None
    assert fixed["causes"] == {}
    assert document["races"]["duplicate_callback"]["arms"]["stock"]["causes"] == {
        "two schedulers": 77,
        "two triggerers": 74,
    }


def test_results_json_names_the_code_of_an_arm_and_null_for_a_release() -> None:
    results = example()
    code = ArmCode("checkout", "airflow-pr", "3.4.0.dev0", "0123456789ab-dirty")
    document = json.loads(
        results_json.render(replace(results, arms=(results.arms[0], replace(results.arms[1], code=code))))
    )
    assert document["arms"]["stock"]["code"] is None
    assert document["arms"]["fixed"]["code"] == {
        "kind": "checkout",
        "name": "airflow-pr",
        "version": "3.4.0.dev0",
        "revision": "0123456789ab-dirty",
        "digest": "",
    }


def test_results_json_names_the_instrument_and_the_command(tmp_path: Path) -> None:
    instrument = Instrument("9.8.7", "fedcba987654", {"deadline_claim": "aaaabbbbcccc"})
    write_all(example(), replace(FACTS, instrument=instrument), tmp_path)
    document = json.loads((tmp_path / "results.json").read_text())
    assert document["instrument"] == {
        "version": "9.8.7", "commit": "fedcba987654", "fixes": {"deadline_claim": "aaaabbbbcccc"},
    }  # fmt: skip
    assert document["command"] == FACTS.command
    without = json.loads(results_json.render(example()))
    assert (without["instrument"], without["command"]) == (None, None)


def test_results_json_gives_an_arm_that_never_ran_an_empty_throughput() -> None:
    document = json.loads(results_json.render(replace(example(), throughput={})))
    assert document["throughput"] == {"stock": {}, "fixed": {}}


def test_results_json_refuses_what_json_has_no_word_for() -> None:
    broken = replace(example(), throughput={"stock": Throughput(math.nan, 0, 0.0)})
    with pytest.raises(ValueError, match="not JSON compliant"):
        results_json.render(broken)
