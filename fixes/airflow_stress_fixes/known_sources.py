"""The fingerprints of Airflow's source that we have read, for every final release from 3.1.0 to 3.3.2 and for 3.4.0b2.

``python -m airflow_stress_fixes.source SITE_PACKAGES`` prints the fingerprints of another release. Add its
number to ``RELEASES``, its fingerprints here, and its fit to each fix, after reading what changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from airflow_stress_fixes.reported_sources import REPORTED

T = TypeVar("T")

RELEASES = (
    *("3.1.0", "3.1.1", "3.1.2", "3.1.3", "3.1.4", "3.1.5", "3.1.6", "3.1.7", "3.1.8"),
    *("3.2.0", "3.2.1", "3.2.2"),
    *("3.3.0", "3.3.1", "3.3.2"),
    "3.4.0b2",
)
"""In order: a span ``a..b`` means all from a to b."""


def spread(span: str, value: T) -> dict[str, T]:
    """A value for each release of spans: ``a..b`` or ``a``, several with blanks between them, or none."""
    found: dict[str, T] = {}
    for part in span.split():
        first, _, last = part.partition("..")
        begin, end = RELEASES.index(first), RELEASES.index(last or first)
        found.update(dict.fromkeys(RELEASES[begin : end + 1], value))
    return found


KNOWN: Mapping[str, Mapping[str, str]] = {
    "airflow.api.common.mark_tasks:_set_dag_run_state": {
        "855082b1948f04c9c3c8e8b73f628192a348f46221bda69d51bfac329d2019ee": "3.1.0..3.4.0b2",
    },
    "airflow.api.common.mark_tasks:_set_dag_run_terminal_state": {
        "": "3.1.0..3.3.0",  # not there yet
        "2be83a0ff37f2dfcb2848914d8626e7a6acc8f8b4f4c2b07251aea2716010a8f": "3.3.1",
        "12bf3a1d3bbcd8c07ffe7249114c77d1be6477821edaa579d7b63107adbf5192": "3.3.2..3.4.0b2",
    },
    "airflow.api.common.mark_tasks:get_run_ids": {
        "246ac042c4a5a10ccba7347fee8366b07237bf8b00408fa985fd557365d5bf0f": "3.1.0..3.1.8",
        "9b69dd25ea25155522d5e6ab4df83e8fab600b9be6f8d8370fd2e85b533dc279": "3.2.0..3.2.2",
        "f01a597fcca7efbed169811ba2a4c512d2627eeea1766b7af3bddd339ff99578": "3.3.0..3.4.0b2",
    },
    "airflow.api.common.mark_tasks:set_dag_run_state_to_failed": {
        "10a9a10b66ca50b0475cc571d899356f512f52ca2f99479c021a3d38ae12e1e9": "3.1.0..3.1.7",
        "a5a82520a739f556a781e61d005c6a7c43e059f098e9de980ca35742349e6dd8": "3.1.8",
        "3d433086f060ca403da0c97f595f5df3ae7d452ddea4e4cd2ecd4bcf9df8eabb": "3.2.0..3.2.1",
        "d119e1da0b6f0c037221f0a96e77d21f617671f877616366049da6ae71f9d5c6": "3.2.2",
        "728a2e2fed2c54f22e7c3b6c6945b00b941d1085e31588283ca9ca30d95034e2": "3.3.0",
        "75a74940e1b43e7cbc9f8dd644fce7260846c76adbdcb51ab0c331681f4b654b": "3.3.1..3.4.0b2",
    },
    "airflow.api.common.mark_tasks:set_dag_run_state_to_success": {
        "12a2ecb9a22119c9a03c90d026d40b690b791e3fafb4fff498e6e8d558644b63": "3.1.0..3.2.1",
        "40fc5aa740a50701bbc93b2b2f82c225c99f85c09e2e0d2638fb85b64082a901": "3.2.2..3.3.0",
        "c15390c40f4c0770b65e471b8f9a9973213bf91e32a85abf0f672641dc2fb67f": "3.3.1..3.4.0b2",
    },
    "airflow.api.common.mark_tasks:set_state": {
        "1b352f1672f6110ed58fc84e1a6b2767ed0a734c0677dad9e7f4198379a43ec1": "3.1.0..3.1.8",
        "b44627f18fb2e6a151cbbf590c937259790f068d1deb33a8829cd1818dda30ae": "3.2.0..3.2.1",
        "673624f43e78edd40d91e30e591d81197aeec47f6b6a0f48fef6ba648c5b0177": "3.2.2..3.4.0b2",
    },
    "airflow.api_fastapi.core_api.datamodels.dag_run:BulkDAGRunClearBody": {
        "": "3.1.0..3.2.2",  # not there yet
        "80dec16ce9dcf711f944df7da7bb7e1f36fc701c217c0217849bd71b64aa01ca": "3.3.0..3.4.0b2",
    },
    "airflow.api_fastapi.core_api.routes.public.dag_run:clear_dag_runs": {
        "": "3.1.0..3.2.2",  # not there yet
        "831a99317bc545067af44b7843e0fef9e33de448f319de2d06b3fbec89b99bcc": "3.3.0..3.4.0b2",
    },
    "airflow.api_fastapi.core_api.routes.public.dag_run:patch_dag_run": {
        "75fa3769baa72d0f86784ee1ff6a66b7ed4350d1acc13cfb077671b9f90d778c": "3.1.0..3.1.8",
        "f1d64b6fa20e3d1cd54f9de34fbdf600631b3970483d0e35b4645a8485014d0a": "3.2.0..3.2.1",
        "40b3afc4add1a1db1cd3ae3dcab37d5f47652b29bfc7bfaa22f4c2543fe1810f": "3.2.2",
        "b2c144fbd13656416cbc5a63ef416a2f7602090123930f3d589f6ff5f2f8ebfc": "3.3.0",
        "1936ea274e736ac45839a6296d3b344fab0de2eaef44ff363e49953bb1568d43": "3.3.1..3.3.2",
        "b4f30219d553a8e7a471e1bc96d6f81fb718f3fecf5801ffb54bdeb24a8ed2b2": "3.4.0b2",
    },
    "airflow.api_fastapi.core_api.routes.public.task_instances:patch_task_instance": {
        "9e8034da6f69177fdee6de698c48d2de866b199812b36963c0a1e0315c6d039e": "3.1.0..3.1.1",
        "1e432ed85b64ad671a2eb7535f8042dc48d8c18b02e949e2bfae86252d340841": "3.1.2..3.3.0",
        "655e8c123647c1ce0950f53618f11254fdf992646dd78b96e1c6cef635195535": "3.3.1..3.3.2",
        "c13020f3f968a144ce0addecbc07e6b9d86f0729ba67d01540c45bc390ec3cdb": "3.4.0b2",
    },
    "airflow.api_fastapi.core_api.routes.public.task_instances:post_clear_task_instances": {
        "2890e6c30ae70936f0895143ed1d121cb2214d8186315c2a34293b793997c454": "3.1.0",
        "71fe4c0783b2e3305d525a85c90beafd60bca83776acc48debeb8f53a9bc493d": "3.1.1..3.1.3 3.1.5..3.1.8",
        "ccaa8cb13d10b5385ac273acd18ea0a09f7cd5a72e9a30baecb052b8414d915d": "3.1.4",
        "b51d90633cc80f0b70a3245c02ad4a947cfb17cdd1e7e10e89cc3386a625d0a5": "3.2.0..3.2.2",
        "b2bfb2f4582840e3fc66a33eeaab11c716cb9f98d4dc8fbe437fa864568fffdc": "3.3.0",
        "30cea8f1c987de6787f800825cdabfa316143d517c2350f5dba222e99aacfc35": "3.3.1",
        "314f1c7e6799d99070407a3b5725e9ade190abb5eda80b3d1b2d365e98e61337": "3.3.2",
        "60ea0e084d3f9a45a167a0c68e19f2a15826bad8546493ef0a40352689b85746": "3.4.0b2",
    },
    "airflow.api_fastapi.core_api.services.public.dag_run:patch_dag_run_state": {
        "": "3.1.0..3.2.2",  # not there yet
        "8682394b9525420a50ac93d00c0ad00efbcab433a1ad44c868241e6cca0890aa": "3.3.0",
        "830f0095b427ed70ad63128b8d99827026d0aec60ed698636f9411ef07e4d028": "3.3.1..3.4.0b2",
    },
    "airflow.api_fastapi.core_api.services.public.task_instances:BulkTaskInstanceService._handle_regional_bulk": {
        "": "3.1.0..3.3.2",  # not there yet
        "89f51305a28243e5c8ab1848c7dc61922ac075fe8f970fbbc48d5a4824a0107f": "3.4.0b2",
    },
    "airflow.api_fastapi.core_api.services.public.task_instances:_lock_patch_runs": {
        "": "3.1.0..3.3.2",  # not there yet
        "69e26dd0b17ab04accdf3dfd1cb0f239a5b770361cdb97b0d6dc59409c42e058": "3.4.0b2",
    },
    "airflow.api_fastapi.core_api.services.public.task_instances:_patch_ti_validate_request": {
        "3c22d4aec7f3ef5157b34a648b511c93e46c8b8d406b2a57117381bae9296465": "3.1.0..3.2.1",
        "ee8bc45cbc2d196c9bf9c4006e38585614a49b3ad8876cf6120ac20b030bb18e": "3.2.2",
        "5187f3d2b84fafab214d75bd3eff0b1c26a7ecf5dbc427306c33864133c840cb": "3.3.0..3.3.2",
        "da6e4226db4c73ffc4ef70263229d6a5ad83e84a1c5a9e662886e001eddd08a6": "3.4.0b2",
    },
    "airflow.api_fastapi.execution_api.routes.task_instances:_create_ti_state_update_query_and_update_state": {
        "d08ed34c859621c6e55f1cf08b89ae31fc86be17a781a6ef7c023ac929f58a6f": "3.1.0",
        "1f498b99ab6f5286ccb42aaa54d336f4717dea554f590f049f8a5313b2d5fd2b": "3.1.1..3.1.8",
        "a679f29bef50cf152245bb526d029d746f2ce43583a57be29f12aceb6b4671c3": "3.2.0..3.2.1",
        "07a86a1a8b4e0125131c9f8712548cee46ed06a0debee7a16653b70f017703c9": "3.2.2",
        "222c34748bc11f7297e821dcdc0286ca28a9f41431dcbe06d4dfcc7c0737fabd": "3.3.0",
        "b2baca1a654e6f72dc5115c86acfe9a773726078e9e24d2c54805f979bb64ead": "3.3.1..3.3.2",
        "bf0e21ff61df21d689d737ed1b774e6d4dd8e9356790235f2e2ff54f9b855fe7": "3.4.0b2",
    },
    "airflow.api_fastapi.execution_api.routes.task_instances:_handle_fail_fast_for_dag": {
        "c79781612b2342167df15ad5665d8a30c75f03d8c809a40689d4c2dac98ae267": "3.1.0..3.1.8",
        "03c622b7e8d0d145de34880322a3b6ef41ac7a9b9fa07284daaec475f92982c0": "3.2.0..3.4.0b2",
    },
    "airflow.api_fastapi.execution_api.routes.task_instances:ti_update_state": {
        "f2c31ed834ac4e4130f4093fc5d8097ae839395a02569e28ab216bcdabc2fdb4": "3.1.0..3.1.8",
        "2d2a264fead456151eb0e6dce17ac6712b359d498551bd7eea5c2f259f6f0a6e": "3.2.0..3.2.1",
        "903e01773b5e57fd71aafbc154e2af087f6f5e3155ea43d02ed0abdf656bc4d6": "3.2.2",
        "d1774458dc2d79b9b5c94d36a5cf02233bc9349fb46a13eb6a96e95c21909b73": "3.3.0",
        "3ea8be448f6576f0772b442d4beb84f2e95cec14592dd19969629416d8727f52": "3.3.1..3.3.2",
        "6d0a425e9806c550dd382f5f94bcedc6c98bcbcbee912b249e6422330319e327": "3.4.0b2",
    },
    "airflow.assets.manager:AssetManager": {
        "76bab00ce4e904d917bd09d7689b670cdb0a4b9b4e77adcb39c095dc1935a6d8": "3.1.0..3.1.5",
        "6ea3d461c5f4d525bc3935af8d11e23eb5f6c038043aebc0fc03a53430685afb": "3.1.6",
        "7616b52c68fbdb351faf5c25245a5dd66eebc5f5b82f898c5d080299aa90b161": "3.1.7..3.1.8",
        "af50373d1f5b978398fc774cc17e849f071d6d2df98962f23139a2d107fd9b96": "3.2.0..3.2.2",
        "997228492664f58d8779e93c35b2362592f71551af6ff7231835528c673a433a": "3.3.0",
        "0aa0dac088b0b362a575cf32f9e6b969c25f950a4f8cbabc52881a3126554744": "3.3.1..3.3.2",
        "ea3a8a8175977f56fb9684dfda4f4bbeed35243bf2b4a71b5b1f400b05211d06": "3.4.0b2",
    },
    "airflow.jobs.scheduler_job_runner:SchedulerJobRunner._do_scheduling": {
        "5a958c59120ce51435f592131d285d9f3559e4bfbf3805ea2df19b85cc2a3dfe": "3.1.0..3.1.8",
        "8617d7e3e0e588af67afde01dd578f904d32306a39260caaf64458a1276896f1": "3.2.0..3.2.2",
        "c3fc46bf673126196375df1fbc7bd74e111717629d55848128e65478ea086275": "3.3.0..3.3.1",
        "b0d3f6cbd88e06796f4f7fe38f97f410c61acf3a728163a3cff9898711bc1ef3": "3.3.2",
        "68b00b9d07da12cc008ed07d86ac8ee640208f65c8a1ab7e3de3ba10281703bc": "3.4.0b2",
    },
    "airflow.jobs.scheduler_job_runner:SchedulerJobRunner._enqueue_executor_callbacks": {
        "": "3.1.0..3.1.8",  # not there yet
        "69f7795dcc13d89f9cebed2663f86adc4995acfce2f51b8cca157d011824a081": "3.2.0..3.4.0b2",
    },
    "airflow.jobs.scheduler_job_runner:SchedulerJobRunner._find_task_instances_without_heartbeats": {
        "cec2866d3e2be2f799a1b36dd6ac24c63865ceba744a6a1a153ab6d924a7dec0": "3.1.0",
        "caf7ee2dded3b65052b3b2b87c673866aa37d7eccbfdcb572d77dc786419f111": "3.1.1..3.1.8",
        "15ecea2f5f9804e884a946c14ded30218ba2f32bb426bbb9677311e68544d0b1": "3.2.0..3.3.2",
        "021c8d8c4e3e321158482d8408960950519f447f4e3d41cdc5b537153f59b358": "3.4.0b2",
    },
    "airflow.jobs.scheduler_job_runner:SchedulerJobRunner._purge_task_instances_without_heartbeats": {
        "f332162608c7d2e9e1e9d457f47d9ade9d8b07b240d644b0fa006007fe32b30b": "3.1.0..3.1.8",
        "2ade1933c7e28698909bf9f8974aba7fd7838e7a55d8de5c32fb3997d96b257f": "3.2.0..3.2.1",
        "ca606661531b4112f723bb191112dbff533d85cc1ed624d9972e9f7983753f61": "3.2.2",
        "4f30456fc6835e61d9700a79173c9206d8d34ace3cad0f0ede81495dd43817ec": "3.3.0",
        "350e49f54bfa7c87293317ba5aa70a3505454d288f1273e7be8b51f722969519": "3.3.1..3.3.2",
        "46fad03a0ee6c6a40a07e3144d266c863fdd390adc7fc00b84125adab88bd5d4": "3.4.0b2",
    },
    "airflow.jobs.scheduler_job_runner:SchedulerJobRunner._run_scheduler_loop": {
        "d6adae200119855bd8c47e7088743cf877a5733bce7e8937c74a5090fb8e356d": "3.1.0..3.1.7",
        "2db33722feef09d36705b7decbfa657caa9a779bbffffd43f214d10a18387ef9": "3.1.8",
        "b419165e70ea28b643e624e42a28a6273cdc1a965fddb353daacfaa1d5a7a30e": "3.2.0..3.2.2",
        "e11068a6c7c8fc4df97eeb85404674e4f8ac8e17ee666f92158794ca007fd053": "3.3.0..3.3.1",
        "177ac85bb5fcf122879768de3337b8d6169fb7b9434955236cb0d750221ee7b8": "3.3.2",
        "b6218c14363a715d9771d926e660a0f65c04a22027e9ef99120fbe3cb9b748ad": "3.4.0b2",
    },
    "airflow.jobs.scheduler_job_runner:SchedulerJobRunner._schedule_all_dag_runs": {
        "8d79fef67d6a4e6ad489f428c993badaf2636cf39328c7e900a94a185fc30d1d": "3.1.0..3.1.8",
        "7032fc79977be6fc7cbf8ba55a4e89da697c42df4fb3efebb24ff17ea3f6e7ec": "3.2.0..3.3.2",
        "052539b87a9c5360a203dcbd162aeb23a9d7fc3ab1a55e908bbfe76560626ead": "3.4.0b2",
    },
    "airflow.jobs.scheduler_job_runner:SchedulerJobRunner._verify_integrity_if_dag_changed": {
        "702d0214634610aba3cd80a76f1af083df931246f62fbd3c2ada3237e4fd7d85": "3.1.0..3.1.8",
        "3fc705215af9ae8499b0f6f2378e6e6911d6db9325a84f12183f001ebae6dffd": "3.2.0..3.2.2",
        "e3697494d7b048a049bd9fe41b8679e91d299de9185cda5475a95d8424712333": "3.3.0..3.3.2",
        "2636d137418e19861c02f1ea93715b086cc2c263ea6a432d8909d3ef645fe43c": "3.4.0b2",
    },
    "airflow.jobs.scheduler_job_runner:SchedulerJobRunner.check_trigger_timeouts": {
        "95bf3dbe8ed49a71dab2f5924d64ef6ecc29927caecbc36ddf515e5cc62cb127": "3.1.0..3.1.8",
        "2872a6629d2c97aefbd4029b5248b2494479658c73a3929bb79592665adad33b": "3.2.0..3.2.2",
        "5853d1521586da20e726b450924d5cdad578d8c45dedb191916cdcebce64504c": "3.3.0..3.4.0b2",
    },
    "airflow.jobs.triggerer_job_runner:TriggerCommsDecoder": {
        "b12d14e55c11fe57ba8c5ec92d71eb4eb1ea4c8756a7e03982a2faccec46ad4d": "3.1.0..3.1.8",
        "2a1b91b795c7625e4b33457337830154a3ff36bc2a3308df52a4870934c78251": "3.2.0",
        "2fe7ed1eb07b663911f701758073868deeac602439199f793c158a67a6581a1f": "3.2.1",
        "ba9b52914cf8eeedf45f516259db0d0d7ad8789bd12c6399bf4882886a540f8a": "3.2.2..3.3.2",
        "f607f240a64f4bc201b1341fb24a646b2e1330b4e066036006b777d32b6a8190": "3.4.0b2",
    },
    "airflow.jobs.triggerer_job_runner:TriggerRunner.arun": {
        "c17e01e167e66c039399bb51d973ea34d3b16f412f2972c22d3ed9cdffba5f29": "3.1.0..3.1.8",
        "fbfceac13a008ba20bfe39f6435ba91a62b72ede2ce2de4d67ce96f2a4495543": "3.2.0..3.2.1",
        "df367da7db745a0ced8242f1763112a1bf1963af706144f7dd125c4fe35a9103": "3.2.2",
        "28754add002275023dbcb7ae5615cd373da08134b57865e9a8abd4483b05ef8f": "3.3.0..3.4.0b2",
    },
    "airflow.jobs.triggerer_job_runner:TriggerRunner.asend": {
        "": "3.1.0..3.1.6",  # not there yet
        "5a8660f58c2866aba4d4fc2a751747c37841a4b5259cafcc153f4d7231324fd7": "3.1.7..3.4.0b2",
    },
    "airflow.jobs.triggerer_job_runner:TriggerRunner.init_comms": {
        "234aa680ea38d0bc927cba756b8088cf88808a58782dc6fcc5ee648d0d634786": "3.1.0..3.2.1",
        "d37217a4ee5f8eba382e6b88443233624d50381d46f84e5ec10e8bd866adefa7": "3.2.2..3.3.2",
        "8c4167e9f3d6c95918e59923580c019e0c9c066d9282ba3f9fd6c1511916d564": "3.4.0b2",
    },
    "airflow.jobs.triggerer_job_runner:TriggerRunner.sync_state_to_supervisor": {
        "2cc7ca2991bca55f75c76bc467c045d61f3dfb697ff82d630f46c88d20bf97ab": "3.1.0..3.1.6",
        "208cba9fdd003313402e86a0c57f9207c1e64bbca9b02a16dbb547f69e11facb": "3.1.7..3.2.2",
        "2a9be6c09fb782b3b1a667c4c8d0250f07b58f415f48d81c6aef3f1a9b07f226": "3.3.0..3.3.2",
        "aed98dac1f6fa5cb89f61e43dab5d1cf0aa40df37aaf65d9fb56873cd9199d1d": "3.4.0b2",
    },
    "airflow.jobs.triggerer_job_runner:TriggerRunnerSupervisor.clean_unused": {
        "dc6a2449b908ab18a417fb1d58ce76347d8ce1b778fba8393a1dd70dbb7fe7f2": "3.1.0..3.1.8",
        "5b974c6f385d290d5498fc4fe382322aeed768aa332a286f3eed08a9fc3a2a88": "3.2.0..3.2.2",
        "13b0f4a7658eca8a193c0436b98c2015bf16e02cb18da3481f8c23e315ee0cc0": "3.3.0..3.3.2",
        "0a4ecf5e15496f7f9e687adc84c4da38e03ed42d397d70efe1563d4a1fe63609": "3.4.0b2",
    },
    "airflow.jobs.triggerer_job_runner:TriggerRunnerSupervisor.handle_events": {
        "8a0559d55cfe1e4ea44920023de26563a196ad6c23d9a66891ba2a3dd55d545f": "3.1.0..3.1.8",
        "a82e1d3752d30a1f2d1d877b51ddc5d8f3dbc489aa18a420ce6f7ece80fd41be": "3.2.0..3.2.2",
        "7f248c8878b8c357ba57feeeea48a52e62cb061ea8756388cfb844a0c33b8201": "3.3.0..3.4.0b2",
    },
    "airflow.jobs.triggerer_job_runner:TriggerRunnerSupervisor.handle_failed_triggers": {
        "3809cca8f26728f2f7f991f05cb54fad08f272492a23a4d11e6a3c247f1425c5": "3.1.0..3.1.8",
        "587efb07a9667a8c280de39da861f163d344d3a5d753e5862841958347456b04": "3.2.0..3.2.2",
        "7e1a2ec26949755131d6a608074f44ef6205026dab4433371ba843582af1669b": "3.3.0..3.4.0b2",
    },
    "airflow.jobs.triggerer_job_runner:TriggerRunnerSupervisor.load_triggers": {
        "5d7ff89f5671dba61023f0cf6a130bf328a1b6cdc16b56813955584232b34358": "3.1.0..3.1.8",
        "df162634cfc50179c9965dd8156e61968b24a88093545f3bbaf85b72d74c8065": "3.2.0..3.2.2",
        "43f30855d7a9d3a198ff2e9c05cf324a0a645e1919abaeb40d7f2c75ecea2047": "3.3.0..3.4.0b2",
    },
    "airflow.jobs.triggerer_job_runner:TriggerRunnerSupervisor.update_triggers": {
        "8b0c32b6206ef36062a0c28db80b174616494c61c7c969208259e6ea578ede11": "3.1.0..3.1.1",
        "d0657db64853296f883864becbf331dd1c627928732db6acdf027522be7dc067": "3.1.2..3.1.8",
        "fae651fb997e4c315a561ac4d8a186893e4e170e6e67621bf854a24e5ab3b830": "3.2.0..3.2.2",
        "6369681d642c1d36687baf744b0b020f5e610d85812640d557f734fa7392e842": "3.3.0..3.3.2",
        "613f579375a5de9973f48ec6d1d5f32409a4f3bd23f3bb36d8a53a6fd1642441": "3.4.0b2",
    },
    "airflow.models.dagrun:DagRun.fetch_task_instances": {
        "f1fdd975e31958914e21b776f0d8a438fcda1e17a7bf49194ed14b7c160d57a3": "3.1.0..3.1.8",
        "58e6e2c6fe9ff073c821926f48e9d65f934c6d08a041fc090efc43aa5e4ce77e": "3.2.0..3.2.2",
        "d363a9107b7ad1fe25e275b6ec586a84a0ff0e673b60888e6c78b0842b1e78e9": "3.3.0..3.3.2",
        "beb2c1a4ab7152c1ccdd66d7771ab041a34b77e2181cf363450c3d798791082f": "3.4.0b2",
    },
    "airflow.models.dagrun:DagRun.get_running_dag_runs_to_examine": {
        "3aaacec7d3d753648e7ad099ad244fcf749ca54df13fa7ad214eeb57f25f9ed5": "3.1.0..3.1.8",
        "1d149c5efc7b0a0569ab0fbb6acfe44b4afa4b6d2c5ec36b0fd1a655c0f9812e": "3.2.0..3.3.2",
        "2aa99c95cb5787335b0242bd256f2576d4b6ede6e4d197563989bf70a190265a": "3.4.0b2",
    },
    "airflow.models.dagrun:lock_dag_runs": {
        "": "3.1.0..3.3.2",  # not there yet
        "b93941a00b80ec597f39a33679bcfc9595be63e410177ebfb621641f36165688": "3.4.0b2",
    },
    "airflow.models.deadline:Deadline.handle_miss": {
        "e279e130d605dfc8592028a014f3564183cb44ab30ed5316a8f32574c55fefcd": "3.1.0..3.1.8",
        "f0cb45e50a5b1f71f1b30e03726fa10430121b2818665409423f3e83e54f048e": "3.2.0..3.2.2",
        "74b2158497bd31ef99514a248a18a3529567abbfc7c3627a2ffdec8980b1585b": "3.3.0..3.3.2",
        "201e218623ac95a16354b0ed1f4091793c49670ba146ae7b4eb385c6c1ef641a": "3.4.0b2",
    },
    "airflow.models.taskinstance:TaskInstance.error": {
        "d362cadc789390c3296cbb0939e117846e3d70a81cfd6b49084b69122983a205": "3.1.0..3.2.2",
        "9af55f69edfd38ece726cb80c8a0c02622d5ec4711a04133aef03f40ed72d6c3": "3.3.0..3.4.0b2",
    },
    "airflow.models.taskinstance:TaskInstance.prepare_db_for_next_try": {
        "a0b3e213f38baea42f0b96d4ed3c8a0b854cd0db122bc140c7c23017e36868a2": "3.1.0..3.3.2",
        "bcf8620baa7b4d7827bde4ca8dba409c039682890e5aa8262b2f748295c4ea49": "3.4.0b2",
    },
    "airflow.models.taskinstance:TaskInstance.register_asset_changes_in_db": {
        "f1d065eb4baa4fae4c5b67622b1a37b1ce5f87032e4e3ca1bd8a14229117699c": "3.1.0..3.1.2",
        "ecbdb83cf9398c66da69f552a2ada6b326ebdfc93758f77785b92e1fa04a2473": "3.1.3",
        "d0093096639600145fb1a337c8cca31d042d1f2fec4357210a795509da7c22d6": "3.1.4..3.1.8",
        "6b36baab31abab340f2d32b258bd38f0b88cdd4727a72120b80d165a5f73c4a1": "3.2.0..3.2.2",
        "b282cb4215fea8291a0bbca6beb977e879da2ac7d97e70029b8c70b45d3105c6": "3.3.0",
        "dd59fc4e5b59be5c9163f3a21466506fce2d4349ebdec123166f90bd46eb2278": "3.3.1..3.4.0b2",
    },
    "airflow.models.taskinstance:TaskInstance.set_state": {
        "ff5b20ec4aeb7347b96ff0d5287cce3839e45f5347f28e7cef2ab6b2993fdb06": "3.1.0..3.2.2",
        "dd5c5710ea925d59a98b3cf3ff3e18d9e5c78db2210fb09c6d9047f1f05c8dab": "3.3.0..3.3.2",
        "0cb82b74bb1004a0110c43dbb78797ed93dfe3aa796fbed12af66e4c37472c3f": "3.4.0b2",
    },
    "airflow.models.taskinstance:_stop_remaining_tasks": {
        "7d5c8bc0d7d11df996d726184ca07aa41313d8c2d3686afcd95223b7b8b2d517": "3.1.0..3.1.8",
        "cacbb5e40bfdd3944242794c6d06dbde9667825fa02c2ca1afeb284a18711ba5": "3.2.0..3.2.2",
        "6062cb443bf73054f6a8b798e9a76465fec84086dec7369de6dbdec3a3245b6c": "3.3.0..3.3.2",
        "0ab1310b3cf629d3e6384865cabcfb6111e5a02a70033b7d8a48359bd087ade7": "3.4.0b2",
    },
    "airflow.models.taskinstance:clear_task_instances": {
        "9c40f72f518359915ac805b9d0cfd62bff4b768f49405419ca636a76adf2fec1": "3.1.0..3.1.5",
        "7254e97dc3a212fc2d1a7a4cd79066af95d700dfb6dfda2db1a9142cfb3c4cc6": "3.1.6..3.1.8",
        "d216dfddeaeaa5d088a782287115852c989f44e5174de2ee3f5593b23761951d": "3.2.0..3.2.1",
        "b7f2f3c1d9721a1174b998e492a222b52cc32b947b14cffffc6f6753ad67bbb8": "3.2.2",
        "a2ebdb0a156400fc32e80e15ba5f559eabce66779a53df0302179c6acceddcb3": "3.3.0..3.3.1",
        "089dceafa74fdcce18fc69f26c59a467c04780a4fd2698e30226eb44fb5fafbb": "3.3.2",
        "fb56ca54a3b67c8b80c78ccc7333e9dc4c5e3a59ba05eb7e22377aad54245d9f": "3.4.0b2",
    },
    "airflow.models.taskinstancehistory:TaskInstanceHistory.record_ti": {
        "3738163be028779dd9df9470a0825c808ee7fb2f2df5045d07f069f2227ee1e7": "3.1.0..3.1.8",
        "4449f4aaa7de55f102d6b5da703f729c7ed51d1697d41e7946c19de249e611f2": "3.2.0..3.2.2",
        "df298b704be970822a83ea205e1506095232169d26f312014c6af59959a3eb7c": "3.3.0",
        "b5a938b6fb5123d5f5722382d773f993128f78264e607dd24aba7b9a0a757ebf": "3.3.1..3.3.2",
        "": "3.4.0b2",  # gone
    },
    "airflow.models.trigger:Trigger.assign_unassigned": {
        "672af245f76a231cd880281b3494d6d8d145068adf4db33e5b8e9d7dd1b8ec62": "3.1.0..3.1.8",
        "aed6cc52e67d93871c801ca951cfa21f07b9138013f08f45f9d0232dda6ac584": "3.2.0..3.2.2",
        "d01cfa3255e6a653dbf058a1f1042839f3ada233be009dd77af9a59eb4b8603b": "3.3.0..3.4.0b2",
    },
    "airflow.models.trigger:Trigger.clean_unused": {
        "10a916adcc97950a87397ad8f02d33ae160a070ab84940d50a09190922667cb7": "3.1.0..3.1.8",
        "26420870d5a42515651f2485fdc692733518277c92ff511f7736b46a07896bc8": "3.2.0..3.2.2",
        "2151f25b3112ea592b1f7fca3bc8d13ae1271262fb7c01b87c482dcde58708ee": "3.3.0",
        "27a4dfb1fcfa50382bec2f7e00309a70627f04d63d6db43dce3759f6bd25d1ad": "3.3.1..3.3.2",
        "49e7e43f46d383e53931df1e74529eb76daf127e1eafa445a92e8ee5d9cbf617": "3.4.0b2",
    },
    "airflow.models.trigger:Trigger.get_sorted_triggers": {
        "58d21bf38b7dad98f54a3cb5912551423507587847266911d17a60cc2641a7f7": "3.1.0..3.1.8",
        "0918c074faa26e0266ccf7b0a7d54d94965b53c9109f6fa48778b394df5bc1df": "3.2.0..3.2.1",
        "4a114b31ee4133b4a1056aa83ee6fe66716b445987f95840d0ddc7ce2990be87": "3.2.2",
        "fee5e7d6f6fd88c0a282fedf58b719acd48be36ce19ae99c3dc04991fe281631": "3.3.0..3.3.2",
        "114f1736100b54a8651b6cfea0a4bdca55436ef03f8a9740d248283a5ee1d744": "3.4.0b2",
    },
    "airflow.models.trigger:Trigger.ids_for_triggerer": {
        "cf6c05db3f7c57c9c9897e10f812f868baebd08ae203ef42bea18567b70b11be": "3.1.0..3.1.8",
        "d5cb5c7084df364b944219b1c08d256a570069bd19c8efd761c2b76888c227e3": "3.2.0..3.2.2",
        "8a4d09c4e4aa105635438378cda3e852423bd2544c6aba4c5c8b347c7b61d642": "3.3.0..3.4.0b2",
    },
    "airflow.models.trigger:Trigger.submit_event": {
        "3d86999c5051cbf1e45f5ae38be2daaebf8327859a4b70a2b8a6c4a8343fe730": "3.1.0..3.1.8",
        "4585cc1a3c5a02d9ef709edd0b78417f7096cf6f8cd06d15b3047665d9ed65c3": "3.2.0..3.2.2",
        "5828251efc2cd701efe73685d0e422c302782adbd776f709a085f12ad82d3a8e": "3.3.0",
        "c79266a0ee02a8cfe6e1116271799513a97632426dfa201cb16fc722b51f4614": "3.3.1..3.4.0b2",
    },
    "airflow.models.trigger:Trigger.submit_failure": {
        "ecfbc8e8ef9380ef41c3620231536649eae5bd3867eec38e8d9c0abf49bfdcb8": "3.1.0..3.2.2",
        "e3540448ed1c02e1990eb12d55267efb308e753f5bcea373ade4695eb3a546f2": "3.3.0..3.3.2",
        "2a9b57901f6618da54afb81df3e5627a5f114402cb2a60cd4bb326eaff115bc6": "3.4.0b2",
    },
    "airflow.models.trigger:handle_event_submit": {
        "97365fc7e07f6437d109d452bff9264a671a3a442bb99fc2d973a00f36d40581": "3.1.0..3.1.8",
        "3c104baede431f53d102ba79f20169ed6fdc80ef6031e03bd052f082da5cbc07": "3.2.0..3.3.0",
        "276661f50fc433bfc7a239bd1491ef58edee11cfe9ebb196e3557a62fccd529f": "3.3.1..3.3.2",
        "c41a7710d8dae0b50f4ac965414c28380b71831db9d210f320e5ae37507c7e8b": "3.4.0b2",
    },
    "airflow.sdk.execution_time.comms:CommsDecoder._from_frame": {
        "953d6341d401ed26cc26913c7e422c9f1bfb2f6bb432f363bfe8be06602dbb9f": "3.1.0..3.4.0b2",
    },
    "airflow.sdk.execution_time.comms:_RequestFrame": {
        "a94de48a1e1f1de2518c2c73b152f0d9c47767fbbfba6a10a39f90fb89f2b788": "3.1.0..3.2.1",
        "b18df62408c2b31769ce73493ef2925c4afb3ed5ae73e62d10fb3980fddf23ae": "3.2.2",
        "89fd076a746db1fd2fafa4f1c32eec08bb13477bc9548429917bf4fcbacb6913": "3.3.0..3.3.2",
        "0bf67e270e3e577b71ef8e5a691a297cb743270e578be5df92074b021c433143": "3.4.0b2",
    },
    "airflow.serialization.definitions.dag:SerializedDAG.clear": {
        "": "3.1.0..3.1.8",  # not there yet
        "8d114616a30f38aacfc14e92f44efc186e8d4322887f164f36680dcef6e0d244": "3.2.0..3.2.2",
        "2b13575b32929b3f0154d0ba2490e0d6eb0f92687390f44ef7b75a23780b4407": "3.3.0..3.3.2",
        "51daded1facf487863d9f50c8dcb3289fdb99422031767f48f94d0003bad6c79": "3.4.0b2",
    },
    "airflow.serialization.definitions.dag:SerializedDAG.set_task_instance_state": {
        "": "3.1.0..3.1.8",  # not there yet
        "e51d8f7299787ed0f61f93e9d52e7fe4efcb7dfc39892945585b6598ebe40a55": "3.2.0..3.4.0b2",
    },
    "airflow.serialization.serialized_objects:SerializedDAG.set_task_instance_state": {
        "e51d8f7299787ed0f61f93e9d52e7fe4efcb7dfc39892945585b6598ebe40a55": "3.1.0..3.1.8",
        "": "3.2.0..3.4.0b2",  # not there yet
    },
    "airflow.utils.retries:retry_db_transaction": {
        "4f3cc76dcad45ecf35eee4af8158905c5e06c59ca7fc02e0a60a50664be55697": "3.1.0..3.2.1",
        "35809f855c3f39739533b7ebdc94e31c44d4c57564ab943a1c9c0563582645d0": "3.2.2..3.4.0b2",
    },
    "airflow.utils.retries:run_with_db_retries": {
        "6e9a9e77c82551fa7682acd9c8946c033afed8e82a10943b4ba608d076928034": "3.1.0..3.2.1",
        "9bd86dcc80ec5ed5419051d864f87ad330dcc9a246c5065d38501745047af946": "3.2.2..3.4.0b2",
    },
    "airflow.utils.sqlalchemy:with_row_locks": {
        "90646c1dccf4cc2fcac9f607c8b31e619fc831332fb0dff5ae72880c38286bbb": "3.1.0..3.1.8",
        "64bb0e1ca60bc29d6690d25467d86ecb782fef24b465a674252f3ecfffa33ba4": "3.2.0..3.4.0b2",
    },
    **REPORTED,
}
"""Target to fingerprint to the releases that have it."""
