"""The races: one package a race, named as the race is. `registry.py` finds them; `docs/adding-a-race.md` says how.

    __init__.py   RACE: one literal that names all parts of the race
    README.md     the finding
    checker.py    history in, incidents out
    scenario.py   what is done to the cluster so that the race appears
    load.py       the Locust users of the scenario; only the load generator imports it

What runs inside Airflow is in modules of the same name: `dags/<race>.py` and `fixes/airflow_stress_fixes/<race>/`.
"""

from stress.layout import make_fixes_importable

# A race names its fixes as objects. They are imported from the directory that is mounted into Airflow.
make_fixes_importable()
