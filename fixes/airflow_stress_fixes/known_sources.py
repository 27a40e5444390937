"""The fingerprints of Airflow's source that we have read, for every final release from 3.1.0 to 3.3.2.

``python -m airflow_stress_fixes.source SITE_PACKAGES`` prints the fingerprints of another release. Add its
number to ``RELEASES``, its fingerprints here, and its fit to each fix, after reading what changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")

RELEASES = (
    *("3.1.0", "3.1.1", "3.1.2", "3.1.3", "3.1.4", "3.1.5", "3.1.6", "3.1.7", "3.1.8"),
    *("3.2.0", "3.2.1", "3.2.2"),
    *("3.3.0", "3.3.1", "3.3.2"),
)
"""In order: a span ``a..b`` means all from a to b."""


def spread(span: str, value: T) -> dict[str, T]:
    """A value for each release of a span: ``a..b``, ``a``, or nothing for no release."""
    if not span:
        return {}
    first, _, last = span.partition("..")
    begin, end = RELEASES.index(first), RELEASES.index(last or first)
    return dict.fromkeys(RELEASES[begin : end + 1], value)


KNOWN: Mapping[str, Mapping[str, str]] = {
    "airflow.api_fastapi.execution_api.routes.task_instances:_create_ti_state_update_query_and_update_state": {
        "d08ed34c859621c6e55f1cf08b89ae31fc86be17a781a6ef7c023ac929f58a6f": "3.1.0",
        "1f498b99ab6f5286ccb42aaa54d336f4717dea554f590f049f8a5313b2d5fd2b": "3.1.1..3.1.8",
        "a679f29bef50cf152245bb526d029d746f2ce43583a57be29f12aceb6b4671c3": "3.2.0..3.2.1",
        "07a86a1a8b4e0125131c9f8712548cee46ed06a0debee7a16653b70f017703c9": "3.2.2",
        "222c34748bc11f7297e821dcdc0286ca28a9f41431dcbe06d4dfcc7c0737fabd": "3.3.0",
        "b2baca1a654e6f72dc5115c86acfe9a773726078e9e24d2c54805f979bb64ead": "3.3.1..3.3.2",
    },
    "airflow.api_fastapi.execution_api.routes.task_instances:ti_update_state": {
        "f2c31ed834ac4e4130f4093fc5d8097ae839395a02569e28ab216bcdabc2fdb4": "3.1.0..3.1.8",
        "2d2a264fead456151eb0e6dce17ac6712b359d498551bd7eea5c2f259f6f0a6e": "3.2.0..3.2.1",
        "903e01773b5e57fd71aafbc154e2af087f6f5e3155ea43d02ed0abdf656bc4d6": "3.2.2",
        "d1774458dc2d79b9b5c94d36a5cf02233bc9349fb46a13eb6a96e95c21909b73": "3.3.0",
        "3ea8be448f6576f0772b442d4beb84f2e95cec14592dd19969629416d8727f52": "3.3.1..3.3.2",
    },
    "airflow.jobs.scheduler_job_runner:SchedulerJobRunner._run_scheduler_loop": {
        "d6adae200119855bd8c47e7088743cf877a5733bce7e8937c74a5090fb8e356d": "3.1.0..3.1.7",
        "2db33722feef09d36705b7decbfa657caa9a779bbffffd43f214d10a18387ef9": "3.1.8",
        "b419165e70ea28b643e624e42a28a6273cdc1a965fddb353daacfaa1d5a7a30e": "3.2.0..3.2.2",
        "e11068a6c7c8fc4df97eeb85404674e4f8ac8e17ee666f92158794ca007fd053": "3.3.0..3.3.1",
        "177ac85bb5fcf122879768de3337b8d6169fb7b9434955236cb0d750221ee7b8": "3.3.2",
    },
    "airflow.jobs.scheduler_job_runner:SchedulerJobRunner._verify_integrity_if_dag_changed": {
        "702d0214634610aba3cd80a76f1af083df931246f62fbd3c2ada3237e4fd7d85": "3.1.0..3.1.8",
        "3fc705215af9ae8499b0f6f2378e6e6911d6db9325a84f12183f001ebae6dffd": "3.2.0..3.2.2",
        "e3697494d7b048a049bd9fe41b8679e91d299de9185cda5475a95d8424712333": "3.3.0..3.3.2",
    },
    "airflow.jobs.triggerer_job_runner:TriggerCommsDecoder": {
        "b12d14e55c11fe57ba8c5ec92d71eb4eb1ea4c8756a7e03982a2faccec46ad4d": "3.1.0..3.1.8",
        "2a1b91b795c7625e4b33457337830154a3ff36bc2a3308df52a4870934c78251": "3.2.0",
        "2fe7ed1eb07b663911f701758073868deeac602439199f793c158a67a6581a1f": "3.2.1",
        "ba9b52914cf8eeedf45f516259db0d0d7ad8789bd12c6399bf4882886a540f8a": "3.2.2..3.3.2",
    },
    "airflow.jobs.triggerer_job_runner:TriggerRunner.init_comms": {
        "234aa680ea38d0bc927cba756b8088cf88808a58782dc6fcc5ee648d0d634786": "3.1.0..3.2.1",
        "d37217a4ee5f8eba382e6b88443233624d50381d46f84e5ec10e8bd866adefa7": "3.2.2..3.3.2",
    },
    "airflow.models.deadline:Deadline.handle_miss": {
        "e279e130d605dfc8592028a014f3564183cb44ab30ed5316a8f32574c55fefcd": "3.1.0..3.1.8",
        "f0cb45e50a5b1f71f1b30e03726fa10430121b2818665409423f3e83e54f048e": "3.2.0..3.2.2",
        "74b2158497bd31ef99514a248a18a3529567abbfc7c3627a2ffdec8980b1585b": "3.3.0..3.3.2",
    },
    "airflow.models.trigger:Trigger.assign_unassigned": {
        "672af245f76a231cd880281b3494d6d8d145068adf4db33e5b8e9d7dd1b8ec62": "3.1.0..3.1.8",
        "aed6cc52e67d93871c801ca951cfa21f07b9138013f08f45f9d0232dda6ac584": "3.2.0..3.2.2",
        "d01cfa3255e6a653dbf058a1f1042839f3ada233be009dd77af9a59eb4b8603b": "3.3.0..3.3.2",
    },
    "airflow.models.trigger:Trigger.get_sorted_triggers": {
        "58d21bf38b7dad98f54a3cb5912551423507587847266911d17a60cc2641a7f7": "3.1.0..3.1.8",
        "0918c074faa26e0266ccf7b0a7d54d94965b53c9109f6fa48778b394df5bc1df": "3.2.0..3.2.1",
        "4a114b31ee4133b4a1056aa83ee6fe66716b445987f95840d0ddc7ce2990be87": "3.2.2",
        "fee5e7d6f6fd88c0a282fedf58b719acd48be36ce19ae99c3dc04991fe281631": "3.3.0..3.3.2",
    },
    "airflow.sdk.execution_time.comms:CommsDecoder._from_frame": {
        "953d6341d401ed26cc26913c7e422c9f1bfb2f6bb432f363bfe8be06602dbb9f": "3.1.0..3.3.2",
    },
    "airflow.sdk.execution_time.comms:_RequestFrame": {
        "a94de48a1e1f1de2518c2c73b152f0d9c47767fbbfba6a10a39f90fb89f2b788": "3.1.0..3.2.1",
        "b18df62408c2b31769ce73493ef2925c4afb3ed5ae73e62d10fb3980fddf23ae": "3.2.2",
        "89fd076a746db1fd2fafa4f1c32eec08bb13477bc9548429917bf4fcbacb6913": "3.3.0..3.3.2",
    },
    "airflow.utils.sqlalchemy:with_row_locks": {
        "90646c1dccf4cc2fcac9f607c8b31e619fc831332fb0dff5ae72880c38286bbb": "3.1.0..3.1.8",
        "64bb0e1ca60bc29d6690d25467d86ecb782fef24b465a674252f3ecfffa33ba4": "3.2.0..3.3.2",
    },
}
"""Target to fingerprint to the releases that have it."""
