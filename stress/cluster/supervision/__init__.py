"""Starts and ends the processes of a run, so that nothing is left running, however the run ends.

procfs.py      what the kernel knows of processes; how those of a run are recognised
processes.py   start, wait for and end processes
registry.py    the record of each run on this machine
reaper.py      end what is left of a run
watchdog.py    the process that does so if the harness is killed
guard.py       the harness's side: registers the run, starts the watchdog, and replaces it if it ends
"""
