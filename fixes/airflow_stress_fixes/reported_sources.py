"""The fingerprints of source that only the fixes of reported races know; `known_sources.py` has the others."""

from __future__ import annotations

from collections.abc import Mapping

REPORTED: Mapping[str, Mapping[str, str]] = {
    "airflow.callbacks.database_callback_sink:DatabaseCallbackSink.send": {
        "bfbba55d847abf9234de7b2454f01e0dc661c4dab9ea4538aef2ca0a87c9e25e": "3.1.0..3.2.2",
        "823a6d2468a7555688ee2ad332f8e972aa1d51f99eaa1d87c6d99652c3715ce5": "3.3.0..3.4.0b2",
    },
    "airflow.executors.base_executor:BaseExecutor.change_state": {
        "62e06d3945b3dba6cda23f4c701941609238ce16be50c75648ca9c82e5e1488b": "3.1.0..3.2.2",
        "9270b4b63e13fccbb68bd67c8207a97ec02bef278d654610d3c829b116e2721f": "3.3.0..3.4.0b2",
    },
    "airflow.executors.base_executor:BaseExecutor.get_event_buffer": {
        "265753c41b8ea404ec3309fd6212db23265b2a92cb1e4de3a922d8bff1bab516": "3.1.0..3.1.8",
        "f97f39a515c766052113e68aad5d15c801fa2ada2153307079db4e827407841c": "3.2.0..3.2.2",
        "2b09cd336e6ef2f16aceb24791ff31d0a901f5f1aaa161f3b893c97193ebe607": "3.3.0..3.3.2",
        "9aa5827f5210c63b0fe8b4426df20450e2f2505f99d2bc2150199440b966633f": "3.4.0b2",
    },
    "airflow.executors.base_executor:BaseExecutor.send_callback": {
        "2e7feff80a89ff6dde32bbb02856166ebc6bff1b9a5e109a4d4a7a4ca1195abf": "3.1.0..3.4.0b2",
    },
    "airflow.jobs.scheduler_job_runner:SchedulerJobRunner._find_and_purge_task_instances_without_heartbeats": {
        "8d51b5618953e939914df89b94c2c7181f23db793dc7a02d036030c99e5409e5": "3.1.0..3.3.2",
        "2f0d518e012c91ab8c0305599a456ad1bcdc5f72a68b62d32deb469bf4fe779b": "3.4.0b2",
    },
    "airflow.jobs.scheduler_job_runner:SchedulerJobRunner._find_task_instances_without_heartbeats": {
        "cec2866d3e2be2f799a1b36dd6ac24c63865ceba744a6a1a153ab6d924a7dec0": "3.1.0",
        "caf7ee2dded3b65052b3b2b87c673866aa37d7eccbfdcb572d77dc786419f111": "3.1.1..3.1.8",
        "15ecea2f5f9804e884a946c14ded30218ba2f32bb426bbb9677311e68544d0b1": "3.2.0..3.3.2",
        "021c8d8c4e3e321158482d8408960950519f447f4e3d41cdc5b537153f59b358": "3.4.0b2",
    },
    "airflow.jobs.scheduler_job_runner:SchedulerJobRunner._get_tis_stuck_in_queued": {
        "c870a700b3e8da77915d4b9d7ba1cd2d1721c5bd5e709a709c082711f90ca1b9": "3.1.0..3.4.0b2",
    },
    "airflow.jobs.scheduler_job_runner:SchedulerJobRunner._handle_tasks_stuck_in_queued": {
        "ea2abc0e2d493d3756aa6d55bc2672180e0a1b496a7998ae1dc917191cd3ccb8": "3.1.0..3.1.8",
        "eb5afe3ee28a42338f9c4d61bbe1e819b9ebb079c7d4db470396bcf5631c5b96": "3.2.0..3.2.2",
        "d00e3a2eb669514770d1565770d2f8d050638879cd0769d57ff3a8706e4d4b5f": "3.3.0..3.4.0b2",
    },
    "airflow.jobs.scheduler_job_runner:SchedulerJobRunner._mark_backfills_complete": {
        "8f76c197e30c016dc70a5dc1169e754a3732a4eb9fad675d2b1a0f5c56adce0f": "3.1.0..3.1.8",
        "f711844e8cba2815603a35a7a334e113458145faefe2202e3dd4f860b38c35d2": "3.2.0..3.2.1",
        "285dac010d68342721dcbe545237acb34b62a334b66df75b12562c8af7023acb": "3.2.2",
        "9718dca7e10d8cdb419839e0d96b5ded733d1b251d19103c41c1bb940850a46d": "3.3.0..3.4.0b2",
    },
    "airflow.jobs.scheduler_job_runner:SchedulerJobRunner._maybe_requeue_stuck_ti": {
        "7c887138f59a2881a825bce0b596aa998a86c427d5c9c53954158a73e26b1dba": "3.1.0..3.1.8",
        "de7ad6d4fc0af1554ed7be2d048ce7605fb3eb4b48f118e0855de3f0690ad62b": "3.2.0..3.2.1",
        "9eca2e4c10799afc79a4499505e696020a9473ebb8e0bcd238423ae11eb0da4f": "3.2.2",
        "f9cb330bdcd883fd0bd2573de031eacf9e32cc25f5d7d68fc5b02ee129439158": "3.3.0..3.3.2",
        "87d51fcdc46500cd7734a70650704c959bdb5581fbb25ddb37e6837302d946df": "3.4.0b2",
    },
    "airflow.jobs.scheduler_job_runner:SchedulerJobRunner._process_executor_events": {
        "be3d700b2fa2875d3eec9ad52f0c226a3721974bb33b957ff63b42026ea25eb0": "3.1.0..3.3.2",
        "94a026c7559e80a77cd26b3e8595892ac611a71fcb472fa76643acdf3518a068": "3.4.0b2",
    },
    "airflow.jobs.scheduler_job_runner:SchedulerJobRunner._purge_task_instances_without_heartbeats": {
        "f332162608c7d2e9e1e9d457f47d9ade9d8b07b240d644b0fa006007fe32b30b": "3.1.0..3.1.8",
        "2ade1933c7e28698909bf9f8974aba7fd7838e7a55d8de5c32fb3997d96b257f": "3.2.0..3.2.1",
        "ca606661531b4112f723bb191112dbff533d85cc1ed624d9972e9f7983753f61": "3.2.2",
        "4f30456fc6835e61d9700a79173c9206d8d34ace3cad0f0ede81495dd43817ec": "3.3.0",
        "350e49f54bfa7c87293317ba5aa70a3505454d288f1273e7be8b51f722969519": "3.3.1..3.3.2",
        "46fad03a0ee6c6a40a07e3144d266c863fdd390adc7fc00b84125adab88bd5d4": "3.4.0b2",
    },
    "airflow.jobs.scheduler_job_runner:SchedulerJobRunner._reschedule_stuck_task": {
        "ac006caa6af21734cbeb8afd39b7e4bff0f6a4b420f535766128ffa702744848": "3.1.0..3.1.8",
        "db6e77ccde24056cc37f87266a90095bbd81873ae6e692f960b50a8f1e1b5767": "3.2.0..3.4.0b2",
    },
    "airflow.jobs.scheduler_job_runner:SchedulerJobRunner._start_queued_dagruns": {
        "73e5968cf115106376c893b8a7e19e9a3bcaa691c05612cef2f7552b541c1b37": "3.1.0..3.1.2",
        "a8a5cbc9a3ac270ac782199923f3f0dccd0545d5e1978904ce3c6b21583d811f": "3.1.3",
        "6de22342c6182711ef733c2b1796d6151dd2eaec3b72d38b5dbf627f3cf2e3db": "3.1.4..3.1.8",
        "e12ddd32c75cc230e51838c708464031573200d456301ab3f847b3db33b84539": "3.2.0..3.2.2",
        "a9a5ddc11375a437e1a9cd556b5bcd13971465753994d76d491da67f427e2d90": "3.3.0..3.3.1",
        "997bfb68b17d2e944cd8a3601ad38c803876d584c3eb1fe57ad27f13bde7abb7": "3.3.2",
        "2b3506472ab3ba0e9421b58f4a184f054f71153f2a3241afde38054dd1e41a50": "3.4.0b2",
    },
    "airflow.jobs.scheduler_job_runner:SchedulerJobRunner.process_executor_events": {
        "95159e17f7966963bb89e5696b0284c73ab4c65bb4782b660153033fdc1fd340": "3.1.0",
        "6fd2ef4cd979d75b2ac4928e241c28b4cebe8e609da6d797d77737c2f132a641": "3.1.1..3.1.7",
        "588c7c14230377f18b3272ef8867c80933045754834b6e7d10d694f6397afd98": "3.1.8",
        "c39fb61c99f669bff6814ad26a493d2de8c69ab9276ac53e7dd14f617369700a": "3.2.0..3.2.1",
        "cbcedb37312ac1efdbf930f4caba82dba4de6a42ac10a14d17fa45f54a2c9aca": "3.2.2",
        "3404ef254bbfc193b15457f21d84ffc3f8dfbece48f83c716c8df0acd3ed4815": "3.3.0..3.3.2",
        "c4ae98beb93870fd5dc4ec4974a03b0fd71856d96c3383516cfd87891129e0ab": "3.4.0b2",
    },
    "airflow.models.backfill:_cleanup_partial_backfill": {
        "": "3.1.0..3.3.0",  # not there yet
        "87a25d0dd5bcd7d26f6d935f4448aa4483863313edfe3d56a56f077250e6d4dd": "3.3.1..3.4.0b2",
    },
    "airflow.models.backfill:_create_backfill": {
        "3bb934fd733f2802568a98b033a6d211466ecacb6ece093bf125eb5134135af5": "3.1.0..3.1.8",
        "e7bcc3b8fe5b5d747de849eddb7691a946830335ef462214024d57c2de694bb5": "3.2.0..3.2.1",
        "18b58e4864fea3892784c434b0db98a79de81009a48c6b56a183498740fae602": "3.2.2",
        "c3a799fb960294224cd129fee59a4438c4e76afbaa8c1b77aa167d1422690a6e": "3.3.0",
        "3ff1dc6bee07a89ae7040d358c8e33bce4b7f250bb9819f11a5fb7a7a909ced8": "3.3.1..3.3.2",
        "3973e2ac4eb4090383d0694e224d0a5709c40ce5d54818bbc49bcbd5dbd511cd": "3.4.0b2",
    },
    "airflow.models.dagrun:DagRun.get_queued_dag_runs_to_set_running": {
        "8592c92287122e83e0909695d9d38b549bdfbbdcbc3fe0a72c1ead9d0b4a4964": "3.1.0..3.1.8",
        "c076fe5e0d6858a5a78ea445d839838e8d59a988e8f068280dae3cc8c3aed050": "3.2.0..3.4.0b2",
    },
    "airflow.utils.session:create_session": {
        "1e9d8be927d7f9a3a4319b1c597ca8e0b2bf0ecf920302052e7f81aef4c81b7e": "3.1.0..3.4.0b2",
    },
}
