"""The fingerprints of source that only the fixes of reported races know; `known_sources.py` has the others."""

from __future__ import annotations

from collections.abc import Mapping

REPORTED: Mapping[str, Mapping[str, str]] = {
    "airflow.jobs.scheduler_job_runner:SchedulerJobRunner._start_queued_dagruns": {
        "73e5968cf115106376c893b8a7e19e9a3bcaa691c05612cef2f7552b541c1b37": "3.1.0..3.1.2",
        "a8a5cbc9a3ac270ac782199923f3f0dccd0545d5e1978904ce3c6b21583d811f": "3.1.3",
        "6de22342c6182711ef733c2b1796d6151dd2eaec3b72d38b5dbf627f3cf2e3db": "3.1.4..3.1.8",
        "e12ddd32c75cc230e51838c708464031573200d456301ab3f847b3db33b84539": "3.2.0..3.2.2",
        "a9a5ddc11375a437e1a9cd556b5bcd13971465753994d76d491da67f427e2d90": "3.3.0..3.3.1",
        "997bfb68b17d2e944cd8a3601ad38c803876d584c3eb1fe57ad27f13bde7abb7": "3.3.2",
        "2b3506472ab3ba0e9421b58f4a184f054f71153f2a3241afde38054dd1e41a50": "3.4.0b2",
    },
    "airflow.models.dagrun:DagRun.get_queued_dag_runs_to_set_running": {
        "8592c92287122e83e0909695d9d38b549bdfbbdcbc3fe0a72c1ead9d0b4a4964": "3.1.0..3.1.8",
        "c076fe5e0d6858a5a78ea445d839838e8d59a988e8f068280dae3cc8c3aed050": "3.2.0..3.4.0b2",
    },
}
